/*
 * qemu.h - the QEMU programs of this host: where, and which version.
 */
#ifndef LAB_QEMU_H
#define LAB_QEMU_H

#include "jail/base/arch.h"
#include "jail/base/err.h"

/*
 * The QEMU for guests of arch, found in PATH: an absolute path, allocated. NULL with err
 * (-ENOENT's text names the package to install).
 */
char *qemu_find(enum arch arch, struct err *err);

/*
 * A folder under cache_dir("virt") that belongs to this very file of QEMU (path, time, size),
 * created when needed. Allocated; NULL with err.
 */
char *qemu_cache_dir(const char *qemu, struct err *err);

/* "7.2.22", allocated; asked once, then kept in qemu_cache_dir(). NULL with err. */
char *qemu_version(const char *qemu, struct err *err);

#endif
