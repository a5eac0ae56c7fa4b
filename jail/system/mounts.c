#include "jail/system/mounts.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "jail/base/cleanup.h"
#include "jail/base/io.h"
#include "jail/base/str.h"
#include "jail/plan/mountinfo.h"

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

enum { ATTR_RDONLY = 1, RECURSIVE = 0x8000, FD_PATH_MAX = 32, MOUNTINFO_MAX = 1 << 20 };

/* struct mount_attr of linux/mount.h, which cannot be included beside sys/mount.h */
struct attr {
	uint64_t set, clear, propagation, userns_fd;
};

static int fail(struct err *err)
{
	return err_set(err, errno, "%s", strerror(errno));
}

/* A descriptor as a path for mount(2). */
static const char *fd_path(int fd, char buf[FD_PATH_MAX])
{
	snprintf(buf, FD_PATH_MAX, "/proc/self/fd/%d", fd);
	return buf;
}

static int mount_failed(struct err *err)
{
	int code = errno;

	if (code == ENOENT && access("/proc/self/fd", F_OK) < 0)
		return err_set(err, code, "jail needs /proc to be mounted");
	return err_set(err, code, "%s", strerror(code));
}

/* --- looking up targets --- */

/* Before openat2(2) (Linux 5.6): step by step, and a link is refused. */
static int open_stepwise(int root_fd, const char *path)
{
	auto_close int fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	char name[NAME_MAX + 1];
	struct stat st;

	while (fd >= 0 && *(path += strspn(path, "/"))) {
		size_t len = strcspn(path, "/");
		int next;

		if (len > NAME_MAX) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		next = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = next;
		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode)) {
			errno = ELOOP;
			return -1;
		}
	}
	return take_fd(fd);
}

static int open_in(int root_fd, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd < 0 && errno == ENOSYS ? open_stepwise(root_fd, path) : fd;
}

/* The folder of path, and its last name. */
static int open_parent(int root_fd, const char *path, const char **name)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (len >= sizeof(parent)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(parent, path, len);
	parent[len] = '\0';
	*name = slash ? slash + 1 : path;
	return open_in(root_fd, len ? parent : "/");
}

/* Make one missing mount point, a folder or an empty file. */
static int make_point(int root_fd, const char *path, bool is_dir)
{
	const char *name;
	auto_close int dir = open_parent(root_fd, path, &name);
	auto_close int file = -1;

	if (dir < 0)
		return -1;
	if (is_dir)
		return mkdirat(dir, name, 0755) < 0 && errno != EEXIST ? -1 : 0;
	file = openat(dir, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0644);
	return file < 0 && errno != EEXIST ? -1 : 0;
}

/* Open a mount point; with MOUNTS_MAKE, making what is missing of it. */
static int open_point(int root_fd, const char *path, unsigned int how, bool is_dir, struct err *err)
{
	char prefix[PATH_MAX];
	int fd = open_in(root_fd, path);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT && !(how & MOUNTS_MAKE))
		return err_set(err, ENOENT, "no such mount point in the new root: make it there");
	if (strlen(path) >= sizeof(prefix))
		return err_set(err, ENAMETOOLONG, "%s", strerror(ENAMETOOLONG));
	for (const char *p = path; errno == ENOENT && *p;) {
		bool is_last;

		p += strspn(p, "/");
		p += strcspn(p, "/");
		is_last = !*p;
		memcpy(prefix, path, (size_t)(p - path));
		prefix[p - path] = '\0';
		fd = open_in(root_fd, prefix);
		if (fd < 0 && errno == ENOENT &&
		    make_point(root_fd, prefix, !is_last || is_dir) < 0)
			return err_set(err, errno, "make the mount point: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		errno = ENOENT;
	}
	fd = open_in(root_fd, path);
	return fd < 0 ? fail(err) : fd;
}

/* --- read-only --- */

/* What is on top at this path becomes read-only, and keeps the flags it has: some are locked. */
static int remount_rdonly(const char *path)
{
	static const struct {
		unsigned long st, ms;
	} kept[] = {
		{ST_NOSUID, MS_NOSUID},		{ST_NODEV, MS_NODEV},
		{ST_NOEXEC, MS_NOEXEC},		{ST_NOATIME, MS_NOATIME},
		{ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME},
	};
	unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;
	struct statvfs fs;

	if (statvfs(path, &fs) < 0)
		return -1;
	for (size_t i = 0; i < array_len(kept); i++)
		flags |= fs.f_flag & kept[i].st ? kept[i].ms : 0;
	return mount(NULL, path, NULL, flags, NULL);
}

/* Before mount_setattr(2) (Linux 5.12): each mount by itself. */
static int remount_each(const char *dir, struct err *err)
{
	static char text[MOUNTINFO_MAX];
	auto_close int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	const char *point;
	size_t len = 0;
	char *cursor = text;
	ssize_t n = -1;
	int r;

	while (fd >= 0 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		return err_errno(err, "read /proc/self/mountinfo");
	if (len == sizeof(text) - 1)
		return err_set(err, E2BIG, "too many mounts to make read-only one by one");
	text[len] = '\0';
	while ((r = mountinfo_next(&cursor, &point)) > 0) {
		if (!mountinfo_is_below(point, dir) || remount_rdonly(point) == 0)
			continue;
		/* one that no path leads to, as another covers it (EINVAL), is not written to */
		if (str_eq(point, dir) ||
		    (errno != EACCES && errno != ENOENT && errno != ENOTDIR && errno != EINVAL))
			return err_errno(err, "remount %s", point);
	}
	return r < 0 ? err_set(err, EINVAL, "/proc/self/mountinfo: an unknown format") : 0;
}

static int make_rdonly(int fd, bool is_recursive, struct err *err)
{
	const struct attr attr = {.set = ATTR_RDONLY};
	unsigned int flags = AT_EMPTY_PATH | (is_recursive ? RECURSIVE : 0);
	char link[FD_PATH_MAX], dir[PATH_MAX];
	ssize_t len;

	if (syscall(SYS_mount_setattr, fd, "", flags, &attr, sizeof(attr)) == 0)
		return 0;
	if (errno != ENOSYS)
		return err_errno(err, "make it read-only");
	len = readlink(fd_path(fd, link), dir, sizeof(dir) - 1);
	if (len < 0)
		return mount_failed(err);
	dir[len] = '\0';
	if (is_recursive)
		return remount_each(dir, err);
	return remount_rdonly(dir) < 0 ? err_errno(err, "make it read-only") : 0;
}

int mounts_rdonly_root(int root_fd, struct err *err)
{
	return make_rdonly(root_fd, false, err);
}

/* --- mounts --- */

int mounts_private(struct err *err)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? fail(err) : 0;
}

