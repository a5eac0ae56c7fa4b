#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/debian/download.h"
#include "lab/kernel/built-stage.h"
#include "lab/kernel/kernel-unpack.h"

enum { MAX_MEMBERS = 100000, MAX_DEPTH = 24, CHUNK = 1 << 18 };
#define MAX_BYTES (UINT64_C(8) << 30)

struct importing {
	const char *shown; /* what the file is called in messages */
	struct archive *from;
	struct built_meta meta;
	struct buf sums;
	char *stage;	      /* goes when the import does not come to its end */
	uint64_t bytes, size; /* unpacked so far; of the file */
	size_t members;
	char *what;
	kernel_progress_fn progress;
	void *data;
	const volatile int *cancel;
};

static void importing_deinit(struct importing *im)
{
	archive_read_free(im->from);
	built_meta_deinit(&im->meta);
	buf_deinit(&im->sums);
	if (im->stage)
		io_remove_tree(AT_FDCWD, im->stage, NULL);
	free(im->stage);
	free(im->what);
}
DEFINE_CLEANUP(importing, importing_deinit)

static int damaged(const struct importing *im, struct err *err)
{
	const char *text = archive_error_string(im->from);

	return err_set(err, EBADMSG, "%s: not a whole file of 'lab kernel export' (%s)", im->shown,
		       text ? text : "damaged");
}

static int interrupted(const struct importing *im, struct err *err)
{
	return err_set(err, EINTR, "%s: interrupted, nothing of it was taken in", im->shown);
}

/* The path of the next member, a plain file's; NULL at the end. */
static int next_member(struct importing *im, const char **path, struct err *err)
{
	struct archive_entry *entry;
	int r = archive_read_next_header(im->from, &entry);
	auto_cleanup(buf) shown = {0};

	*path = NULL;
	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return damaged(im, err);
	*path = archive_entry_pathname(entry);
	str_printable(&shown, *path ? *path : "?", *path ? strlen(*path) : 1, 80, false);
	if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry))
		return err_set(err, EBADMSG, "%s: %s is not a plain file", im->shown, shown.data);
	if (!*path || !path_is_inside(*path))
		return err_set(err, EBADMSG, "%s: the path of a member leaves it (%s)", im->shown,
			       shown.data);
	if (path_depth(*path) > MAX_DEPTH)
		return err_set(err, EBADMSG, "%s: %s is too deep", im->shown, shown.data);
	if (++im->members > MAX_MEMBERS)
		return err_set(err, EBADMSG, "%s: more than %d files", im->shown, MAX_MEMBERS);
	return 0;
}

/* The next bytes of the member; 0 at its end. */
static ssize_t read_member(struct importing *im, void *to, struct err *err)
{
	ssize_t n = archive_read_data(im->from, to, CHUNK);

	if (n < 0)
		return damaged(im, err);
	if (im->cancel && *im->cancel)
		return interrupted(im, err);
	im->bytes += n;
	if (im->bytes > MAX_BYTES)
		return err_set(err, EBADMSG, "%s: unpacks to more than %d GiB", im->shown,
			       (int)(MAX_BYTES >> 30));
	if (n && im->progress && im->what)
		im->progress(im->data, im->what, archive_filter_bytes(im->from, -1), im->size);
	return n;
}

/* The next member, which must be this one, as text. */
static int read_text(struct importing *im, const char *name, size_t max, struct buf *out,
		     struct err *err)
{
	auto_free char *chunk = xmalloc(CHUNK);
	const char *path;
	ssize_t n = 0;
	int r = next_member(im, &path, err);

	if (r < 0)
		return r;
	if (!path || !str_eq(path, name))
		return err_set(err, EBADMSG,
			       "%s: not a file of 'lab kernel export': it has no %s where it "
			       "should be",
			       im->shown, name);
	while (out->len <= max && (n = read_member(im, chunk, err)) > 0)
		buf_add(out, chunk, n);
	if (out->len > max)
		return err_set(err, EBADMSG, "%s: its %s is larger than %zu bytes", im->shown, name,
			       max);
	return n;
}

