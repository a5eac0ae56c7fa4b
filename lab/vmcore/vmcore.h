/*
 * vmcore.h - a dump of a guest's memory: its CPUs' registers, its memory by physical and by kernel
 * virtual address.
 *
 * Reads ELF core files (elf(5); with or without virtual addresses in their PT_LOADs) and
 * kdump-compressed ones (zlib and uncompressed pages), also flattened, as QEMU writes them
 * (makedumpfile's IMPLEMENTATION file and diskdump_mod.h's layout). A dump is untrusted: sizes,
 * offsets and counts may lie; what does not fit is -EBADMSG, and no more is held in memory than a
 * cache of some MiB. Nothing is written to the file. Not thread-safe.
 */
#ifndef LAB_VMCORE_H
#define LAB_VMCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/str.h"
#include "lab/vmcore/vmcoreinfo.h"

struct vmcore;

/* Registers of a CPU as its NT_PRSTATUS note has them (struct user_regs_struct of either arch). */
enum { VMCORE_MAX_CPUS = 512, VMCORE_MAX_REGS = 40 };
struct vmcore_cpu {
	uint64_t pc, sp, fp; /* rip rsp rbp; pc sp x29 */
	size_t n;
	struct {
		const char *name; /* "rax" …, "x0" … "pstate"; static */
		uint64_t value;
	} regs[VMCORE_MAX_REGS];
};

/*
 * Returns 0; -EBADMSG (no dump, or a damaged one: the text says where, "path: …"), -ENOTSUP (of
 * another architecture, or compressed in a way that is not read: named), or why it cannot be
 * opened. An empty or all-zero file is -EBADMSG.
 */
int vmcore_open(const char *path, struct vmcore **ret, struct err *err);
void vmcore_close(struct vmcore *v); /* NULL is fine */
static inline void vmcore_closep(struct vmcore **v)
{
	vmcore_close(*v);
}
#define auto_vmcore __attribute__((cleanup(vmcore_closep))) struct vmcore *

enum arch vmcore_arch(const struct vmcore *v);
/*
 * The note's; when the guest had not told QEMU of it, what is found in its memory (all of it is
 * looked through at opening); empty (text "") when that has none either.
 */
const struct vmcoreinfo *vmcore_info(const struct vmcore *v);
size_t vmcore_cpus(const struct vmcore *v);
const struct vmcore_cpu *vmcore_cpu(const struct vmcore *v, size_t i);
/* Ranges of physical memory that the dump has, by address. */
struct vmcore_range {
	uint64_t address, len;
};
const struct vmcore_range *vmcore_ranges(const struct vmcore *v, size_t *n);

/* len bytes at a physical address. -EFAULT: not in the dump; -EBADMSG: its page is damaged. */
int vmcore_read_physical(struct vmcore *v, uint64_t address, void *ret, size_t len);
/*
 * len bytes at a kernel virtual address, by the kernel's own page tables (swapper_pg_dir of
 * vmcoreinfo; 4 and 5 levels on amd64, 3 and 4 of 4 KiB pages on arm64). -EFAULT: not mapped, or
 * not in the dump; -EBADMSG; -ENODATA: vmcoreinfo is missing, nothing can be translated.
 */
int vmcore_read(struct vmcore *v, uint64_t address, void *ret, size_t len);
/* The physical address, or the same errors. */
int vmcore_translate(struct vmcore *v, uint64_t address, uint64_t *ret);
/* Values of 4 and 8 bytes; a string of at most max - 1 bytes (shorter when memory ends). */
int vmcore_read_u32(struct vmcore *v, uint64_t address, uint32_t *ret);
int vmcore_read_u64(struct vmcore *v, uint64_t address, uint64_t *ret);
int vmcore_read_string(struct vmcore *v, uint64_t address, char *ret, size_t max);

/*
 * KASLR's slide: the running kernel's addresses minus those it was linked at (amd64: KERNELOFFSET;
 * arm64: SYMBOL(_stext) minus link_stext, which the caller has from the kernel's image).
 * -ENODATA.
 */
int vmcore_slide(const struct vmcore *v, uint64_t link_stext, uint64_t *ret, struct err *err);

#endif