int mounts_open_source(const char *path, struct err *err)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? fail(err) : fd;
}

/* A folder to build the root on; it hides what it holds, but no bind needs that by path. */
static const char *staging(void)
{
	static const char *const places[] = {"/tmp", "/run", "/mnt", "/dev", "/sys"};
	struct stat st;

	for (size_t i = 0; i < array_len(places); i++)
		if (stat(places[i], &st) == 0 && S_ISDIR(st.st_mode))
			return places[i];
	return NULL;
}

int mounts_new_root(int source_fd, bool is_rdonly, struct err *err)
{
	const char *place = staging();
	char source[FD_PATH_MAX];
	auto_close int fd = -1;
	int r;

	if (!place)
		return err_set(err, ENOENT, "no folder to build it on: make /tmp");
	if (source_fd < 0)
		r = mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
	else
		r = mount(fd_path(source_fd, source), place, NULL, MS_BIND | MS_REC, NULL);
	if (r < 0)
		return mount_failed(err);
	fd = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(err);
	r = is_rdonly ? make_rdonly(fd, true, err) : 0;
	return r < 0 ? r : take_fd(fd);
}

int mounts_bind(int root_fd, int source_fd, const char *target, unsigned int how, struct err *err)
{
	char from[FD_PATH_MAX], to[FD_PATH_MAX];
	auto_close int point = -1, top = -1;
	struct stat st;

	if (fstat(source_fd, &st) < 0)
		return fail(err);
	point = open_point(root_fd, target, how, S_ISDIR(st.st_mode), err);
	if (point < 0)
		return point;
	if (mount(fd_path(source_fd, from), fd_path(point, to), NULL, MS_BIND | MS_REC, NULL) < 0)
		return mount_failed(err);
	if (!(how & MOUNTS_RDONLY))
		return 0;
	top = open_in(root_fd, target); /* point is what lies below the new mount */
	return top < 0 ? fail(err) : make_rdonly(top, true, err);
}

int mounts_mount(int root_fd, const char *type, const char *target, unsigned int how,
		 unsigned long flags, const char *options, struct err *err)
{
	char to[FD_PATH_MAX];
	auto_close int point = open_point(root_fd, target, how, true, err);

	if (point < 0)
		return point;
	if (mount(type, fd_path(point, to), type, flags, options) == 0)
		return 0;
	if (errno == EPERM && str_eq(type, "proc"))
		return err_set(err, EPERM,
			       "%s (in a user namespace: where the present /proc is partly hidden, "
			       "as in a container, the kernel gives no other)",
			       strerror(EPERM));
	if (errno == ENODEV)
		return err_set(err, ENODEV, "this kernel has no file system %s", type);
	return mount_failed(err);
}

void mounts_try_sysfs(void)
{
	/* the cgroup tree is mounted on the old sysfs: bring it along */
	auto_close int cgroup = open("/sys/fs/cgroup", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char from[FD_PATH_MAX];

	if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 &&
	    cgroup >= 0)
		mount(fd_path(cgroup, from), "/sys/fs/cgroup", NULL, MS_BIND | MS_REC, NULL);
}

int mounts_folder(int root_fd, const char *path, mode_t mode, struct err *err)
{
	const char *name;
	auto_close int dir = open_parent(root_fd, path, &name);

	if (dir < 0 || (mkdirat(dir, name, mode) < 0 && errno != EEXIST))
		return fail(err);
	return fchmodat(dir, name, mode, 0) < 0 ? fail(err) : 0; /* whatever the umask */
}

int mounts_symlink(int root_fd, const char *path, const char *to, struct err *err)
{
	const char *name;
	auto_close int dir = open_parent(root_fd, path, &name);

	return dir < 0 || symlinkat(to, dir, name) < 0 ? fail(err) : 0;
}

int mounts_copy_link(int root_fd, const char *path, struct err *err)
{
	char to[PATH_MAX];
	ssize_t len = readlink(path, to, sizeof(to) - 1);

	if (len < 0)
		return 0;
	to[len] = '\0';
	return mounts_symlink(root_fd, path, to, err);
}

int mounts_pivot(int root_fd, struct err *err)
{
	if (fchdir(root_fd) < 0)
		return fail(err);
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		/* the old root now lies on top of the new one, and is the present folder */
		if (umount2(".", MNT_DETACH) < 0)
			return err_errno(err, "let go of the old root");
	} else if (errno != EINVAL) {
		return fail(err);
	} else {
		if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
			return err_errno(err, "move the new root over the old one");
		if (chroot(".") < 0)
			return err_errno(err, "chroot");
	}
	return chdir("/") < 0 ? fail(err) : 0;
}
