#include "lab/kernel/kernel-store.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/kernel/kernel-unpack.h"

char *kernel_store_name(const struct lock_kernel *k)
{
	/* the package's version, not the kernel's: a rebuilt package is another kernel */
	char *name = str_printf("%s-%s-%s", k->name, k->debs[0].version, arch_name(k->arch));

	for (char *s = name; *s; s++)
		if (*s == ':' || *s == '/')
			*s = '_';
	return name;
}

static char *folder(const struct lock_kernel *k, struct err *err)
{
	auto_free char *root = cache_dir("kernels", err), *name = kernel_store_name(k);

	return root ? path_join(root, name) : NULL;
}

/* The digests of the packages, as one word. */
static char *inputs(const struct lock_kernel *k)
{
	auto_cleanup(buf) all = {0};

	for (size_t i = 0; i < k->n_debs; i++)
		buf_addf(&all, "%s%s", i ? " " : "", k->debs[i].sha256);
	return xstrdup(all.data);
}

static const char *text_of(json_t *meta, const char *key)
{
	const char *s = json_string_value(json_object_get(meta, key));

	return s ? s : "";
}

/*
 * Is the image the file that was unpacked? Only read when it is not of that time: a copied cache.
 */
static bool image_unchanged(const char *image, json_t *meta)
{
	struct stat st;
	char hex[65];

	if (stat(image, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size != json_integer_value(json_object_get(meta, "image_size")))
		return false;
	return st.st_mtim.tv_sec == json_integer_value(json_object_get(meta, "image_mtime")) ||
	       (sha256_file(image, hex, NULL) == 0 && str_eq(hex, text_of(meta, "image_sha256")));
}

static int fill(const struct lock_kernel *k, const char *dir, json_t *meta, struct kernel *ret,
		struct err *err)
{
	struct kernel found = {.arch = k->arch};
	auto_free char *release_dir = str_printf("%s/lib/modules/%s", dir, k->release);
	auto_free char *config = path_join(dir, "config");

	if (kver_parse(k->version, &found.kver, err) < 0)
		return -EINVAL;
	found.name = xstrdup(k->name);
	found.version = xstrdup(k->version);
	found.release = xstrdup(k->release);
	found.image = path_join(dir, "image");
	found.sha256 = xstrdup(text_of(meta, "image_sha256"));
	found.package = str_printf("linux-image-%s %s", k->release, k->debs[0].version);
	if (io_exists(config))
		found.config = take_ptr(config);
	if (io_exists(release_dir))
		found.modules_dir = take_ptr(release_dir);
	*ret = found;
	return 0;
}

int kernel_store_find(const struct lock_kernel *k, struct kernel *ret, struct err *err)
{
	auto_free char *dir = folder(k, err), *want = inputs(k), *meta_path = NULL, *image = NULL;
	json_t *meta;
	int r = -ENOENT;

	if (!dir)
		return err ? -err->code : -EINVAL;
	meta_path = path_join(dir, "meta.json");
	image = path_join(dir, "image");
	meta = json_load_file(meta_path, 0, NULL);
	if (meta && json_integer_value(json_object_get(meta, "schema")) == 1 &&
	    str_eq(text_of(meta, "packages"), want) && image_unchanged(image, meta))
		r = fill(k, dir, meta, ret, err);
	else
		err_set(err, ENOENT, "%s is not in the cache", dir);
	json_decref(meta);
	return r;
}

static int write_meta(const struct lock_kernel *k, const char *dir, const char *sums_sha256,
		      struct err *err)
{
	auto_free char *image = path_join(dir, "image"), *path = path_join(dir, "meta.json");
	auto_free char *packages = inputs(k), *text = NULL;
	char sha256[65];
	struct stat st;
	json_t *meta;
	int r = sha256_file(image, sha256, err);

	if (r < 0)
		return r;
	if (stat(image, &st) < 0)
		return err_errno(err, "%s", image);
	meta = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s}", "schema", 1, "name",
			 k->name, "version", k->version, "release", k->release, "arch",
			 arch_name(k->arch), "packages", packages, "image_sha256", sha256,
			 "image_size", (json_int_t)st.st_size, "image_mtime",
			 (json_int_t)st.st_mtim.tv_sec, "sums_sha256", sums_sha256);
	text = meta ? json_dumps(meta, JSON_INDENT(2)) : NULL;
	json_decref(meta);
	if (!text)
		return err_set(err, EINVAL, "%s: cannot be put as JSON", path);
	return io_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, err);
}

