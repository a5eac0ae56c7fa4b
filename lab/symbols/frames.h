/*
 * frames.h - call frame information (.debug_frame, DWARF 4 section 6.4) of a kernel without any.
 *
 * Pure. gdb walks the stack by it as the kernel itself would: amd64 from ORC, the kernel's own
 * tables (arch/x86/include/asm/orc_types.h), arm64 from the instructions that make and drop a
 * function's frame. The walk ends where the kernel was entered from user space. Registers that a
 * caller needs and nobody knows any more are said to be lost. Input is untrusted: what cannot be
 * read yields no frame, and gdb then guesses.
 */
#ifndef LAB_FRAMES_H
#define LAB_FRAMES_H

#include "lab/kernel/elf-write.h"

/* Append a .debug_frame to out, which is empty; nothing when there is nothing to make it of. */
void frames_of_kernel(enum arch arch, const struct elf_part *parts, size_t n,
		      const struct ksyms *symbols, struct buf *out);

/* ---- for frames-*.c ---- */

/* From this address on: where the caller's stack pointer (CFA), frame and return address are. */
struct frame_row {
	uint64_t address;
	enum {
		FRAME_NONE, /* nothing is known: ends a function */
		FRAME_END,  /* there is no caller */
		FRAME_CALL, /* called: the return address is at CFA + ra_offset */
		FRAME_LEAF, /* the same, still in the link register (arm64) */
		FRAME_REGS, /* interrupted: at CFA is a struct pt_regs (amd64) */
		FRAME_IRET, /* the same, only what the processor pushed */
	} kind;
	uint8_t cfa_register; /* as DWARF numbers them */
	bool cfa_indirect;    /* CFA = *(register + offset) + add, else register + offset */
	int32_t cfa_offset, cfa_add, ra_offset;
	enum { FP_SAME, FP_AT_CFA, FP_AT_FP } fp; /* the caller's: unchanged, or stored there */
	int32_t fp_offset;
};

struct frames {
	struct buf *out;
	enum arch arch;
	struct frame_row *rows; /* of the entry that is being made */
	size_t n, cap;
};

/* Rows come in order of addresses; several at one address: the last one counts. */
void frames_add(struct frames *f, const struct frame_row *row);

/* Assembly that nothing in the kernel has called: system calls come in, tasks begin. */
bool frames_is_entry(const struct ksym *s);

void frames_of_orc(struct frames *f, const struct elf_part *ip, const struct elf_part *orc,
		   const struct ksyms *symbols);
void frames_of_arm64(struct frames *f, const struct elf_part *parts, size_t n,
		     const struct ksyms *symbols);

#endif
