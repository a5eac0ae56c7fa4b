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

/* Addresses from start on, before end. */
struct krange {
	uint64_t start, end;
};

struct kmodule {
	char name[64];		      /* printable */
	uint64_t address, base, size; /* of struct module; of its code */
	struct krange init;	      /* code that goes once it is loaded */
	char taints[16];	      /* as /proc/modules: "OE"; empty: none */
	bool live;		      /* false: it is coming or going */
	/* its symbols of code, by address; names in names */
	struct ksym *syms;
	size_t n_syms;
	char *names;
};

struct ktypes; /* BTF, by name */

struct kstate {
	struct vmcore *v; /* NULL: only loaded */
	const struct kernel *kernel;
	struct ksyms syms;  /* as linked: add slide */
	struct err no_syms; /* why there are none; code 0: they are there */
	uint64_t slide;
	struct krange text;   /* code, where it ran */
	struct krange init;   /* code that goes when the boot ends: empty once it has */
	struct ktypes *types; /* NULL: this kernel has none */
	struct buf image;     /* the unpacked image (kernel_image_unpack()) */
	char *build_id;	      /* of both; NULL: the kernel has none */
	struct kmodule *modules;
	size_t n_modules;
	bool modules_known;    /* false: nobody knows where the list is */
	uint64_t init_task;    /* 0: not found */
	uint64_t swappers[16]; /* where it may be, as linked, if no symbol tells */
	size_t n_swappers;
};

/*
 * What the kernel's image says without a dump: most of the work, and it can be done while the dump
 * is still being written. Fails when the image cannot be read or unpacked.
 */
int kstate_load(const struct kernel *kernel, struct kstate *ret, struct err *err);
/*
 * Then, once: the rest, of its dump. v stays the caller's and must live longer. -EBADMSG: v is of
 * another build than the kernel (the text names both; by build id and release), or damaged, or the
 * image has no symbols; -ENODATA: no vmcoreinfo.
 */
int kstate_open(struct kstate *k, struct vmcore *v, struct err *err);
void kstate_deinit(struct kstate *k);
DEFINE_CLEANUP(kstate, kstate_deinit)

/* Where a symbol is in the running kernel; false: there is none of that name. */
bool kstate_symbol(const struct kstate *k, const char *name, uint64_t *ret);
/*
 * "do_exit+0x12/0x340", "lkdtm_BUG+0x1/0x10 [lkdtm]"; the bare address when nothing is there.
 * Returns whether it is in code of the kernel or of a module. ret is printable.
 */
bool kstate_name(const struct kstate *k, uint64_t address, char ret[KNAME_MAX]);
/* The same of an address that a call returns to: of who called, were it with his last bytes. */
bool kstate_name_return(const struct kstate *k, uint64_t address, char ret[KNAME_MAX]);
/*
 * A number or pointer of at most 8 bytes, by its name in a struct at address, zero-extended.
 * -ENOENT (as ktypes_member()), -ENOTSUP (no number), or as vmcore_read().
 */
int kstate_member(const struct kstate *k, uint64_t address, const char *type, const char *member,
		  uint64_t *ret);

/* The image's BTF. -ENODATA: it has none; -EBADMSG. image must live as long. */
int ktypes_open(const uint8_t *image, size_t len, struct ktypes **ret, struct err *err);
void ktypes_close(struct ktypes *t); /* NULL is fine, here and below: it knows no type */
/*
 * Offset and size in bytes of a member, "task_struct", "se.exec_start" (through anonymous structs
 * and unions, into an array's first element; an array's own size is of all of it; bit fields are
 * -ENOTSUP). -ENOENT: no such type or member: try the name it had in other kernels.
 */
int ktypes_member(const struct ktypes *t, const char *type, const char *member, uint32_t *offset,
		  uint32_t *size);
/* The size of a struct or union, or -ENOENT. */
int ktypes_size(const struct ktypes *t, const char *type, uint32_t *size);
/* An enumerator's value, or -ENOENT. */
int ktypes_enumerator(const struct ktypes *t, const char *name, int64_t *ret);

/* ---- for kstate.c ---- */

/* Fills init_task, when it can be found. */
void kstate_look_for_init_task(struct kstate *k); /* of kstate_load() */
void kstate_find_init_task(struct kstate *k);
/* Fills modules, n_modules, modules_known. */
void kstate_read_modules(struct kstate *k);

#endif
