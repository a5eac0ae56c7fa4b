/*
 * kernel-file.h - a kernel from the user's own files: an image, a build tree, or a .deb.
 */
#ifndef LAB_KERNEL_FILE_H
#define LAB_KERNEL_FILE_H

#include "lab/kernel/kernel.h"

/*
 * path: a bzImage, Image or vmlinux; a kernel's build tree (kernel-tree.h); or a linux-image .deb,
 * which is unpacked into the cache under its SHA-256, with the linux-modules and linux-base
 * packages of the same release that lie beside it (Debian has split kernels so from 6.19 on; the
 * one to give is linux-binary). An image has modules when they are beside it in lib/modules/RELEASE
 * (or one folder up, as for /boot); its configuration is "config-RELEASE", "config" or ".config"
 * beside it. An image inside a build tree has that tree's. -ENOENT (or not readable), -ENOEXEC (no
 * kernel), -ENOTSUP (of another architecture), -EINVAL: its configuration, if there is one, lacks
 * what a guest needs (all of it is named), or has that as modules that are not there; -EINTR:
 * cancelled; or what kernel_tree_image() says.
 */
int kernel_from_path(const char *path, enum arch arch, const struct kernel_want *want,
		     struct kernel *ret, struct err *err);

#endif
