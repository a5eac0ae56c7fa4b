/*
 * io.h - files and descriptors. Every descriptor opened here is O_CLOEXEC.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

/* Append a whole file of at most max bytes (larger: -EFBIG) to out. dirfd may be AT_FDCWD. */
int io_read_file(int dirfd, const char *path, size_t max, struct buf *out, struct err *err);
/* The same of a plain file alone (else -EINVAL): does not wait for who writes to a pipe. */
int io_read_regular(int dirfd, const char *path, size_t max, struct buf *out, struct err *err);
/*
 * Open path below dirfd and never outside of it, whatever links are in it (openat2(2)); links:
 * those that stay below may be followed, else none is. Returns the descriptor, -1 with errno.
 */
int io_open_beneath(int dirfd, const char *path, int flags, mode_t mode, bool links);
/* Read fd to its end, at most max bytes (more: -EFBIG), retrying EINTR. */
int io_read_fd(int fd, size_t max, struct buf *out, struct err *err);

/* Write all of data, retrying EINTR and short writes. Returns 0 or -errno (no text: the caller
 * knows the object). */
int io_write_all(int fd, const void *data, size_t len);

/*
 * Replace a file in one step: write to a temporary name in the same folder, then rename. After a
 * failure (a full disk, say) the old file is untouched and the temporary one is gone.
 */
int io_write_atomic(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
		    struct err *err);

/* mkdir -p; existing folders are fine. */
int io_mkdirs(const char *path, mode_t mode, struct err *err);
/* Remove a tree without following links; a path that is not there is fine. */
int io_remove_tree(int dirfd, const char *path, struct err *err);
/*
 * Wait until what was written to path's file system is on its disk: before a folder gets the name
 * that says it is whole. Returns 0, or what the disk said (-EIO, -ENOSPC).
 */
int io_sync(const char *path, struct err *err);
/* Sum of the allocated sizes below path, in bytes; 0 when it is not there. */
uint64_t io_tree_size(const char *path);
bool io_exists(const char *path);

/*
 * A lock that excludes other processes, held until the descriptor is closed (flock(2)). Its holder
 * may remove the file: those who wait then lock the one that is made next.
 */
enum io_lock {
	IO_LOCK_WAIT,
	IO_LOCK_TRY,	/* does not wait */
	IO_LOCK_SHARED, /* does not wait; held together with others of this kind */
};
/* Returns the descriptor, -EWOULDBLOCK when one that does not wait finds it held, or another
 * negative errno.
 */
int io_lock_file(const char *path, enum io_lock how, struct err *err);

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t io_now_ms(void);

#endif
