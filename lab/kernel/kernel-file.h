/*
 * kernel-file.h - a kernel from the user's own files: an image, a build tree, or a .deb.
 */
#ifndef LAB_KERNEL_FILE_H
#define LAB_KERNEL_FILE_H

#include "lab/kernel/kernel.h"

/*
 * path: a bzImage, Image or vmlinux; a kernel build tree (its bzImage or Image and .config are
 * used); or a linux-image .deb, which is unpacked into the cache under its SHA-256.
 * An image has modules when they are beside it in lib/modules/RELEASE; its configuration is
 * "config" or ".config" beside it, or "config-RELEASE".
 * -ENOENT, -ENOEXEC (no kernel), -ENOTSUP (of another architecture).
 */
int kernel_from_path(const char *path, enum arch arch, struct kernel *ret, struct err *err);

#endif
