/*
 * kernel-headers.h - what modules for one of Debian's kernels are built with, beside the kernel in
 * the store: cache_dir("kernels")/NAME-VERSION-ARCH.headers/
 *
 *	common/      Makefile, headers of all architectures that are needed, scripts/, tools/:
 *		     kbuild's source folder (make -C)
 *	arch/        the configuration, generated headers, Module.symvers; scripts/ and tools/ are
 *		     those of common/: kbuild's object folder (O=). Nothing is ever written to it
 *	lib/         the libraries of the tools, which are for a suite that need not be the host's:
 *		     each program among them is a script that starts it by its own loader
 *	SHA256SUMS, meta.json   as kernel-store.h has them
 *
 * It may be moved. A folder appears whole or not at all.
 */
#ifndef LAB_KERNEL_HEADERS_H
#define LAB_KERNEL_HEADERS_H

#include "lab/kernel/lock.h"

struct kernel_headers {
	char *dir;
};
void kernel_headers_deinit(struct kernel_headers *h);
DEFINE_CLEANUP(kernel_headers, kernel_headers_deinit)

/* The folder's name; allocated. */
char *kernel_headers_name(const struct lock_kernel *k);
/* The digests of the packages, in one line, allocated; NULL with err (-ENOTSUP as below). */
char *kernel_headers_inputs(const struct kernels_lock *lock, const struct lock_kernel *k,
			    struct err *err);
/*
 * Those of k, with tools for this host, from the store; else the packages are fetched (unless
 * want->offline) and unpacked. -ENOTSUP: they cannot be had, the text says why in a line;
 * -ENODATA: not in the cache, and offline; -EBADMSG: wrong checksum; -EINTR: cancelled, what was
 * fetched is kept.
 */
int kernel_headers_fetch(const struct kernels_lock *lock, const struct lock_kernel *k,
			 const struct kernel_want *want, struct kernel_headers *ret,
			 struct err *err);
/* Hash all files again. Returns 0, -ENOENT (not there), -EBADMSG (err names the file). */
int kernel_headers_verify(const struct kernels_lock *lock, const struct lock_kernel *k,
			  struct err *err);
/* As kernel_store_remove(); the packages stay, other kernels share some. */
int kernel_headers_remove(const struct lock_kernel *k, struct err *err);

#endif
