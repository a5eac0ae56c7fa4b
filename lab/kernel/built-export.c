#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kernel/built-stage.h"

struct exporting {
	const char *file; /* for messages */
	struct archive *to;
	int dir; /* the kernel's folder */
	int64_t mtime;
};

static int write_error(const struct exporting *x, struct err *err)
{
	int code = archive_errno(x->to) > 0 ? archive_errno(x->to) : EIO;

	return err_set(err, code, "write %s: %s", x->file, strerror(code));
}

/* The head of a member: always the same owner, mode and time. */
static int add_head(const struct exporting *x, const char *path, uint64_t size, struct err *err)
{
	struct archive_entry *entry = archive_entry_new();
	int r;

	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, size);
	archive_entry_set_mtime(entry, x->mtime, 0);
	r = archive_write_header(x->to, entry);
	archive_entry_free(entry);
	return r == ARCHIVE_OK ? 0 : write_error(x, err);
}

static int add_bytes(const struct exporting *x, const char *path, const struct buf *data,
		     struct err *err)
{
	int r = add_head(x, path, data->len, err);

	if (r == 0 && archive_write_data(x->to, data->data, data->len) != (ssize_t)data->len)
		r = write_error(x, err);
	return r;
}

static int add_file(const struct exporting *x, const char *path, struct err *err)
{
	auto_close int fd = openat(x->dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	auto_free char *chunk = xmalloc(1 << 18);
	struct stat st;
	uint64_t sum = 0;
	ssize_t n;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "%s", path);
	r = add_head(x, path, st.st_size, err);
	while (r == 0 && (n = read(fd, chunk, 1 << 18)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "read %s", path);
		sum += n;
		if (archive_write_data(x->to, chunk, n) != n)
			r = write_error(x, err);
	}
	if (r == 0 && sum != (uint64_t)st.st_size)
		r = err_set(err, EBADMSG, "%s: changed while it was read", path);
	return r;
}

/* meta.json comes first, so that whoever reads knows what it is; the rest is sorted. */
static int add_all(const struct exporting *x, const struct built_meta *m, struct err *err)
{
	auto_cleanup(buf) meta = {0}, sums = {0};
	auto_cleanup(strv) lines = {0};
	int r = io_read_file(x->dir, "SHA256SUMS", BUILT_SUMS_MAX_BYTES, &sums, err);

	built_meta_print(m, true, &meta);
	if (r == 0)
		r = add_bytes(x, "meta.json", &meta, err);
	if (r == 0)
		r = add_bytes(x, "SHA256SUMS", &sums, err);
	strv_split(&lines, sums.data ? sums.data : "", '\n');
	for (size_t i = 0; r == 0 && i < lines.n; i++)
		r = add_file(x, lines.items[i] + strcspn(lines.items[i], " ") + 2, err);
	return r;
}

static int write_archive(const char *dir, int fd, const char *file, const struct built_meta *m,
			 struct err *err)
{
	struct exporting x = {.file = file, .mtime = m->built.built_at, .to = archive_write_new()};
	int r = x.to ? 0 : err_set(err, ENOMEM, "out of memory");

	x.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && x.dir < 0)
		r = err_errno(err, "%s", dir);
	if (r == 0 && (archive_write_set_format_pax_restricted(x.to) != ARCHIVE_OK ||
		       archive_write_add_filter_zstd(x.to) != ARCHIVE_OK ||
		       archive_write_open_fd(x.to, fd) != ARCHIVE_OK))
		r = write_error(&x, err);
	if (r == 0)
		r = add_all(&x, m, err);
	if (r == 0 && archive_write_close(x.to) != ARCHIVE_OK)
		r = write_error(&x, err);
	archive_write_free(x.to);
	if (x.dir >= 0)
		close(x.dir);
	return r;
}

int built_export(const struct built *b, const char *file, struct err *err)
{
	auto_free char *dir = built_dir(b, err), *tmp = str_printf("%s.tmp-%d", file, getpid());
	auto_cleanup(built_meta) m = {0};
	auto_close int fd = -1;
	struct stat st;
	int r;

	if (!dir)
		return err ? -err->code : -EINVAL;
	if (lstat(file, &st) == 0)
		return err_set(err, EEXIST, "%s is there already", file);
	r = built_verify(b, err); /* nothing damaged is handed on */
	if (r == 0)
		r = built_read_meta(dir, &m, err);
	if (r < 0)
		return r;
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_errno(err, "create %s", tmp);
	r = write_archive(dir, fd, file, &m, err);
	if (r == 0 && close(take_fd(fd)) < 0)
		r = err_errno(err, "write %s", file);
	/* not every file system knows how to rename without replacing */
	if (r == 0 && renameat2(AT_FDCWD, tmp, AT_FDCWD, file, RENAME_NOREPLACE) < 0 &&
	    (errno != EINVAL || rename(tmp, file) < 0))
		r = err_errno(err, "write %s", file);
	if (r < 0)
		unlink(tmp);
	return r;
}
