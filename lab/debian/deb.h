/*
 * deb.h - pinned Debian packages: from a lock's entry to a verified file, and to its members.
 */
#ifndef LAB_DEB_H
#define LAB_DEB_H

#include "lab/kernel/kernel.h"

/* One package as a lock names it. */
struct deb {
	char *name, *version;
	char *suite;  /* where it was found: "bookworm" */
	char *path;   /* pool path, relative to the archive's root */
	char *sha256; /* hex */
	uint64_t size;
	char *snapshot; /* of the archive, that still has it: "20261121T000000Z" */
};

/*
 * Bring the package into cache_dir("debs") (mirror, then snapshot), resuming a partial download;
 * returns its path in *ret (allocated). A file whose size or SHA-256 differs is removed and never
 * used: -EBADMSG. What is in the cache is hashed again, and fetched again when it was damaged. Two
 * processes may fetch the same file: one downloads, the other waits for it, and says so. cancel
 * (may be NULL): once it is not zero, -EINTR; what was fetched is kept.
 */
int deb_fetch(const struct deb *deb, bool offline, kernel_progress_fn progress, void *data,
	      const volatile int *cancel, char **ret, struct err *err);
/* Out of the cache. Returns 1, 0 (it was not there), -EBUSY (another process is fetching it). */
int deb_remove(const struct deb *deb, struct err *err);
/*
 * io_lock_file(); while another process holds it, progress (may be NULL) is told "waiting for
 * another lab: WHAT". cancel as above.
 */
int deb_lock(const char *path, const char *what, kernel_progress_fn progress, void *data,
	     const volatile int *cancel, struct err *err);

/* A member of a package's data archive while it is walked. */
struct deb_member {
	const char *path;  /* "usr/bin/strace", checked by path_is_inside() */
	const char *link;  /* symlink target, or for a hard link the member it equals; else NULL */
	unsigned int mode; /* S_IFREG, S_IFDIR, S_IFLNK and permissions */
	uint64_t size;
	void *reader; /* pass to deb_read() */
};
/* Read from the member being visited; like read(2). */
ssize_t deb_read(struct deb_member *m, void *to, size_t len, struct err *err);
/* Called for each member; 0 goes on, negative ends the walk with that. */
typedef int (*deb_member_fn)(void *data, struct deb_member *member, struct err *err);
int deb_walk(const char *deb_path, deb_member_fn fn, void *data, struct err *err);

struct deb deb_copy(const struct deb *d);
void deb_deinit(struct deb *d);
DEFINE_CLEANUP(deb, deb_deinit)

/*
 * The packages of vm/packages.lock that name needs on arch, itself and what it depends on, added to
 * *ret (an array the caller releases; entries already there are not repeated).
 * -ENOENT: not pinned (the text says how to pin it).
 */
int deb_locked_closure(const char *name, enum arch arch, struct deb **ret, size_t *n,
		       struct err *err);

/* SHA-256 of a file or of bytes, as 64 hex digits and NUL. */
int sha256_file(const char *path, char hex[65], struct err *err);
void sha256_bytes(const void *data, size_t len, char hex[65]);

#endif
