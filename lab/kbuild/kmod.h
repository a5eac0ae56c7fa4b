/*
 * kmod.h - modules that are no part of a kernel, built for one of ours.
 *
 * A module is a folder with a Kbuild or Makefile in which obj-m names it. It is copied and built
 * against Debian's headers of a pin (kernel-headers.h) or in a build tree, and kept in
 * cache_dir("modules"):
 *	NAME-KERNEL-ARCH-KEY/	  *.ko, with debug information; KEY: 16 hex digits of the sources,
 *				  the headers, the compiler
 *	NAME-KERNEL-ARCH-KEY.log  what was run, and what it said
 *	… .lock, … .tmp		  while it is built
 * In the debug information the module's folder is called NAME.
 */
#ifndef LAB_KMOD_H
#define LAB_KMOD_H

#include "lab/kernel/kernel.h"

enum {
	KMOD_MAX_FILES = 2000,
	KMOD_MAX_BYTES = 64 << 20,
};

struct kmod {
	char *dir;	   /* in the cache */
	char *log;	   /* path */
	struct strv files; /* "crashme.ko": at least one, in dir */
};
void kmod_deinit(struct kmod *m);
DEFINE_CLEANUP(kmod, kmod_deinit)

/*
 * Build the module in dir for the kernel, unless that was done. Of want, offline, progress, data
 * and cancel count. Returns 0; -ENOTSUP: it cannot be built for this kernel, whatever is in dir
 * (no headers of it in the archive, a kernel without modules): the text says why in a line;
 * -EINVAL: dir is no such folder, or too large; -ENODATA: offline, and not in the cache; -ENOPKG:
 * no compiler; -EIO: it does not compile: err quotes the first error and names the log; -EINTR; or
 * what fetching said. *ret is the caller's.
 */
int kmod_build(const char *dir, const struct kernel *kernel, const struct kernel_want *want,
	       struct kmod *ret, struct err *err);

#endif
