#include "lab/kernel/store-folder.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/kernel/kernel-unpack.h"

void store_folder_deinit(struct store_folder *f)
{
	free(f->dir);
	free(f->inputs);
}

const char *store_folder_text(json_t *meta, const char *key)
{
	const char *s = json_string_value(json_object_get(meta, key));

	return s ? s : "";
}

/* "image_size", … */
static json_t *of_file(const struct store_folder *f, json_t *meta, const char *key)
{
	auto_free char *name = str_printf("%s_%s", f->file, key);

	return json_object_get(meta, name);
}

/*
 * Is the file the one that was unpacked? Only read when it is not of that time: a copied cache.
 */
static bool file_unchanged(const struct store_folder *f, json_t *meta)
{
	auto_free char *path = path_join(f->dir, f->file);
	const char *sha256 = json_string_value(of_file(f, meta, "sha256"));
	struct stat st;
	char hex[65];

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !sha256 ||
	    st.st_size != json_integer_value(of_file(f, meta, "size")))
		return false;
	return st.st_mtim.tv_sec == json_integer_value(of_file(f, meta, "mtime")) ||
	       (sha256_file(path, hex, NULL) == 0 && str_eq(hex, sha256));
}

json_t *store_folder_find(const struct store_folder *f)
{
	auto_free char *path = path_join(f->dir, "meta.json");
	json_t *meta = json_load_file(path, 0, NULL);

	if (meta && json_integer_value(json_object_get(meta, "schema")) == 1 &&
	    str_eq(store_folder_text(meta, "packages"), f->inputs) && file_unchanged(f, meta))
		return meta;
	json_decref(meta);
	return NULL;
}

int store_folder_lock(const struct store_folder *f, const char *what,
		      const struct kernel_want *want, struct err *err)
{
	auto_free char *path = str_printf("%s.lock", f->dir);

	return deb_lock(path, what, want->progress, want->data, want->cancel, err);
}

void store_folder_made(const struct store_folder *f)
{
	auto_free char *path = str_printf("%s.lock", f->dir);

	unlink(path); /* who still waits on it will find the folder */
}

static int write_meta(const struct store_folder *f, const char *dir, json_t *meta, struct err *err)
{
	auto_free char *file = path_join(dir, f->file), *path = path_join(dir, "meta.json");
	auto_free char *size = str_printf("%s_size", f->file), *text = NULL;
	auto_free char *mtime = str_printf("%s_mtime", f->file);
	auto_free char *digest = str_printf("%s_sha256", f->file);
	char sha256[65];
	struct stat st;
	int r = sha256_file(file, sha256, err);

	if (r < 0)
		return r;
	if (stat(file, &st) < 0)
		return err_errno(err, "%s", file);
	json_object_set_new(meta, "schema", json_integer(1));
	json_object_set_new(meta, "packages", json_string(f->inputs));
	json_object_set_new(meta, digest, json_string(sha256));
	json_object_set_new(meta, size, json_integer(st.st_size));
	json_object_set_new(meta, mtime, json_integer(st.st_mtim.tv_sec));
	text = json_dumps(meta, JSON_INDENT(2));
	if (!text)
		return err_set(err, EINVAL, "%s: cannot be put as JSON", path);
	return io_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, err);
}

static int write_sums(const char *dir, json_t *meta, struct err *err)
{
	auto_free char *path = path_join(dir, "SHA256SUMS");
	auto_cleanup(buf) text = {0};
	char hex[65];
	int r = kernel_sums(dir, &text, err);

	if (r < 0)
		return r;
	sha256_bytes(text.data ? text.data : "", text.len, hex);
	json_object_set_new(meta, "sums_sha256", json_string(hex));
	return io_write_atomic(AT_FDCWD, path, text.data ? text.data : "", text.len, 0644, err);
}

int store_folder_make(const struct store_folder *f, store_fill_fn fill, void *data, struct err *err)
{
	auto_free char *tmp = str_printf("%s.tmp", f->dir);
	json_t *meta = json_object();
	int r;

	io_remove_tree(AT_FDCWD, tmp, NULL); /* of one that was killed: we hold the lock */
	r = io_mkdirs(tmp, 0755, err);
	if (r == 0)
		r = fill(data, tmp, meta, err);
	if (r == 0)
		r = write_sums(tmp, meta, err);
	if (r == 0)
		r = write_meta(f, tmp, meta, err);
	if (r == 0)
		r = io_remove_tree(AT_FDCWD, f->dir, err); /* what stands there is not whole */
	if (r == 0 && rename(tmp, f->dir) < 0)
		r = err_errno(err, "rename %s", tmp);
	if (r < 0)
		io_remove_tree(AT_FDCWD, tmp, NULL);
	json_decref(meta);
	return r;
}

/* Does meta.json name these packages and the SHA256SUMS with this digest? */
static int verify_meta(const struct store_folder *f, const char *sums_hex, struct err *err)
{
	auto_free char *path = path_join(f->dir, "meta.json");
	json_t *meta = json_load_file(path, 0, NULL);
	int r = 0;

	if (!meta)
		r = err_set(err, EBADMSG, "%s: not JSON any more", path);
	else if (!str_eq(store_folder_text(meta, "packages"), f->inputs))
		r = err_set(err, EBADMSG, "%s: made of other packages than the lock names", f->dir);
	else if (!str_eq(store_folder_text(meta, "sums_sha256"), sums_hex))
		r = err_set(err, EBADMSG, "%s/SHA256SUMS: changed since it was unpacked", f->dir);
	json_decref(meta);
	return r;
}

int store_folder_verify(const struct store_folder *f, struct err *err)
{
	auto_free char *sums = path_join(f->dir, "SHA256SUMS");
	auto_cleanup(buf) now = {0}, then = {0};
	char hex[65];
	int r;

	if (!io_exists(f->dir))
		return err_set(err, ENOENT, "%s is not in the cache", f->dir);
	if (io_read_file(AT_FDCWD, sums, 16 << 20, &then, NULL) < 0)
		return err_set(err, EBADMSG, "%s: missing or not readable", sums);
	sha256_bytes(then.data ? then.data : "", then.len, hex);
	r = verify_meta(f, hex, err);
	if (r == 0)
		r = kernel_sums(f->dir, &now, err);
	return r < 0 ? r : kernel_sums_compare(f->dir, then.data, now.data, err);
}

int store_folder_remove(const struct store_folder *f, const char *what, struct err *err)
{
	auto_free char *tmp = str_printf("%s.tmp", f->dir), *path = str_printf("%s.lock", f->dir);
	auto_close int lock = io_lock_file(path, IO_LOCK_TRY, err);
	bool was_there;
	int r;

	if (lock == -EWOULDBLOCK)
		return err_set(err, EBUSY, "%s: another lab is unpacking it", what);
	if (lock < 0)
		return lock;
	was_there = io_exists(f->dir);
	r = io_remove_tree(AT_FDCWD, tmp, err);
	if (r == 0)
		r = cache_discard(f->dir, err);
	unlink(path);
	return r < 0 ? r : was_there;
}
