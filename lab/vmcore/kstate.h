/*
 * kstate.h - the kernel in a dump: its symbols where they ran, its types, its modules.
 *
 * Symbols are those of the kernel's image (kallsyms.h) moved by the slide, modules' are read from
 * the dump's own memory (struct module, its kallsyms), types are the image's BTF. What a kernel
 * does not have (arm64 5.10 and 6.1 name functions only, kernels without BTF) is found in other
 * ways or said to be missing. A dump is untrusted: lists end, counts are bounded.
 */
#ifndef LAB_KSTATE_H
#define LAB_KSTATE_H

#include "lab/kernel/kernel.h"
#include "lab/symbols/kallsyms.h"
#include "lab/vmcore/vmcore.h"

enum { KNAME_MAX = 160 };

struct kmodule {
	char name[64];		      /* printable */
	uint64_t address, base, size; /* of struct module; of its code */
	char taints[16];
	/* its symbols, by address; names in names */
	struct ksym *syms;
	size_t n_syms;
	char *names;
};

struct ktypes; /* BTF, by name */

struct kstate {
	struct vmcore *v;
	const struct kernel *kernel;
	struct ksyms syms; /* as linked: add slide */
	uint64_t slide;
	struct ktypes *types; /* NULL: this kernel has none */
	struct buf image;     /* the unpacked image (kernel_image_unpack()) */
	struct kmodule *modules;
	size_t n_modules;
	uint64_t init_task; /* 0: not found */
};

/*
 * v stays the caller's and must live longer. -EBADMSG: v is of another build than kernel (the text
 * names both; by build id and release), or damaged; -ENODATA: no vmcoreinfo.
 */
int kstate_open(struct vmcore *v, const struct kernel *kernel, struct kstate *ret, struct err *err);
void kstate_deinit(struct kstate *k);
DEFINE_CLEANUP(kstate, kstate_deinit)

/* Where a symbol is in the running kernel; false: there is none of that name. */
bool kstate_symbol(const struct kstate *k, const char *name, uint64_t *ret);
/*
 * "do_exit+0x12/0x340", "lkdtm_BUG+0x1/0x10 [lkdtm]"; the bare address when nothing is there.
 * Returns whether it is in code of the kernel or of a module. ret is printable.
 */
bool kstate_name(const struct kstate *k, uint64_t address, char ret[KNAME_MAX]);

/*
 * Offset and size in bytes of a member, "task_struct", "se.exec_start" (through anonymous structs
 * and unions; an array's size is of all of it; bit fields are -ENOTSUP). -ENOENT: no such type or
 * member: try the name it had in other kernels.
 */
int ktypes_member(const struct ktypes *t, const char *type, const char *member, uint32_t *offset,
		  uint32_t *size);
/* The size of a struct or union, or -ENOENT. */
int ktypes_size(const struct ktypes *t, const char *type, uint32_t *size);
/* An enumerator's value, or -ENOENT. */
int ktypes_enumerator(const struct ktypes *t, const char *name, int64_t *ret);

#endif
