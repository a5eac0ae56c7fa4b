/*
 * source.h - kernel sources: fetched, checked, unpacked; or a tree of the user's.
 *
 * Tarballs and packages are verified before they are unpacked, into cache_dir("sources")/HEX16 (the
 * start of their SHA-256), which appears whole or not at all. Members that would leave the folder
 * are refused (-EBADMSG). Beside it:
 *	HEX16.lock	held while it is made; shared by those who use it
 *	HEX16.part	what was fetched so far
 *	HEX16.tar	fetched and verified; goes when it is unpacked
 *	HEX16.tmp	being unpacked
 */
#ifndef LAB_SOURCE_H
#define LAB_SOURCE_H

#include "jail/base/kver.h"
#include "lab/kernel/kernel.h"
#include "lab/kernel/lock.h"
#include "lab/kernel/pins.h"

struct source {
	char *dir;     /* the tree, absolute */
	char *version; /* `make kernelversion`: "6.5.0" */
	struct kver kver;
	char *id;	/* "sha256:HEX" of the tarball or package; a tree: "tree:DIR" */
	char *describe; /* a tree under git: `git describe --tags --always --dirty`; else NULL */
	bool local;	/* not what a pin names */
	bool is_tree;	/* the user's own folder: nothing is ever written to it */
	int hold;	/* > 0: a lock: dir is not removed before source_deinit() */
};

/* Where sources may come from. All may be NULL but one of the first three. */
struct source_place {
	const struct pin *pin;	   /* with url */
	const struct deb *package; /* with a pin of Debian's: the lock's entry */
	const char *path;	   /* --source: a folder or a tarball */
	const char *mirror;	   /* --mirror: a URL or folder that holds the file of that name */
	bool offline;
	kernel_progress_fn progress;
	void *data;
	const volatile int *cancel;
};

/* Of a pin or its package, or of path, for who wants a kernel. Points into all of them. */
struct source_place source_place(const struct pin *pin, const struct deb *package, const char *path,
				 const struct kernel_want *want);

/*
 * The id that source_open() would give, without fetching or reading anything large; allocated. A
 * path that is a tarball is hashed. NULL with err.
 */
char *source_id(const struct source_place *place, struct err *err);
/*
 * Returns 0; -ENODATA (offline, or it cannot be fetched: the text says to use --source or
 * --mirror), -EBADMSG (checksum, truncated, a path that leaves the tree), -ENOENT, -EINVAL (no
 * kernel source; one of another version than the pin's; a tree that was built in place, which
 * kbuild refuses: "make mrproper" or `lab run --kernel DIR`), -EFBIG (a tarball without end),
 * -ENOSPC, -EINTR (cancelled; what was fetched is kept).
 */
int source_open(const struct source_place *place, struct source *ret, struct err *err);
/*
 * Where the pin's or package's source is, when it was unpacked; allocated. NULL: it is not there.
 * Nothing holds it there.
 */
char *source_find(const struct source_place *place);
void source_deinit(struct source *s);
DEFINE_CLEANUP(source, source_deinit)

#endif
