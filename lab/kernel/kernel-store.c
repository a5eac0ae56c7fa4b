#include "lab/kernel/kernel-store.h"

#include <string.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/kernel/kernel-debug.h"
#include "lab/kernel/kernel-headers.h"
#include "lab/kernel/kernel-unpack.h"
#include "lab/kernel/store-folder.h"

char *kernel_store_name(const struct lock_kernel *k)
{
	/* the package's version, not the kernel's: a rebuilt package is another kernel */
	char *name = str_printf("%s-%s-%s", k->name, k->debs[0].version, arch_name(k->arch));

	for (char *s = name; *s; s++)
		if (*s == ':' || *s == '/')
			*s = '_';
	return name;
}

static int folder(const struct lock_kernel *k, struct store_folder *ret, struct err *err)
{
	auto_free char *root = cache_dir("kernels", err), *name = kernel_store_name(k);
	auto_cleanup(buf) inputs = {0};

	if (!root)
		return err ? -err->code : -EINVAL;
	for (size_t i = 0; i < k->n_debs; i++)
		buf_addf(&inputs, "%s%s", i ? " " : "", k->debs[i].sha256);
	ret->dir = path_join(root, name);
	ret->inputs = take_ptr(inputs.data);
	ret->file = "image";
	return 0;
}

/* The symbols, when they were pulled. */
static void fill_debug(const struct lock_kernel *k, struct kernel *ret)
{
	auto_cleanup(kernel_debug) debug = {0};

	if (kernel_debug_find(k, &debug, NULL) < 0)
		return;
	ret->vmlinux = take_ptr(debug.vmlinux);
	ret->build_id = take_ptr(debug.build_id);
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
	found.sha256 = xstrdup(store_folder_text(meta, "image_sha256"));
	found.package = str_printf("linux-image-%s %s", k->release, k->debs[0].version);
	if (io_exists(config))
		found.config = take_ptr(config);
	if (io_exists(release_dir))
		found.modules_dir = take_ptr(release_dir);
	fill_debug(k, &found);
	*ret = found;
	return 0;
}

int kernel_store_find(const struct lock_kernel *k, struct kernel *ret, struct err *err)
{
	auto_cleanup(store_folder) f = {0};
	json_t *meta;
	int r = folder(k, &f, err);

	if (r < 0)
		return r;
	meta = store_folder_find(&f);
	if (meta)
		r = fill(k, f.dir, meta, ret, err);
	else
		r = err_set(err, ENOENT, "%s is not in the cache", f.dir);
	json_decref(meta);
	return r;
}

struct unpacking {
	const struct lock_kernel *k;
	char *const *paths;
	const volatile int *cancel;
};

static int unpack(void *data, const char *dir, json_t *meta, struct err *err)
{
	const struct unpacking *u = data;
	const struct lock_kernel *k = u->k;
	auto_free char *config = path_join(dir, "config");
	int r = 0;

	for (size_t i = 0; r == 0 && i < k->n_debs; i++)
		r = kernel_unpack(u->paths[i], k->release, dir, u->cancel, err);
	if (r == 0)
		r = kernel_unpack_finish(dir, k->arch, err);
	if (r == 0 && k->debs[0].suite && !io_exists(config)) /* the user's own may lack it */
		r = err_set(err, EBADMSG, "the packages hold no kernel configuration");
	json_object_set_new(meta, "name", json_string(k->name));
	json_object_set_new(meta, "version", json_string(k->version));
	json_object_set_new(meta, "release", json_string(k->release));
	json_object_set_new(meta, "arch", json_string(arch_name(k->arch)));
	return r;
}

int kernel_store_add(const struct lock_kernel *k, char *const *paths,
		     const struct kernel_want *want, struct kernel *ret, struct err *err)
{
	auto_free char *what = str_printf("unpacking kernel %s %s", k->name, arch_name(k->arch));
	struct unpacking u = {.k = k, .paths = paths, .cancel = want->cancel};
	auto_cleanup(store_folder) f = {0};
	auto_close int lock = -1;
	int r = folder(k, &f, err);

	if (r < 0)
		return r;
	lock = store_folder_lock(&f, what, want, err);
	if (lock < 0)
		return lock;
	r = kernel_store_find(k, ret, NULL);
	if (r < 0) {
		if (want->progress)
			want->progress(want->data, what, 0, 0);
		r = store_folder_make(&f, unpack, &u, err);
		if (want->progress)
			want->progress(want->data, what, 1, 1);
		if (r == 0)
			r = kernel_store_find(k, ret, err);
	}
	if (r == 0)
		store_folder_made(&f);
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

int kernel_store_verify(const struct lock_kernel *k, struct err *err)
{
	auto_cleanup(store_folder) f = {0};
	int r = folder(k, &f, err);

	if (r == 0)
		r = store_folder_verify(&f, err);
	if (r == 0)
		r = verify_debs(k, err);
	if (r == 0 && k->debug.name) {
		r = kernel_debug_verify(k, err);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

int kernel_store_remove(const struct lock_kernel *k, struct err *err)
{
	auto_free char *what = str_printf("kernel %s for %s", k->name, arch_name(k->arch));
	auto_cleanup(store_folder) f = {0};
	bool was_there;
	int r = folder(k, &f, err);

	if (r == 0)
		r = kernel_debug_remove(k, err);
	was_there = r == 1;
	if (r >= 0)
		r = kernel_headers_remove(k, err);
	was_there |= r == 1;
	if (r >= 0)
		r = store_folder_remove(&f, what, err);
	was_there |= r == 1;
	for (size_t i = 0; r >= 0 && i < k->n_debs; i++) {
		r = deb_remove(&k->debs[i], err);
		was_there |= r == 1;
	}
	return r < 0 ? r : was_there;
}
