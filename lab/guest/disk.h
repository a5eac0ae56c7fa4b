/*
 * disk.h - a large set of packages as a read-only squashfs, which the guest's agent lays over the
 * root of the initramfs.
 *
 * Nothing on it is compressed: unpacking under TCG costs more than reading. Same tree, same bytes.
 */
#ifndef LAB_DISK_H
#define LAB_DISK_H

#include "lab/guest/cpio.h"
#include "lab/kernel/kernel.h"

/* Whether kernel can use one: its drivers are built in, or modules that go into the initramfs. */
bool disk_suits(const struct kernel *kernel);

/*
 * Write the tree to path by sqfstar(1); temporary files are in dir, the folder of path. -ENOENT:
 * squashfs-tools are not installed (the text says what to install).
 */
int disk_write(struct cpio *c, const char *dir, const char *path, struct err *err);

#endif
