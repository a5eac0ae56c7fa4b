/*
 * kernel-unpack.h - from the members of kernel packages to a folder of the store; for
 * kernel-store.c and kernel-debug.c.
 */
#ifndef LAB_KERNEL_UNPACK_H
#define LAB_KERNEL_UNPACK_H

#include "lab/debian/deb.h"

/*
 * Write what dir needs of the package: image, config, lib/modules/RELEASE/. -EINTR: *cancel (which
 * may be NULL) is not zero any more.
 */
int kernel_unpack(const char *deb_path, const char *release, const char *dir,
		  const volatile int *cancel, struct err *err);
/* Write the member being visited to a new file; the folders it is in are made. -EINTR as above. */
int kernel_unpack_member(struct deb_member *m, const char *to, const volatile int *cancel,
			 struct err *err);
/*
 * Check that there is an image, and that it is what QEMU takes: an arm64 image compressed as an EFI
 * program (zboot) is replaced by what it holds, at most 256 MiB. -EBADMSG.
 */
int kernel_unpack_finish(const char *dir, enum arch arch, struct err *err);

/* "HEX  PATH\n" of every file below dir but meta.json and SHA256SUMS, sorted by path. */
int kernel_sums(const char *dir, struct buf *out, struct err *err);
/* Returns 0, or -EBADMSG with the first file that differs. */
int kernel_sums_compare(const char *dir, const char *then, const char *now, struct err *err);

#endif
