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

/* ---- for who walks a stack himself ---- */

/* Where arch/x86/include/uapi/asm/ptrace.h has what DWARF numbers so, in words; -1: not there. */
enum { PT_REGS_WORDS = 21, PT_REGS_IP = 16, PT_REGS_CS = 17, PT_REGS_SP = 19 };
extern const int8_t frames_pt_regs[16];

enum { ORC_ENTRY = 6 }; /* bytes */
/* How the kernel's tables are laid out: told by what is in them, the same for its modules'. */
struct orc_format {
	const uint8_t *bases;
	bool types_6_4; /* type has three bits, and calls are not 0 any more */
};
struct orc_format orc_find_format(const uint8_t *orc, size_t n);
/* One entry; its address is the caller's to know. */
struct frame_row orc_row(const struct orc_format *format, const uint8_t *entry);

/*
 * arm64: the row that holds at `at` in a function, of code at address, n instructions. kind is
 * FRAME_NONE when that is not in it.
 */
struct frame_row frames_arm64_row(const uint8_t *code, size_t n, uint64_t address, uint64_t at);

#endif
