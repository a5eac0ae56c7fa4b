/*
 * disk.h - the packages that came on a disk, in their places.
 */
#ifndef AGENT_DISK_H
#define AGENT_DISK_H

#include "jail/base/err.h"

/*
 * Where the image says that there is a disk: lay each of its folders (/usr, /etc, …) over the one
 * of that name in the initramfs, writable, what is written staying in memory. /workspace, /tmp and
 * the like are not touched, so that file systems mounted in them are what they are without a disk.
 */
int disk_mount(struct err *err);

#endif