static int build(const struct lock_kernel *k, char *const *paths, const char *dir,
		 const volatile int *cancel, struct err *err)
{
	auto_free char *tmp = str_printf("%s.tmp", dir), *sums = NULL;
	auto_free char *config = path_join(tmp, "config");
	auto_cleanup(buf) text = {0};
	char hex[65];
	int r;

	io_remove_tree(AT_FDCWD, tmp, NULL); /* of one that was killed: we hold the lock */
	r = io_mkdirs(tmp, 0755, err);
	for (size_t i = 0; r == 0 && i < k->n_debs; i++)
		r = kernel_unpack(paths[i], k->release, tmp, cancel, err);
	if (r == 0)
		r = kernel_unpack_finish(tmp, k->arch, err);
	if (r == 0 && k->debs[0].suite && !io_exists(config)) /* the user's own may lack it */
		r = err_set(err, EBADMSG, "the packages hold no kernel configuration");
	if (r == 0)
		r = kernel_sums(tmp, &text, err);
	if (r == 0) {
		sums = path_join(tmp, "SHA256SUMS");
		sha256_bytes(text.data, text.len, hex);
		r = io_write_atomic(AT_FDCWD, sums, text.data, text.len, 0644, err);
	}
	if (r == 0)
		r = write_meta(k, tmp, hex, err);
	if (r == 0)
		r = io_remove_tree(AT_FDCWD, dir, err); /* what stands there is not whole */
	if (r == 0 && rename(tmp, dir) < 0)
		r = err_errno(err, "rename %s", tmp);
	if (r < 0)
		io_remove_tree(AT_FDCWD, tmp, NULL);
	return r;
}

int kernel_store_add(const struct lock_kernel *k, char *const *paths,
		     const struct kernel_want *want, struct kernel *ret, struct err *err)
{
	auto_free char *dir = folder(k, err), *lock_path = NULL;
	auto_free char *what = str_printf("unpacking kernel %s %s", k->name, arch_name(k->arch));
	auto_close int lock = -1;
	int r;

	if (!dir)
		return err ? -err->code : -EINVAL;
	lock_path = str_printf("%s.lock", dir);
	lock = deb_lock(lock_path, what, want->progress, want->data, want->cancel, err);
	if (lock < 0)
		return lock;
	r = kernel_store_find(k, ret, NULL);
	if (r < 0) {
		if (want->progress)
			want->progress(want->data, what, 0, 0);
		r = build(k, paths, dir, want->cancel, err);
		if (want->progress)
			want->progress(want->data, what, 1, 1);
		if (r == 0)
			r = kernel_store_find(k, ret, err);
	}
	if (r == 0)
		unlink(lock_path); /* who still waits on it will find the folder */
	return r;
}

int kernel_fetch(const struct lock_kernel *k, const struct kernel_want *want, struct kernel *ret,
		 struct err *err)
{
	auto_cleanup(strv) paths = {0};
	struct err why = {0};
	int r = kernel_store_find(k, ret, NULL);

	if (r == 0)
		return 0;
	for (size_t i = 0; i < k->n_debs; i++) {
		char *path = NULL;

		r = deb_fetch(&k->debs[i], want->offline, want->progress, want->data, want->cancel,
			      &path, &why);
		if (r == -ENOENT && want->offline)
			return err_set(err, ENODATA,
				       "kernel %s for %s is not in the cache, and nothing may be "
				       "fetched (offline): run 'lab kernel pull %s'",
				       k->name, arch_name(k->arch), k->name);
		if (r == -ENOENT)
			return err_set(
				err, ENODATA,
				"kernel %s for %s: %s. To pin its successor: lab kernel pin %s",
				k->name, arch_name(k->arch), why.msg, k->name);
		if (r < 0)
			return err_set(err, -r, "kernel %s for %s: %s", k->name, arch_name(k->arch),
				       why.msg);
		strv_take(&paths, path);
	}
	r = kernel_store_add(k, paths.items, want, ret, err);
	return r < 0 ? err_wrap(err, "kernel %s for %s", k->name, arch_name(k->arch)) : 0;
}

