#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/debian/deb.h"
#include "lab/kbuild/source-parts.h"

enum { CHUNK = 1 << 17, SHOW_MS = 100, TAR_BLOCK = 512 };

struct unpacking {
	const struct source_stream *stream;
	const struct source_place *place;
	struct archive *archive;
	int root, folder; /* descriptors: where it goes; the folder that was used last */
	char *folder_path;
	struct strv links; /* symbolic links, looked at when everything is there */
	uint64_t fed, bytes;
	size_t zeros; /* at the end of what was fed */
	size_t members;
	int64_t shown_ms;
	char *showing;
	struct err fed_err; /* what the stream said when it failed */
	char chunk[CHUNK], out[CHUNK];
};

static void unpacking_free(struct unpacking *u)
{
	if (!u)
		return;
	archive_read_free(u->archive);
	if (u->root >= 0)
		close(u->root);
	if (u->folder >= 0)
		close(u->folder);
	free(u->folder_path);
	strv_deinit(&u->links);
	free(u->showing);
	free(u);
}

static void show(struct unpacking *u, bool over)
{
	const struct source_place *p = u->place;
	uint64_t size = u->stream->size;

	if (!p->progress || (!over && io_now_ms() - u->shown_ms < SHOW_MS))
		return;
	u->shown_ms = io_now_ms();
	if (over)
		p->progress(p->data, u->showing, size ? size : 1, size ? size : 1);
	else if (u->fed < size || !size)
		p->progress(p->data, u->showing, u->fed, size);
}

static ssize_t feed(struct archive *a, void *data, const void **ret)
{
	struct unpacking *u = data;
	size_t zeros = 0;
	ssize_t n;

	if (u->place->cancel && *u->place->cancel)
		n = err_set(&u->fed_err, EINTR, "unpacking %s was interrupted", u->stream->name);
	else
		n = u->stream->read(u->stream->data, u->chunk, sizeof(u->chunk), &u->fed_err);
	if (n < 0) {
		archive_set_error(a, EIO, "%s", u->fed_err.msg);
		return ARCHIVE_FATAL;
	}
	for (ssize_t i = n; i > 0 && !u->chunk[i - 1]; i--)
		zeros++;
	u->zeros = zeros == (size_t)n ? u->zeros + zeros : zeros;
	u->fed += n;
	show(u, false);
	*ret = u->chunk;
	return n;
}

/* What libarchive ended with. */
static int damaged(struct unpacking *u, struct err *err)
{
	const char *text = archive_error_string(u->archive);

	if (u->fed_err.code)
		return err_set(err, u->fed_err.code, "%s", u->fed_err.msg);
	if (archive_errno(u->archive) == ENOMEM)
		return err_set(err, ENOMEM, "%s: out of memory", u->stream->name);
	if (u->members == 0 && archive_filter_code(u->archive, 0) == ARCHIVE_FILTER_NONE)
		return err_set(err, EBADMSG,
			       "%s: neither a tar archive nor a compressed one (%.100s)",
			       u->stream->name, text ? text : "damaged");
	return err_set(err, EBADMSG, "%s: truncated or damaged after %llu MiB (%.100s)",
		       u->stream->name, (unsigned long long)(u->fed >> 20),
		       text ? text : "unexpected end");
}

static int refuse(struct unpacking *u, const char *path, const char *why, struct err *err)
{
	return err_set(err, EBADMSG, "%s: '%.150s' %s; nothing of it is used", u->stream->name,
		       path, why);
}

/* "./linux-6.5/" to "linux-6.5", "./" to "". Allocated. */
static char *member_path(const char *name)
{
	size_t n;

	while (name[0] == '.' && (name[1] == '/' || !name[1]))
		name += name[1] ? 2 : 1;
	n = strlen(name);
	while (n > 1 && name[n - 1] == '/')
		n--;
	return xstrndup(name, n);
}

/*
 * Open the folder of that path below the root, one component after the other so that no link is
 * followed, and making what is not there. The descriptor is u's, until the next call.
 */
