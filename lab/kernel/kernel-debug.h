/*
 * kernel-debug.h - what a debugger needs of a pin's debug package, beside the kernel in the store:
 * cache_dir("kernels")/NAME-VERSION-ARCH.debug/
 *
 *	vmlinux        ELF with DWARF; where it has relocations of the link, which nobody reads,
 *		       there is a hole
 *	modules/       *.ko with DWARF of the modules that our guests load (vm/modules) and what
 *		       they depend on, as they lie below lib/modules/RELEASE. One that was added to
 *		       vm/modules later is not there: it has the names of its own .ko
 *	SHA256SUMS, meta.json   as kernel-store.h has them
 *
 * A folder appears whole or not at all. The package is removed once it is there: it is 240-360 MB
 * that nothing reads any more.
 */
#ifndef LAB_KERNEL_DEBUG_H
#define LAB_KERNEL_DEBUG_H

#include "lab/kernel/lock.h"

struct kernel_debug {
	char *vmlinux, *modules; /* paths */
	char *build_id;		 /* of vmlinux, hex */
	char *package;		 /* "linux-image-6.1.0-50-cloud-amd64-dbg 6.1.176-1" */
};
void kernel_debug_deinit(struct kernel_debug *d);
DEFINE_CLEANUP(kernel_debug, kernel_debug_deinit)

/* The folder's name; allocated. */
char *kernel_debug_name(const struct lock_kernel *k);
/* Returns 0, or -ENOENT. No file is read but meta.json. */
int kernel_debug_find(const struct lock_kernel *k, struct kernel_debug *ret, struct err *err);
/*
 * From the store, else the package is fetched (unless want->offline) and unpacked; kernel is the
 * same one of the store. -ENODATA: it cannot be had, or there is none; -EBADMSG: wrong checksum, no
 * vmlinux in it, or one of another build than the kernel; -EINTR: cancelled; what was fetched is
 * kept.
 */
int kernel_debug_fetch(const struct lock_kernel *k, const struct kernel *kernel,
		       const struct kernel_want *want, struct kernel_debug *ret, struct err *err);
/* As kernel_store_verify() and kernel_store_remove(). */
int kernel_debug_verify(const struct lock_kernel *k, struct err *err);
int kernel_debug_remove(const struct lock_kernel *k, struct err *err);

#endif
