/*
 * image-root.h - what is in a guest's root: the pieces that image.c puts into the archive.
 */
#ifndef LAB_IMAGE_ROOT_H
#define LAB_IMAGE_ROOT_H

#include "lab/guest/cpio.h"
#include "lab/kernel/kernel.h"

/* Folders and the few files of /etc that programs expect. */
int image_root_skeleton(struct cpio *c, struct err *err);
/* The files of a Debian package, without documentation and what a guest never uses. */
int image_root_package(struct cpio *c, const char *deb_path, struct err *err);
/*
 * Kernel modules as list (vm/modules) names them, for the agent (/lib/lab/modules, /lib/lab/nodes)
 * and for modprobe; disk: with those that a disk takes. -EINVAL: the list is wrong.
 */
int image_root_modules(struct cpio *c, const struct kernel *kernel, const char *list, bool disk,
		       struct err *err);
/* The names of all modules that list has, disk's too, added to names. -EINVAL. */
int image_root_module_names(const char *list, struct strv *names, struct err *err);
/*
 * A link for each applet of the busybox that is in c, where no package has put a program of that
 * name. -ENOENT: no busybox, or no applets in it.
 */
int image_root_applets(struct cpio *c, struct err *err);
/*
 * The applets a busybox binary has, read from its table of names. Pure. Returns how many were
 * found.
 */
size_t image_applets(const char *binary, size_t len, struct strv *ret);

#endif
