/*
 * modules.h - kernel modules of a kernel's folder: found by name, with what they depend on.
 *
 * Dependencies and aliases are read from the modules themselves (.modinfo), since packages carry no
 * modules.dep (depmod writes it at installation). Files may be compressed (xz, zstd, gzip).
 * Modules are input like any other: bounded, and broken ones are errors.
 */
#ifndef LAB_MODULES_H
#define LAB_MODULES_H

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { MODULE_MAX_BYTES = 64 << 20 };

/* What .modinfo says. */
struct modinfo {
	struct strv depends; /* names, with '_' for '-' */
	struct strv aliases; /* "fs-overlay", "char-major-10-229", "devname:fuse", … */
};
/* elf: an uncompressed module. Returns 0 or -EBADMSG. *ret is written only on success. */
int modinfo_parse(const void *elf, size_t len, struct modinfo *ret, struct err *err);
void modinfo_deinit(struct modinfo *m);
DEFINE_CLEANUP(modinfo, modinfo_deinit)

struct module {
	char *name;	 /* '_' for '-' */
	char *path;	 /* in the guest, below lib/modules/RELEASE: "kernel/fs/fuse/fuse.ko",
			    uncompressed */
	struct buf data; /* uncompressed */
	struct modinfo info;
	bool wanted; /* by name, not only as a dependency */
};

struct modules {
	struct module *items; /* dependencies come before what needs them */
	size_t n;
};

/*
 * The modules of dir (…/lib/modules/RELEASE, or a build tree, which has a .config and lists them in
 * modules.order; nothing else is looked at there) with these names and what they need, in the order
 * they load. Names that are not there are left out: built in, or not of this kernel. A missing
 * dependency is taken as built in.
 */
int modules_load(const char *dir, const struct strv *names, struct modules *ret, struct err *err);
void modules_deinit(struct modules *m);
DEFINE_CLEANUP(modules, modules_deinit)

/*
 * Which modules of a build tree there are: a line is added to out for each, which changes when the
 * file does. Returns how many, or why modules.order could not be read. *missing, NULL before, is
 * the first that is listed and not there, allocated.
 */
int modules_state(const char *dir, struct buf *out, char **missing, struct err *err);

/* The text of modules.dep and modules.alias for these modules, as modprobe(8) reads them. */
void modules_dep_text(const struct modules *m, struct buf *out);
void modules_alias_text(const struct modules *m, struct buf *out);
/* "NAME MAJOR MINOR" for each device node that exists before its module is loaded (fuse 10 229). */
void modules_node_text(const struct modules *m, struct buf *out);

#endif
