/*
 * cpio.h - a tree of files on its way into an archive for a guest's root: cpio (newc), or tar.
 *
 * Same calls, same bytes, whatever their order: members are sorted, times are fixed, owners are
 * 0:0. Contents wait in an unlinked temporary file, not in memory. A path added twice keeps what
 * came last; a folder never replaces something else. Paths are made the way a merged /usr has them
 * (bin/sh is usr/bin/sh), with sbin the same folder as bin, and their parents are added.
 */
#ifndef LAB_CPIO_H
#define LAB_CPIO_H

#include <sys/types.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

struct cpio_member {
	char *path;   /* "usr/bin/sh" */
	char *link;   /* target of a symlink, or (mode S_IFREG) the member a hard link equals */
	mode_t mode;  /* S_IFREG, S_IFDIR or S_IFLNK, and permissions */
	size_t order; /* of addition */
	uint64_t offset, size; /* in the spool */
};

struct cpio {
	struct cpio_member *members;
	size_t n, cap;
	int spool;
	uint64_t bytes; /* in the spool */
};

/* Makes the folders of a merged /usr. The spool is a file in dir, already unlinked. */
int cpio_init(struct cpio *c, const char *dir, struct err *err);
void cpio_deinit(struct cpio *c);
DEFINE_CLEANUP(cpio, cpio_deinit)

void cpio_add_dir(struct cpio *c, const char *path, unsigned int permissions);
void cpio_add_link(struct cpio *c, const char *path, const char *target);
/* The same contents as the regular member target, which may be added later. */
void cpio_add_hard_link(struct cpio *c, const char *path, const char *target);
int cpio_add_bytes(struct cpio *c, const char *path, unsigned int permissions, const void *data,
		   size_t len, struct err *err);
int cpio_add_host_file(struct cpio *c, const char *path, unsigned int permissions,
		       const char *host_path, struct err *err);
/* A regular member whose contents follow by cpio_append(). */
void cpio_begin_file(struct cpio *c, const char *path, unsigned int permissions);
int cpio_append(struct cpio *c, const void *data, size_t len, struct err *err);

/* Write the archive. -EINVAL: a hard link to what is not there. */
int cpio_write(struct cpio *c, int fd, struct err *err);
/* The same as tar, for a program that makes a file system of it. */
int cpio_write_tar(struct cpio *c, int fd, struct err *err);

#endif
