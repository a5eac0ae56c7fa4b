/*
 * kbuild.h - one kernel from its source to the cache.
 *
 * fetch, verify, unpack (source.h), configure (configure.h), make out of tree (make.h), install
 * (built.h). One build of a kernel at a time on this cache: a second one waits, and says so. A
 * build that was ended goes on where it was. In cache_dir("builds"):
 *	NAME-ARCH-KEY/	   the objects; removed after success, unless the source is a local one
 *	NAME-ARCH.log	   what was run for the last build, and what it said
 *	NAME-ARCH.history  history.h
 *	NAME-ARCH.lock	   held while it is built
 *
 * Same source, fragments and compiler give the same bytes: KBUILD_BUILD_* are fixed and paths are
 * mapped (Documentation/kbuild/reproducible-builds.rst).
 */
#ifndef LAB_KBUILD_H
#define LAB_KBUILD_H

#include "lab/kbuild/history.h"
#include "lab/kconfig/flavour.h"
#include "lab/kernel/built.h"
#include "lab/kernel/lock.h"
#include "lab/kernel/pins.h"

struct kbuild_request {
	const char *name; /* "6.1+debug+kasan", what it will be called */
	enum arch arch;
	const struct flavour *flavour;
	const struct pin *pin;	   /* NULL: a source of the user's without a pin */
	const struct deb *package; /* the lock's, for a pin of Debian's */
	const char *source;	   /* --source or NULL */
	bool fresh;		   /* build although it is there */
	const struct kernel_want *want;
};

/* The inputs' digest, 64 hex digits allocated; NULL with err. *local as in struct source. */
char *kbuild_inputs(const struct kbuild_request *r, bool *local, struct err *err);
/*
 * May its name still mean it? Not when it means Debian's kernel now, or when a build would make
 * another one, by either compiler; what cannot be built anew (local, imported, of a fragment that
 * is elsewhere) is current.
 */
bool kbuild_is_current(const struct built *b);
/*
 * Returns 0 with the kernel; -EINTR (cancelled), -ENOSPC (says how to go on), -EIO (make failed:
 * err quotes the first error and names the log), -ENOPKG (no compiler, or a tool is missing), or
 * what source.h, toolchain.h and configure.h say.
 */
int kbuild(const struct kbuild_request *r, struct kernel *ret, struct built *info, struct err *err);

#endif
