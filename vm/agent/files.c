#include "vm/agent/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "jail/base/io.h"
#include "vm/agent/setup.h"

enum { DRAIN_MS = 60000, ARTEFACT_ENTRIES_MAX = 10000 };

int files_reset(struct err *err)
{
	while (umount2("/workspace", MNT_DETACH) == 0)
		;
	mkdir("/workspace", 0755);
	if (mount("tmpfs", "/workspace", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return err_errno(err, "mount tmpfs on /workspace");
	if (mkdir(WORK_DIR, 0755) < 0)
		return err_errno(err, "create " WORK_DIR);
	return 0;
}

static int open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOCTTY,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

int files_begin(struct incoming *in, const uint8_t *words, size_t len, struct err *err)
{
	const char *key, *value, *path = NULL;
	unsigned int mode = 0644;
	auto_close int dir = -1;
	size_t pos = 0;
	int r;

	if (in->fd >= 0)
		return err_set(err, EPROTO, "file %s is not at its end", in->path);
	while ((r = proto_next_word(words, len, &pos, &key, &value)) > 0) {
		if (str_eq(key, "path"))
			path = value;
		else if (str_eq(key, "mode"))
			mode = strtoul(value, NULL, 8) & 07777;
	}
	if (r < 0 || !path || !path_is_inside(path))
		return err_set(err, EPROTO, "a file without a path inside " WORK_DIR);
	dir = open(WORK_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno(err, WORK_DIR);
	for (const char *s = path; (s = strchr(s, '/')); s++) {
		auto_free char *parent = xstrndup(path, s - path);

		if (mkdirat(dir, parent, 0755) < 0 && errno != EEXIST)
			return err_errno(err, "create folder %s", parent);
	}
	in->fd = open_beneath(dir, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	if (in->fd < 0)
		return err_errno(err, "create %s", path);
	fchmod(in->fd, mode);
	in->path = xstrdup(path);
	return 0;
}

int files_data(struct incoming *in, const uint8_t *data, size_t len, struct err *err)
{
	int r;

	if (in->fd < 0)
		return err_set(err, EPROTO, "data without a file");
	r = io_write_all(in->fd, data, len);
	return r < 0 ? err_set(err, -r, "write %s: %s", in->path, strerror(-r)) : 0;
}

int files_end(struct incoming *in, struct err *err)
{
	if (in->fd < 0)
		return err_set(err, EPROTO, "the end of no file");
	files_drop(in);
	return 0;
}

void files_drop(struct incoming *in)
{
	cleanup_close(&in->fd);
	in->fd = -1;
	free(take_ptr(in->path));
}

/* Returns the bytes sent, or -errno before anything was. */
static int64_t send_file(struct channel *c, int dirfd, const char *path, int64_t room)
{
	auto_close int fd = open_beneath(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
	auto_cleanup(buf) words = {0};
	char mode[8];
	struct stat st;
	int64_t sum = 0;
	ssize_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > room)
		return -EFBIG;
	snprintf(mode, sizeof(mode), "%o", (unsigned int)st.st_mode & 07777);
	proto_add_word(&words, "path", path);
	proto_add_word(&words, "mode", mode);
	proto_add_number(&words, "size", st.st_size);
	channel_send(c, PROTO_FILE, words.data, words.len);
	do {
		if (channel_drain(c, CHANNEL_OUT_HIGH, DRAIN_MS) < 0)
			power_off(); /* nobody listens */
		sum += n;
		n = channel_send_from(c, PROTO_DATA, fd, room - sum);
	} while (n > 0 && sum < room);
	channel_send(c, PROTO_FILE_END, NULL, 0);
	return sum;
}

/* The names in a folder; false when path is none, or cannot be read. */
static bool read_folder(int dirfd, const char *path, struct strv *names)
{
	int fd = open_beneath(dirfd, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOFOLLOW, 0);
	auto_closedir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		cleanup_close(&fd);
		return false;
	}
	while (names->n < ARTEFACT_ENTRIES_MAX && (e = readdir(d)))
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			strv_add(names, e->d_name);
	strv_sort(names);
	return true;
}

/* path, or the files below it. left: entries that may still be looked at, in any folder. */
static void list_files(int dirfd, const char *path, struct strv *files, int *left)
{
	auto_cleanup(strv) names = {0};

	if (--*left < 0)
		return;
	if (!path_is_inside(path) || !read_folder(dirfd, path, &names)) {
		if (!strv_has(files, path))
			strv_add(files, path); /* if it is no file, send_file() says why not */
		return;
	}
	for (size_t i = 0; i < names.n && files->n <= ARTEFACT_FILES_MAX; i++) {
		auto_free char *below = path_join(path, names.items[i]);

		list_files(dirfd, below, files, left);
	}
}

void files_send(struct channel *c, int dirfd, const struct strv *paths, struct strv *notes)
{
	int64_t room = ARTEFACT_BYTES_MAX, n;
	auto_cleanup(strv) files = {0};
	int left = ARTEFACT_ENTRIES_MAX;

	for (size_t i = 0; i < paths->n; i++)
		list_files(dirfd, paths->items[i], &files, &left);
	if (left < 0)
		strv_addf(notes, "artefacts after %d files and folders were left out",
			  ARTEFACT_ENTRIES_MAX);
	for (size_t i = 0; i < files.n; i++) {
		const char *path = files.items[i];

		if (i >= ARTEFACT_FILES_MAX) {
			strv_addf(notes, "artefacts after the first %d were left out",
				  ARTEFACT_FILES_MAX);
			return;
		}
		n = path_is_inside(path) ? send_file(c, dirfd, path, room) : -EXDEV;
		if (n >= 0)
			room -= n;
		else
			strv_addf(notes, "artefact %s: %s", path,
				  n == -EINVAL	? "not a regular file"
				  : n == -EFBIG ? "too large: all together may have 64 MiB"
						: strerror(-n));
	}
}
