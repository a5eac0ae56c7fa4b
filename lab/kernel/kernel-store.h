/*
 * kernel-store.h - unpacked kernels in the cache: cache_dir("kernels")/NAME-VERSION-ARCH/
 *
 *	image                  bzImage (amd64) or raw Image (arm64), as QEMU's -kernel takes it
 *	config                 the kernel's .config (may lack when it is of the user's own .deb)
 *	lib/modules/RELEASE/   *.ko, *.ko.xz …; modules.builtin, modules.order; no modules.dep
 *	SHA256SUMS             of all of the above; `sha256sum -c` understands it
 *	meta.json              what it is, from which packages; written last
 *
 * A folder appears whole (renamed into place) or not at all. Two processes may make the same one.
 */
#ifndef LAB_KERNEL_STORE_H
#define LAB_KERNEL_STORE_H

#include "lab/kernel/lock.h"

/* The folder's name; allocated. */
char *kernel_store_name(const struct lock_kernel *k);

/*
 * Fill *ret from the folder of that name when it is whole and made of the packages with these
 * digests. Returns 0, or -ENOENT (not there, or other packages). No file is read but meta.json.
 */
int kernel_store_find(const struct lock_kernel *k, struct kernel *ret, struct err *err);
/* Unpack the packages at paths (in order) as that folder, unless it is there. -EINTR: cancelled. */
int kernel_store_add(const struct lock_kernel *k, char *const *paths,
		     const struct kernel_want *want, struct kernel *ret, struct err *err);
/*
 * Hash all its files, and those of its packages that are still there, and hold them against the
 * lock. Returns 0, -ENOENT (not there), -EBADMSG (err names the file).
 */
int kernel_store_verify(const struct lock_kernel *k, struct err *err);
/*
 * From the store, else the packages are fetched (unless want->offline) and unpacked. -ENODATA: they
 * cannot be had. -EINTR: cancelled; what was fetched is kept.
 */
int kernel_fetch(const struct lock_kernel *k, const struct kernel_want *want, struct kernel *ret,
		 struct err *err);
/*
 * With its packages. Returns 1, 0 (nothing was there), or a negative errno: -EBUSY when another
 * process is just making it.
 */
int kernel_store_remove(const struct lock_kernel *k, struct err *err);

#endif
