#include "jail/base/io.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

int io_read_fd(int fd, size_t max, struct buf *out, struct err *err)
{
	size_t start = out->len;

	for (;;) {
		ssize_t n;

		buf_reserve(out, 65536);
		n = read(fd, out->data + out->len, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "read");
		out->len += n;
		out->data[out->len] = '\0';
		if (n == 0)
			return 0;
		if (out->len - start > max)
			return err_set(err, EFBIG, "larger than %zu bytes", max);
	}
}

int io_open_beneath(int dirfd, const char *path, int flags, mode_t mode, bool links)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | (links ? RESOLVE_NO_MAGICLINKS : RESOLVE_NO_SYMLINKS),
	};

	return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

int io_read_file(int dirfd, const char *path, size_t max, struct buf *out, struct err *err)
{
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return err_errno(err, "%s", path);
	if (io_read_fd(fd, max, out, err) < 0)
		return err_wrap(err, "%s", path);
	return 0;
}

int io_read_regular(int dirfd, const char *path, size_t max, struct buf *out, struct err *err)
{
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "%s is not a file",
			       path);
	return io_read_fd(fd, max, out, err) < 0 ? err_wrap(err, "%s", path) : 0;
}

int io_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= n;
	}
	return 0;
}

int io_write_atomic(int dirfd, const char *path, const void *data, size_t len, mode_t mode,
		    struct err *err)
{
	static atomic_uint serial; /* two threads may replace one file at once */
	auto_free char *tmp =
		str_printf("%s.tmp-%d-%u", path, (int)getpid(), atomic_fetch_add(&serial, 1));
	auto_close int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	int r;

	if (fd < 0)
		return err_errno(err, "write %s", path);
	r = io_write_all(fd, data, len);
	if (r == 0 && close(take_fd(fd)) < 0)
		r = -errno;
	if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, tmp, 0);
		return err_set(err, -r, "write %s: %s", path, strerror(-r));
	}
	return 0;
}

int io_mkdirs(const char *path, mode_t mode, struct err *err)
{
	auto_free char *p = xstrdup(path);
	struct stat st;

	for (char *s = p + (*p != '\0');; s++) {
		char c = *s;

		if (c && c != '/')
			continue;
		*s = '\0';
		if (mkdir(p, mode) < 0 && errno != EEXIST)
			return err_errno(err, "create folder %s", p);
		if (!c)
			break;
		*s = c;
	}
	if (stat(p, &st) < 0)
		return err_errno(err, "create folder %s", p);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "create folder %s: %s", p, strerror(ENOTDIR));
	return 0;
}

int io_remove_tree(int dirfd, const char *path, struct err *err)
{
	auto_closedir DIR *d = NULL;
	struct dirent *e;
	int fd;

	if (unlinkat(dirfd, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(err, "remove %s", path);
	fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "remove %s", path);
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return err_errno(err, "remove %s", path);
	}
	while ((e = readdir(d))) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if (io_remove_tree(fd, e->d_name, err) < 0)
			return err_wrap(err, "%s", path);
	}
	if (unlinkat(dirfd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_errno(err, "remove %s", path);
	return 0;
}

int io_sync(const char *path, struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 || syncfs(fd) < 0 ? err_errno(err, "write %s", path) : 0;
}

static uint64_t tree_size_at(int dirfd, const char *path)
{
	auto_closedir DIR *d = NULL;
	struct dirent *e;
	struct stat st;
	uint64_t sum;
	int fd;

	if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	sum = (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode))
		return sum;
	fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return sum;
	d = fdopendir(fd);
	if (!d) {
		close(fd);
		return sum;
	}
	while ((e = readdir(d)))
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			sum += tree_size_at(fd, e->d_name);
	return sum;
}

uint64_t io_tree_size(const char *path)
{
	return tree_size_at(AT_FDCWD, path);
}

bool io_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int io_lock_file(const char *path, enum io_lock how, struct err *err)
{
	int flags =
		(how == IO_LOCK_SHARED ? LOCK_SH : LOCK_EX) | (how == IO_LOCK_WAIT ? 0 : LOCK_NB);

	for (;;) {
		auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		struct stat held, there;

		if (fd < 0)
			return err_errno(err, "lock %s", path);
		while (flock(fd, flags) < 0) {
			if (errno != EINTR)
				return err_errno(err, "lock %s", path);
		}
		/* who held it may have removed the file: then others lock a new one */
		if (fstat(fd, &held) == 0 && stat(path, &there) == 0 &&
		    held.st_dev == there.st_dev && held.st_ino == there.st_ino)
			return take_fd(fd);
	}
}

int64_t io_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
