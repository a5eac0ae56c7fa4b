/*
 * image.h - the guest's root: a cpio initramfs (newc) for one architecture and kernel.
 *
 * Same inputs, same bytes: members sorted, mtimes fixed, owner 0:0. Cached under
 * cache_dir("images") by the SHA-256 of the inputs; two processes may build the same one at once.
 */
#ifndef LAB_IMAGE_H
#define LAB_IMAGE_H

#include "lab/kernel/kernel.h"

struct image {
	char *initrd; /* path: base archive and package archives in one file, for -initrd */
	char *disk;   /* read-only squashfs with a large package set; always NULL so far: all is in
			 initrd */
	char *sha256; /* of the inputs; names the image in run.json */
};

/*
 * Build (or find) the image of kernel with packages (Debian names pinned in vm/packages.lock;
 * strace and busybox are always there). offline and progress as in kernel_resolve().
 */
int image_build(const struct kernel *kernel, const struct strv *packages, bool offline,
		kernel_progress_fn progress, void *data, struct image *ret, struct err *err);
void image_deinit(struct image *image);
DEFINE_CLEANUP(image, image_deinit)

#endif
