/*
 * kernel-pin.h - looks in the archive for what a pin or the guest's packages should be now, and
 * writes the locks.
 */
#ifndef LAB_KERNEL_PIN_H
#define LAB_KERNEL_PIN_H

#include "lab/debian/deb822.h"
#include "lab/kernel/lock.h"
#include "lab/kernel/pins.h"

/* The project's kernels.yml and kernels.lock (a lock that is not there is empty). */
int pins_load(struct pins *ret, struct err *err);
int kernels_lock_load(struct kernels_lock *ret, struct err *err);

/*
 * Called for each pin and what of it ("amd64", "arm64", "source") when it is decided, with the
 * package's versions. before NULL: new. after NULL: dropped.
 */
typedef void (*kernel_pin_fn)(void *data, const char *name, const char *what, const char *before,
			      const char *after);
/*
 * Pin the named kernels for both architectures to the newest package of their suite, their sources
 * that are packages too, and replace kernels.lock; entries of it that kernels.yml does not have are
 * dropped. A source that is a tarball needs no pinning. -ENOENT: unknown name (listed), or no such
 * package in the suite.
 */
int kernel_pin(const struct strv *names, kernel_progress_fn progress, kernel_pin_fn decided,
	       void *data, struct err *err);
/*
 * Leave kernels and sources as they are, and pin what modules are built with, of exactly the
 * version that is pinned: decided is told "headers amd64"; after NULL: the archive has none (any
 * more). -ENOENT: as above, or not pinned.
 */
int kernel_pin_headers(const struct strv *names, kernel_progress_fn progress, kernel_pin_fn decided,
		       void *data, struct err *err);

/* Pin the packages of vm/packages.yml with all they need. *n: packages over both architectures. */
int packages_pin(kernel_progress_fn progress, void *data, size_t *n, struct err *err);

/* A package as an index describes it. -EBADMSG. */
int deb_from_stanza(const struct deb822 *s, const char *suite, const char *stamp, struct deb *ret,
		    struct err *err);

/* The time stamp for a lock written now from a suite whose InRelease is of date. */
char *pin_stamp(int64_t date);

#endif