/* What is in it, and does it say so itself? key: what is expected, or NULL. */
static int read_head(struct importing *im, const struct built *key, struct err *err)
{
	auto_free char *name = str_printf("%s: meta.json", im->shown), *want = NULL, *is = NULL;
	auto_cleanup(buf) text = {0};
	char hex[65];
	int r = read_text(im, "meta.json", BUILT_META_MAX_BYTES, &text, err);

	if (r == 0)
		r = built_meta_parse(name, text.data ? text.data : "", text.len, &im->meta, err);
	if (r < 0)
		return r == -EINTR ? r : built_not_fit(err);
	free(im->meta.built.source_dir); /* a folder of another machine's */
	im->meta.built.source_dir = NULL;
	is = built_folder_name(&im->meta.built);
	want = key ? built_folder_name(key) : NULL;
	if (key && (!str_eq(want, is) || !str_eq(key->inputs, im->meta.built.inputs)))
		return err_set(err, EBADMSG, "%s: it holds %s, not %s", im->shown, is, want);
	r = read_text(im, "SHA256SUMS", BUILT_SUMS_MAX_BYTES, &im->sums, err);
	if (r < 0)
		return r;
	sha256_bytes(im->sums.data ? im->sums.data : "", im->sums.len, hex);
	return str_eq(hex, im->meta.sums_sha256) ? 0
						 : err_set(err, EBADMSG,
							   "%s: its SHA256SUMS is not "
							   "that of its meta.json",
							   im->shown);
}

/* 1: the same kernel is there; -EEXIST: another one. */
static int is_there(const struct importing *im, struct err *err)
{
	const struct built *b = &im->meta.built;
	auto_free char *dir = built_dir(b, err), *name = built_folder_name(b);
	auto_cleanup(built_meta) there = {0};

	if (!dir)
		return err ? -err->code : -EINVAL;
	if (built_find_folder(b, NULL) < 0)
		return 0; /* or damaged: it is replaced */
	if (built_read_meta(dir, &there, err) < 0)
		return built_not_fit(err);
	if (str_eq(there.sums_sha256, im->meta.sums_sha256))
		return 1;
	return err_set(
		err, EEXIST,
		"%s: another kernel %s is in the cache: 'lab kernel rm %s --arch %s' removes "
		"it",
		im->shown, name, b->name, arch_name(b->arch));
}

static bool belongs(const struct importing *im, const char *path)
{
	auto_free char *modules = str_printf("lib/modules/%s/", im->meta.built.release);

	return str_eq(path, "image") || str_eq(path, "config") || str_eq(path, "vmlinux") ||
	       str_eq(path, "Module.symvers") || str_starts(path, "gdb/") ||
	       str_starts(path, modules);
}

static int write_member(struct importing *im, const char *path, struct err *err)
{
	auto_free char *to = path_join(im->stage, path), *chunk = xmalloc(CHUNK);
	auto_free char *parent = xstrndup(to, strrchr(to, '/') - to);
	auto_close int fd = -1;
	ssize_t n;
	int r;

	if (!belongs(im, path))
		return err_set(err, EBADMSG, "%s: %.80s is no part of a kernel", im->shown, path);
	r = io_mkdirs(parent, 0755, err);
	if (r == 0)
		fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (r == -ENOTDIR || (r == 0 && fd < 0 && (errno == EEXIST || errno == ENOTDIR)))
		return err_set(err, EBADMSG, "%s: %.80s is there twice", im->shown, path);
	if (r < 0)
		return r;
	if (fd < 0)
		return err_errno(err, "create %s", to);
	while ((n = read_member(im, chunk, err)) > 0) {
		r = io_write_all(fd, chunk, n);
		if (r < 0)
			return err_set(err, -r, "write %s: %s", to, strerror(-r));
	}
	if (n == 0 && close(take_fd(fd)) < 0)
		return err_errno(err, "write %s", to);
	return n;
}

/* Is what was unpacked what meta.json and SHA256SUMS say? */
static int check(struct importing *im, struct err *err)
{
	auto_cleanup(built_meta) is = {.built = {.arch = im->meta.built.arch}};
	auto_cleanup(buf) sums = {0};
	const char *id = im->meta.built.build_id;
	int r = built_stage_read(im->stage, &is, &sums, err);

	if (r == 0)
		r = kernel_sums_compare(im->stage, im->sums.data, sums.data, err);
	if (r == 0 && (!str_eq(is.image_sha256, im->meta.image_sha256) ||
		       is.image_size != im->meta.image_size || !id != !is.built.build_id ||
		       (id && !str_eq(id, is.built.build_id))))
		r = err_set(err, EBADMSG, "its meta.json is about another image or vmlinux");
	return r < 0 ? err_wrap(err, "%s", im->shown) : 0;
}

