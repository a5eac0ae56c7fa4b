/*
 * symbols.h - what gdb is to load for a kernel: its debug package's vmlinux, the one it was built
 * with, or one rebuilt from the image alone.
 *
 * A vmlinux of another build than the image is refused: both carry the build id of the link
 * (ld(1), --build-id). Made once for a kernel and kept in the cache.
 */
#ifndef LAB_SYMBOLS_H
#define LAB_SYMBOLS_H

#include "lab/debug/slide.h"
#include "lab/kernel/kernel.h"

enum symbols_kind {
	SYMBOLS_FULL,  /* DWARF: types, lines, local variables */
	SYMBOLS_TYPES, /* from the image: names, and types from BTF */
	SYMBOLS_NAMES, /* from the image: names */
};

struct symbols {
	enum symbols_kind kind;
	char *vmlinux; /* ELF file for gdb */
	struct link_addresses link;
	char *modules;	     /* folder below which the modules' files with symbols are; or NULL */
	char *source_prefix; /* what DWARF calls the folder of the source; NULL: not known, or
				all names are relative to it */
	char *source_dir;    /* where that source is here; NULL: nowhere yet */
	char *what; /* one line for a person: "types and lines of linux-image-…-dbg 6.1.176-1" */
};

enum symbols_want {
	SYMBOLS_AUTO,	 /* the debug package, fetched when needed; else the image */
	SYMBOLS_PACKAGE, /* the debug package or the built vmlinux, or an error */
	SYMBOLS_IMAGE,	 /* what the image says, whatever else there is */
};

/*
 * want->offline and want->progress as in kernel_resolve(). vmlinux: a file of the user's instead of
 * all that, or NULL. *why, NULL before, says with SYMBOLS_AUTO why it became the image (allocated).
 * Returns 0; -EBADMSG (vmlinux and image are of different builds), -ENODATA (SYMBOLS_PACKAGE, and
 * there is none, or it cannot be had), -EINTR, or what fetching said.
 */
int symbols_prepare(const struct kernel *kernel, enum symbols_want how, const char *vmlinux,
		    const struct kernel_want *want, struct symbols *ret, char **why,
		    struct err *err);
/*
 * A vmlinux with symbols for kernel that is here already: its own, or its debug package's in the
 * store. Allocated; NULL: there is none.
 */
char *symbols_at_hand(const struct kernel *kernel);
/* Only the addresses by which a slide is found, from whatever is there; nothing is fetched. */
int symbols_link_addresses(const struct kernel *kernel, struct link_addresses *ret,
			   struct err *err);
/*
 * Whether the kernel has a function of that name: how many, and when none *near (NULL before) is
 * the closest name there is, allocated. Negative errno when the symbols cannot be read.
 */
int symbols_count(const struct symbols *s, const char *function, char **near, struct err *err);
void symbols_deinit(struct symbols *s);
DEFINE_CLEANUP(symbols, symbols_deinit)

#endif
