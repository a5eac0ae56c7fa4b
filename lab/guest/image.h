/*
 * image.h - the guest's root: a cpio initramfs (newc) for one architecture and kernel, and for a
 * large set of packages a disk that the agent lays over it.
 *
 * Same inputs, same bytes: members sorted, mtimes fixed, owner 0:0. Cached under
 * cache_dir("images") by the SHA-256 of the inputs; two processes may build the same one at once.
 * A kernel that cannot use a disk (disk_suits()) gets everything in the initramfs.
 */
#ifndef LAB_IMAGE_H
#define LAB_IMAGE_H

#include "lab/kernel/kernel.h"

struct image {
	char *initrd; /* path, for -initrd */
	char *disk;   /* path of a squashfs with the packages; NULL: they are in initrd */
	char *sha256; /* of the inputs of both; names the image in run.json */
};

/*
 * Build (or find) the image of kernel with packages (Debian names pinned in vm/packages.lock;
 * strace and busybox are always there). offline and progress as in kernel_resolve().
 */
int image_build(const struct kernel *kernel, const struct strv *packages, bool offline,
		kernel_progress_fn progress, void *data, struct image *ret, struct err *err);
/*
 * Whether a machine with that much memory can unpack the initrd: 0, or -E2BIG with a text that says
 * what to do (the guest's kernel would panic, or never get to its agent).
 */
int image_fits(const struct image *image, unsigned int memory_mib, struct err *err);
void image_deinit(struct image *image);
DEFINE_CLEANUP(image, image_deinit)

#endif