static int open_folder(struct unpacking *u, const char *path, struct err *err)
{
	auto_free char *copy = xstrdup(path);
	auto_close int at = -1;
	char *rest = copy, *name;

	if (u->folder >= 0 && str_eq(u->folder_path, path))
		return u->folder;
	at = openat(u->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (at >= 0 && *path && (name = strsep(&rest, "/"))) {
		int fd;

		if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
			return err_errno(err, "%s: create folder %s", u->stream->name, path);
		fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
			return refuse(u, path, "goes through a link, or through what is no folder",
				      err);
		close(at);
		at = fd;
	}
	if (at < 0)
		return err_errno(err, "%s: open folder %s", u->stream->name, path);
	if (u->folder >= 0)
		close(u->folder);
	free(u->folder_path);
	u->folder_path = xstrdup(path);
	return u->folder = take_fd(at);
}

/* The folder that a member is in; *name points at its last component. */
static int open_parent(struct unpacking *u, const char *path, const char **name, struct err *err)
{
	const char *slash = strrchr(path, '/');
	auto_free char *parent = xstrndup(path, slash ? slash - path : 0);

	*name = slash ? slash + 1 : path;
	return open_folder(u, parent, err);
}

static int make_file(struct unpacking *u, struct archive_entry *entry, int folder, const char *name,
		     const char *path, struct err *err)
{
	mode_t mode = archive_entry_mode(entry) & 0100 ? 0755 : 0644;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = archive_entry_mtime(entry)}};
	auto_close int fd =
		openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	ssize_t n;
	int r;

	if (fd < 0 && errno == EEXIST)
		return refuse(u, path, "is in it twice", err);
	if (fd < 0)
		return err_errno(err, "create %s", path);
	while ((n = archive_read_data(u->archive, u->out, sizeof(u->out))) > 0) {
		u->bytes += n;
		if (u->bytes > SOURCE_MAX_BYTES)
			return err_set(err, EFBIG, "%s: unpacks to more than %llu GiB",
				       u->stream->name,
				       (unsigned long long)(SOURCE_MAX_BYTES >> 30));
		r = io_write_all(fd, u->out, n);
		if (r < 0)
			return err_set(err, -r, "write %s: %s", path, strerror(-r));
	}
	if (n < 0)
		return damaged(u, err);
	futimens(fd, times); /* a time that does not exist is not kept */
	return close(take_fd(fd)) < 0 ? err_errno(err, "write %s", path) : 0;
}

static int make_link(struct unpacking *u, const char *target, int folder, const char *name,
		     const char *path, struct err *err)
{
	if (!target || !*target)
		return refuse(u, path, "is a link to nothing", err);
	if (symlinkat(target, folder, name) < 0)
		return errno == EEXIST ? refuse(u, path, "is in it twice", err)
				       : err_errno(err, "create %s", path);
	strv_add(&u->links, path);
	return 0;
}

static int make_hard_link(struct unpacking *u, const char *target, const char *path,
			  struct err *err)
{
	auto_free char *from = member_path(target);
	auto_close int from_folder = -1;
	const char *from_name, *name;
	struct stat st;
	int folder;

