/*
 * source-parts.h - what sources are made of: fetching, unpacking, looking at a tree. For source*.c.
 */
#ifndef LAB_SOURCE_PARTS_H
#define LAB_SOURCE_PARTS_H

#include "lab/kbuild/source.h"

/* --- source-fetch.c --- */

/*
 * The file of a pin, with the pin's SHA-256: from the cache, --mirror, or where the pin says.
 * stem: path in the cache without its ending (".part" grows, ".tar" is whole). Returns 0 with its
 * path (allocated), or as source_open(). Who calls holds the lock.
 */
int source_fetch(const struct source_place *place, const char *stem, char **ret, struct err *err);
/* The name in the URL or pool path, allocated: "linux-6.5.tar.xz". */
char *source_base_name(const struct source_place *place);
/* The pin's digest; NULL: neither a URL's pin nor a package. */
const char *source_digest(const struct source_place *place);

/* --- source-unpack.c --- */

/* depth: whoever removes the folders has that many open; 6.1 has 9 */
enum { SOURCE_MAX_MEMBERS = 500000, SOURCE_MAX_DEPTH = 64 };
#define SOURCE_MAX_BYTES (UINT64_C(4) << 30)

/* A tar archive that comes as a stream of bytes. */
struct source_stream {
	const char *name;						    /* for messages */
	uint64_t size;							    /* 0: not known */
	ssize_t (*read)(void *data, void *to, size_t len, struct err *err); /* as read(2) */
	void *data;
};
/*
 * Unpack into the empty folder dir, and check what is there then: one folder at the top (or none),
 * nothing outside of it, no link that leads out of it. tar, compressed with xz, gzip, zstd, bzip2,
 * lzma or not. *top is the path of the top folder, allocated. Only place's progress and cancel are
 * looked at. -EBADMSG (damaged, truncated, a member or link that leaves it, a device), -EFBIG (more
 * than SOURCE_MAX_*), -EINTR, -ENOSPC.
 */
int source_unpack_stream(const struct source_stream *stream, const struct source_place *place,
			 const char *dir, char **top, struct err *err);
/* The same for a file: a tarball, or a package of Debian's that has one in usr/src. -EINVAL. */
int source_unpack_file(const char *path, const char *name, const struct source_place *place,
		       const char *dir, char **top, struct err *err);

/* --- source-tree.c --- */

/* The version in the text of a top Makefile, allocated: "6.5.0-rc1". -EINVAL. */
int source_version_parse(const char *text, size_t len, char **ret, struct err *err);
/*
 * Is dir a kernel source that can be built out of tree? Fills version and kver. what: how it is
 * called in messages. -EINVAL, -EACCES.
 */
int source_tree_check(const char *dir, const char *what, struct source *ret, struct err *err);

#endif
