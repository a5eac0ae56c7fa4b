/*
 * kernel-tree.h - a folder in which somebody builds kernels: what kbuild left in it, and whether
 * that is whole.
 *
 * The tree may be the source itself or what make's O= named. It is only read. The checks are cheap
 * (a few dozen stat(2)): what make would find out by comparing every object is not repeated.
 */
#ifndef LAB_KERNEL_TREE_H
#define LAB_KERNEL_TREE_H

#include "lab/kernel/kernel.h"

/* Where kbuild puts the image: "arch/x86/boot/bzImage". Its last part is make's target. */
const char *kernel_tree_image_name(enum arch arch);

/*
 * The image in the tree at path. Returns 0, or
 * -EINVAL: no build tree, not configured, not built, or half built; configured for something else;
 * unreadable. The text has the way out.
 * -ENOTSUP: built for another architecture.
 * *image is the caller's.
 */
int kernel_tree_image(const char *path, enum arch arch, char **image, struct err *err);

/* The tree that an image (a path without links) was built in; allocated. NULL: in none. */
char *kernel_tree_of(const char *image);

/*
 * What else the tree says about k, whose image is in it: release, version, config, modules,
 * vmlinux, origin; and that it is local. -EINVAL: the image is of another release than the tree.
 */
int kernel_tree_describe(const char *tree, struct kernel *k, struct err *err);

#endif