/* The packages that are still in the cache must be what the lock says. */
static int verify_debs(const struct lock_kernel *k, struct err *err)
{
	auto_free char *debs = cache_dir("debs", err);

	if (!debs)
		return err ? -err->code : -EINVAL;
	for (size_t i = 0; i < k->n_debs; i++) {
		auto_free char *path = str_printf("%s/%s.deb", debs, k->debs[i].sha256);
		char hex[65];
		int r = io_exists(path) ? sha256_file(path, hex, err) : -ENOENT;

		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0 && !str_eq(hex, k->debs[i].sha256))
			return err_set(err, EBADMSG, "%s: changed since it was fetched", path);
	}
	return 0;
}

/* Does meta.json name the lock's packages and the SHA256SUMS with this digest? */
static int verify_meta(const struct lock_kernel *k, const char *dir, const char *sums_hex,
		       struct err *err)
{
	auto_free char *path = path_join(dir, "meta.json"), *want = inputs(k);
	json_t *meta = json_load_file(path, 0, NULL);
	int r = 0;

	if (!meta)
		r = err_set(err, EBADMSG, "%s: not JSON any more", path);
	else if (!str_eq(text_of(meta, "packages"), want))
		r = err_set(err, EBADMSG, "%s: made of other packages than the lock names", dir);
	else if (!str_eq(text_of(meta, "sums_sha256"), sums_hex))
		r = err_set(err, EBADMSG, "%s/SHA256SUMS: changed since it was unpacked", dir);
	json_decref(meta);
	return r;
}

int kernel_store_verify(const struct lock_kernel *k, struct err *err)
{
	auto_free char *dir = folder(k, err), *sums = NULL;
	auto_cleanup(buf) now = {0}, then = {0};
	char hex[65];
	int r;

	if (!dir)
		return err ? -err->code : -EINVAL;
	if (!io_exists(dir))
		return err_set(err, ENOENT, "%s is not in the cache", dir);
	sums = path_join(dir, "SHA256SUMS");
	if (io_read_file(AT_FDCWD, sums, 16 << 20, &then, NULL) < 0)
		return err_set(err, EBADMSG, "%s: missing or not readable", sums);
	sha256_bytes(then.data ? then.data : "", then.len, hex);
	r = verify_meta(k, dir, hex, err);
	if (r == 0)
		r = kernel_sums(dir, &now, err);
	if (r == 0)
		r = kernel_sums_compare(dir, then.data, now.data, err);
	return r < 0 ? r : verify_debs(k, err);
}

int kernel_store_remove(const struct lock_kernel *k, struct err *err)
{
	auto_free char *dir = folder(k, err), *tmp = NULL, *lock_path = NULL;
	auto_close int lock = -1;
	bool was_there;
	int r;

	if (!dir)
		return err ? -err->code : -EINVAL;
	tmp = str_printf("%s.tmp", dir);
	lock_path = str_printf("%s.lock", dir);
	lock = io_lock_file(lock_path, IO_LOCK_TRY, err);
	if (lock == -EWOULDBLOCK)
		return err_set(err, EBUSY, "kernel %s for %s: another lab is unpacking it", k->name,
			       arch_name(k->arch));
	if (lock < 0)
		return lock;
	was_there = io_exists(dir);
	r = io_remove_tree(AT_FDCWD, tmp, err);
	if (r == 0)
		r = cache_discard(dir, err);
	for (size_t i = 0; r >= 0 && i < k->n_debs; i++) {
		r = deb_remove(&k->debs[i], err);
		was_there |= r == 1;
	}
	unlink(lock_path);
	return r < 0 ? r : was_there;
}
