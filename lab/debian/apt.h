/*
 * apt.h - the package archive, as the host's apt knows it: where it is, and what its suites hold.
 *
 * No host name is compiled in: the mirror is $LAB_MIRROR, else the Debian archive among the host's
 * apt sources (asked of `apt-get indextargets`); the snapshot is $LAB_SNAPSHOT, else apt's own
 * Acquire::Snapshots::URI::… settings: an URL in which @SNAPSHOTID@ stands for the time stamp, or
 * the root of a server that has archive/debian/STAMP/. Trust: a suite's InRelease must be signed by
 * a key of $LAB_KEYRING (default: Debian's archive keyring), and Packages must have the size and
 * SHA-256 that InRelease gives.
 */
#ifndef LAB_APT_H
#define LAB_APT_H

#include "lab/debian/deb822.h"
#include "lab/kernel/kernel.h"

/* Root URL of the archive without a slash at its end, allocated; NULL: none is configured. */
char *apt_mirror(struct err *err);
/*
 * Root URL of the archive as it was at stamp ("20261121T000000Z"), allocated; NULL without an error
 * when no snapshot is configured.
 */
char *apt_snapshot(const char *stamp);
/* The proxy apt uses for the URL, or NULL. Allocated. */
char *apt_proxy(const char *url);
/* Does apt accept indexes past their Valid-Until (Acquire::Check-Valid-Until false)? */
bool apt_may_be_expired(void);

/*
 * Wait until no other process uses the indexes in the cache: they are replaced before they are
 * checked. Returns a descriptor that holds them until it is closed. Needed for what follows.
 */
int apt_lock(struct err *err);

struct apt_suite {
	char *name;   /* "bookworm" */
	char *dir;    /* cache_dir("apt")/NAME */
	int64_t date; /* of its InRelease, seconds */
	bool by_hash;
	char *sha256_field; /* checksums of its indexes */
};
/*
 * Fetch and verify the suite's InRelease. -ENOENT, -EIO (network), -EBADMSG (signature, or another
 * suite's), -ETIME (older than its Valid-Until, unless apt's Acquire::Check-Valid-Until is false).
 */
int apt_suite_open(const char *name, struct apt_suite *ret, struct err *err);
void apt_suite_deinit(struct apt_suite *s);
DEFINE_CLEANUP(apt_suite, apt_suite_deinit)

/* Called for each package of an index; 0 goes on, negative ends with that. */
typedef int (*apt_package_fn)(void *data, const struct deb822 *stanza, struct err *err);
/* Fetch (unless the cached one is current) and walk main's Packages of the architecture. */
int apt_suite_packages(const struct apt_suite *s, enum arch arch, kernel_progress_fn progress,
		       void *progress_data, apt_package_fn fn, void *data, struct err *err);

#endif