static int unpack(struct importing *im, struct err *err)
{
	auto_free char *sums = NULL;
	const char *path;
	int r;

	im->stage = built_stage(&im->meta.built, err);
	if (!im->stage)
		return err ? -err->code : -EIO;
	while ((r = next_member(im, &path, err)) == 0 && path) {
		r = write_member(im, path, err);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = check(im, err);
	if (r < 0)
		return r;
	sums = path_join(im->stage, "SHA256SUMS");
	r = io_write_atomic(AT_FDCWD, sums, im->sums.data, im->sums.len, 0644, err);
	if (r == 0 && im->cancel && *im->cancel)
		r = interrupted(im, err);
	return r < 0 ? r : built_stage_place(im->stage, &im->meta, err);
}

static int import(struct importing *im, const char *file, const struct built *key, struct err *err)
{
	auto_close int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, "%s", im->shown);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EBADMSG, "%s: not a file", im->shown);
	im->size = st.st_size;
	im->from = archive_read_new();
	if (!im->from)
		return err_set(err, ENOMEM, "out of memory");
	archive_read_support_filter_zstd(im->from);
	archive_read_support_format_tar(im->from);
	if (archive_read_open_fd(im->from, fd, 65536) != ARCHIVE_OK)
		return damaged(im, err);
	r = read_head(im, key, err);
	if (r == 0)
		r = is_there(im, err);
	if (r != 0)
		return r < 0 ? r : 0;
	im->what = str_printf("importing kernel %s %s", im->meta.built.name,
			      arch_name(im->meta.built.arch));
	r = unpack(im, err);
	if (im->progress)
		im->progress(im->data, im->what, 1, 1);
	return r;
}

int built_import(const char *file, kernel_progress_fn progress, void *data,
		 const volatile int *cancel, struct built *ret, struct err *err)
{
	auto_cleanup(importing)
		im = {.shown = file, .progress = progress, .data = data, .cancel = cancel};
	int r = import(&im, file, NULL, err);

	if (r == 0)
		*ret = built_copy(&im.meta.built);
	return r;
}

/* ---- from a shared place ---- */

/* Bring what the URL names to path. */
static int get(const char *url, const char *path, struct importing *im, struct err *err)
{
	auto_free char *what = str_printf("%s", strrchr(url, '/') + 1);
	const struct download d = {.url = url,
				   .part = path,
				   .max_bytes = MAX_BYTES,
				   .what = what,
				   .progress = im->progress,
				   .data = im->data,
				   .cancel = im->cancel};
	struct err why = {0};
	int r = download(&d, &why);

	if (r == -ENOSPC) /* nothing of it is kept */
		return err_set(err, ENOSPC, "no space left for %s: free some ('lab cache prune')",
			       url);
	return r < 0 ? err_set(err, -r, "%s", why.msg) : 0;
}

static int fetch_url(const char *place, const struct built *key, struct importing *im,
		     struct err *err)
{
	auto_free char *root = cache_dir("kernels", err), *file = built_file_name(key);
	auto_free char *tmp = root ? path_join(root, "tmp-fetch.XXXXXX") : NULL;
	auto_cleanup(buf) url = {0};
	int fd, r;

	if (!root)
		return err ? -err->code : -EINVAL;
	buf_addf(&url, "%s%s", place, str_ends(place, "/") ? "" : "/");
	for (const char *s = file; *s; s++) /* a '+' may be read as a blank */
		buf_addf(&url, *s == '+' ? "%%2B" : "%c", *s);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "create %s", tmp);
	close(fd);
	im->shown = url.data;
	r = get(url.data, tmp, im, err);
	if (r == 0)
		r = import(im, tmp, key, err);
	unlink(tmp);
	return r;
}

static int fetch_file(const char *place, const struct built *key, struct importing *im,
		      struct err *err)
{
	auto_free char *name = built_file_name(key), *file = path_join(place, name);
	struct stat st;

	if (stat(place, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "--cache-from %s: no such folder", place);
	im->shown = file;
	return import(im, file, key, err);
}

int built_fetch(const char *place, const char *name, enum arch arch, const char *inputs,
		kernel_progress_fn progress, void *data, const volatile int *cancel,
		struct kernel *ret, struct err *err)
{
	const struct built key = {.name = (char *)name, .arch = arch, .inputs = (char *)inputs};
	auto_cleanup(importing) im = {.progress = progress, .data = data, .cancel = cancel};
	struct err why = {0};
	int r;

	if (!inputs)
		return err_set(err, ENOENT, "kernel %.80s is of a local source: nobody shares it",
			       name);
	if (strstr(place, "://") || str_starts(place, "file:"))
		r = fetch_url(place, &key, &im, &why);
	else
		r = fetch_file(place, &key, &im, &why);
	if (r == -EBADMSG)
		return err_set(err, EBADMSG, "%s; remove it there, or leave out --cache-from",
			       why.msg);
	if (r < 0)
		return err_set(err, -r, "%s", why.msg);
	return built_find(name, arch, inputs, false, ret, NULL, err);
}