	if (path_depth(from) > SOURCE_MAX_DEPTH)
		return refuse(u, path, "is a hard link to what is too deep", err);
	if (!path_is_inside(from))
		return refuse(u, path, "is a hard link that leaves the tree", err);
	folder = open_parent(u, from, &from_name, err);
	if (folder < 0)
		return folder;
	from_folder = fcntl(folder, F_DUPFD_CLOEXEC, 3);
	folder = open_parent(u, path, &name, err);
	if (folder < 0)
		return folder;
	if (fstatat(from_folder, from_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return refuse(u, path, "is a hard link to what is no file in it", err);
	if (linkat(from_folder, from_name, folder, name, 0) < 0)
		return errno == EEXIST ? refuse(u, path, "is in it twice", err)
				       : err_errno(err, "create %s", path);
	return 0;
}

static int make_member(struct unpacking *u, struct archive_entry *entry, struct err *err)
{
	const char *raw = archive_entry_pathname(entry), *name;
	const char *hard = archive_entry_hardlink(entry);
	auto_free char *path = member_path(raw ? raw : "/");
	mode_t kind = archive_entry_filetype(entry);
	int folder;

	if (!*path)
		return 0; /* the archive's own root */
	if (!path_is_inside(path))
		return refuse(u, path, "is a path that leaves the tree", err);
	if (path_depth(path) > SOURCE_MAX_DEPTH)
		return refuse(u, path, "is too deep", err);
	if (hard)
		return make_hard_link(u, hard, path, err);
	if (kind == S_IFDIR)
		return open_folder(u, path, err);
	if (kind != S_IFREG && kind != S_IFLNK)
		return refuse(u, path, "is a device, a pipe or a socket", err);
	folder = open_parent(u, path, &name, err);
	if (folder < 0)
		return folder;
	if (kind == S_IFLNK)
		return make_link(u, archive_entry_symlink(entry), folder, name, path, err);
	return make_file(u, entry, folder, name, path, err);
}

/* The name of the only folder at the root; "" when there are files beside it. */
static int find_top(struct unpacking *u, char **ret, struct err *err)
{
	int fd = openat(u->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	auto_free char *only = NULL;
	struct dirent *e;
	struct stat st;
	size_t n = 0;

	if (!d)
		return err_errno(err, "%s", u->stream->name);
	while ((e = readdir(d)))
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, "..") && n++ == 0)
			only = xstrdup(e->d_name);
	if (n == 1 && fstatat(u->root, only, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		*ret = take_ptr(only);
	else
		*ret = xstrdup("");
	return 0;
}

/*
 * Follow each link as the kernel will, held to the top folder: its text alone does not say where it
 * leads when there are links in its way. Links that lead nowhere do no harm.
 */
static int check_links(struct unpacking *u, const char *top, struct err *err)
{
	auto_close int fd = openat(u->root, *top ? top : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t skip = *top ? strlen(top) + 1 : 0;

	if (fd < 0)
		return err_errno(err, "%s", u->stream->name);
	for (size_t i = 0; i < u->links.n; i++) {
		const char *path = u->links.items[i] + skip;
		auto_close int to = -1;

		do
			to = io_open_beneath(fd, path, O_PATH, 0, true);
		while (to < 0 && errno == EAGAIN); /* something was renamed meanwhile */
		if (to < 0 && errno == EXDEV)
			return refuse(u, path, "is a link that leaves the tree", err);
		if (to < 0 && (errno == ENOSYS || errno == EPERM || errno == EINVAL))
			return err_errno(err, "look at the link %s", path);
	}
	return 0;
}

static int open_stream(struct unpacking *u, struct err *err)
{
	struct archive *a = u->archive = archive_read_new();

	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	archive_read_support_format_tar(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_lzma(a);
	return archive_read_open(a, u, NULL, feed, NULL) == ARCHIVE_OK ? 0 : damaged(u, err);
}

static int unpack(struct unpacking *u, struct err *err)
{
	struct archive_entry *entry;
	int r = open_stream(u, err);

	while (r >= 0 && (r = archive_read_next_header(u->archive, &entry)) != ARCHIVE_EOF) {
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return damaged(u, err);
		if (u->place->cancel && *u->place->cancel)
			return err_set(err, EINTR, "unpacking %s was interrupted", u->stream->name);
		if (++u->members > SOURCE_MAX_MEMBERS)
			return err_set(err, EFBIG, "%s: more than %d members", u->stream->name,
				       SOURCE_MAX_MEMBERS);
		r = make_member(u, entry, err);
	}
	/* cut between two members: what compresses sees that, a bare tar ends with blocks of zeros
	 */
	if (r == ARCHIVE_EOF && archive_filter_code(u->archive, 0) == ARCHIVE_FILTER_NONE &&
	    u->zeros < TAR_BLOCK)
		return damaged(u, err);
	return r < 0 ? r : 0;
}

int source_unpack_stream(const struct source_stream *stream, const struct source_place *place,
			 const char *dir, char **top, struct err *err)
{
	struct unpacking *u = xcalloc(1, sizeof(*u));
	auto_free char *name = NULL;
	int r = 0;

	u->stream = stream;
	u->place = place;
	u->folder = -1;
	u->showing = str_printf("unpacking %s", stream->name);
	u->root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (u->root < 0)
		r = err_errno(err, "%s", dir);
	show(u, false);
	if (r == 0)
		r = unpack(u, err);
	if (r == 0)
		r = find_top(u, &name, err);
	if (r == 0)
		r = check_links(u, name, err);
	if (r == 0)
		*top = *name ? path_join(dir, name) : xstrdup(dir);
	show(u, true);
	unpacking_free(u);
	return r;
}

static ssize_t read_file(void *data, void *to, size_t len, struct err *err)
{
	const int *fd = data;
	ssize_t n;

	do
		n = read(*fd, to, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? err_errno(err, "read") : n;
}

/* A package being searched for its tarball. */
struct package {
	const char *name;
	const struct source_place *place;
	const char *dir;
	char **top;
	bool found;
};

static ssize_t read_member(void *data, void *to, size_t len, struct err *err)
{
	return deb_read(data, to, len, err);
}

static int on_member(void *data, struct deb_member *m, struct err *err)
{
	struct package *p = data;
	struct source_stream stream = {
		.name = p->name, .size = m->size, .read = read_member, .data = m};

	if (p->found || !S_ISREG(m->mode) || m->link || !str_starts(m->path, "usr/src/linux-") ||
	    !strstr(m->path, ".tar"))
		return 0;
	p->found = true;
	return source_unpack_stream(&stream, p->place, p->dir, p->top, err);
}

int source_unpack_file(const char *path, const char *name, const struct source_place *place,
		       const char *dir, char **top, struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct source_stream stream = {.name = name, .read = read_file, .data = &fd};
	struct package package = {.name = name, .place = place, .dir = dir, .top = top};
	char magic[8] = "";
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s is neither a folder nor a file", path);
	if (pread(fd, magic, sizeof(magic), 0) < 0)
		return err_errno(err, "read %s", path);
	stream.size = st.st_size;
	if (memcmp(magic, "!<arch>\n", 8) != 0)
		return source_unpack_stream(&stream, place, dir, top, err);
	r = deb_walk(path, on_member, &package, err);
	if (r == 0 && !package.found)
		r = err_set(err, EINVAL, "%s: no kernel source in this package (usr/src/linux-*)",
			    name);
	return r;
}
