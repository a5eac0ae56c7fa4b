#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/debian/deb.h"

/* More than any package we use (the largest debug package unpacks to 2 GiB); a bomb ends here. */
enum { WALK_MAX_MEMBERS = 200000 };
#define WALK_MAX_BYTES (UINT64_C(8) << 30)

struct walk {
	const char *path;
	struct archive *outer; /* the .deb: an ar */
	struct archive *inner; /* its data.tar.* */
	uint64_t bytes;	       /* read from members so far */
	char chunk[65536];
};

static void walk_close(struct walk *w)
{
	archive_read_free(w->inner);
	archive_read_free(w->outer);
}
DEFINE_CLEANUP(walk, walk_close)

static int archive_err(struct archive *a, const char *path, struct err *err)
{
	const char *text = archive_error_string(a);

	return err_set(err, EBADMSG, "%s: not a whole Debian package (%s)", path,
		       text ? text : "damaged");
}

static ssize_t read_outer(struct archive *a, void *data, const void **ret)
{
	struct walk *w = data;
	ssize_t n = archive_read_data(w->outer, w->chunk, sizeof(w->chunk));

	if (n < 0) {
		archive_set_error(a, EBADMSG, "%s", archive_error_string(w->outer));
		return ARCHIVE_FATAL;
	}
	*ret = w->chunk;
	return n;
}

/* Stand at the start of the member data.tar or data.tar.*. */
static int open_data(struct walk *w, struct err *err)
{
	struct archive_entry *entry;
	int r;

	w->outer = archive_read_new();
	w->inner = archive_read_new();
	if (!w->outer || !w->inner)
		return err_set(err, ENOMEM, "out of memory");
	archive_read_support_format_ar(w->outer);
	if (archive_read_open_filename(w->outer, w->path, 65536) != ARCHIVE_OK)
		return err_set(err, archive_errno(w->outer) ? archive_errno(w->outer) : EIO,
			       "%s: %s", w->path, archive_error_string(w->outer));
	while ((r = archive_read_next_header(w->outer, &entry)) == ARCHIVE_OK)
		if (str_starts(archive_entry_pathname(entry), "data.tar"))
			break;
	if (r == ARCHIVE_EOF)
		return err_set(err, EBADMSG, "%s: not a Debian package (no data.tar in it)",
			       w->path);
	if (r != ARCHIVE_OK)
		return archive_err(w->outer, w->path, err);
	archive_read_support_format_tar(w->inner);
	archive_read_support_filter_xz(w->inner);
	archive_read_support_filter_gzip(w->inner);
	archive_read_support_filter_zstd(w->inner);
	archive_read_support_filter_bzip2(w->inner);
	archive_read_support_filter_lzma(w->inner);
	if (archive_read_open(w->inner, w, NULL, read_outer, NULL) != ARCHIVE_OK)
		return archive_err(w->inner, w->path, err);
	return 0;
}

/* "./usr/bin/x" and "/usr/bin/x" to "usr/bin/x", "./usr/" to "usr"; the root itself gives "". */
static char *member_path(const char *name)
{
	size_t n;

	while (*name == '/' || (name[0] == '.' && (name[1] == '/' || !name[1])))
		name++;
	n = strlen(name);
	while (n && name[n - 1] == '/')
		n--;
	return xstrndup(name, n);
}

static int visit(struct walk *w, struct archive_entry *entry, deb_member_fn fn, void *data,
		 struct err *err)
{
	const char *name = archive_entry_pathname(entry);
	const char *hard = archive_entry_hardlink(entry), *soft = archive_entry_symlink(entry);
	auto_free char *path = member_path(name ? name : "");
	auto_free char *target = hard ? member_path(hard) : NULL;
	struct deb_member m = {.path = path, .reader = w};

	if (!*path)
		return 0;
	if (!path_is_inside(path) || (target && !path_is_inside(target)))
		return err_set(err, EBADMSG, "%s: a member's path leaves the package", w->path);
	m.mode = archive_entry_mode(entry) & (S_IFMT | 07777);
	if (hard) {
		m.mode = S_IFREG | (m.mode & 07777);
		m.link = target;
	} else if (S_ISLNK(m.mode)) {
		m.link = soft ? soft : "";
	} else if (S_ISREG(m.mode)) {
		m.size = archive_entry_size(entry);
	} else if (!S_ISDIR(m.mode)) {
		return err_set(err, EBADMSG, "%s: '%s' is a device or socket", w->path, path);
	}
	return fn(data, &m, err);
}

ssize_t deb_read(struct deb_member *m, void *to, size_t len, struct err *err)
{
	struct walk *w = m->reader;
	ssize_t n = archive_read_data(w->inner, to, len);

	if (n < 0)
		return archive_err(w->inner, w->path, err);
	w->bytes += n;
	if (w->bytes > WALK_MAX_BYTES)
		return err_set(err, EFBIG, "%s: unpacks to more than %llu GiB", w->path,
			       (unsigned long long)(WALK_MAX_BYTES >> 30));
	return n;
}

int deb_walk(const char *deb_path, deb_member_fn fn, void *data, struct err *err)
{
	auto_cleanup(walk) w = {.path = deb_path};
	struct archive_entry *entry;
	int r = open_data(&w, err);

	if (r < 0)
		return r;
	for (size_t n = 0; (r = archive_read_next_header(w.inner, &entry)) != ARCHIVE_EOF; n++) {
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return archive_err(w.inner, deb_path, err);
		if (n == WALK_MAX_MEMBERS)
			return err_set(err, EFBIG, "%s: more than %d members", deb_path,
				       WALK_MAX_MEMBERS);
		r = visit(&w, entry, fn, data, err);
		if (r < 0)
			return r;
	}
	return 0;
}
