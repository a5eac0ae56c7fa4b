#include "lab/kernel/kernel-debug.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/guest/image-root.h"
#include "lab/guest/modules.h"
#include "lab/kernel/elf.h"
#include "lab/kernel/kernel-image.h"
#include "lab/kernel/kernel-store.h"
#include "lab/kernel/kernel-unpack.h"
#include "lab/kernel/store-folder.h"

void kernel_debug_deinit(struct kernel_debug *d)
{
	free(d->vmlinux);
	free(d->modules);
	free(d->build_id);
	free(d->package);
	*d = (struct kernel_debug){0};
}

char *kernel_debug_name(const struct lock_kernel *k)
{
	auto_free char *name = kernel_store_name(k);

	return str_printf("%s.debug", name);
}

static int folder(const struct lock_kernel *k, struct store_folder *ret, struct err *err)
{
	auto_free char *root = cache_dir("kernels", err), *name = kernel_debug_name(k);

	if (!root)
		return err ? -err->code : -EINVAL;
	ret->dir = path_join(root, name);
	ret->inputs = xstrdup(k->debug.name ? k->debug.sha256 : "none");
	ret->file = "vmlinux";
	return 0;
}

int kernel_debug_find(const struct lock_kernel *k, struct kernel_debug *ret, struct err *err)
{
	auto_cleanup(store_folder) f = {0};
	json_t *meta;
	int r = folder(k, &f, err);

	if (r < 0)
		return r;
	meta = k->debug.name ? store_folder_find(&f) : NULL;
	if (!meta)
		return err_set(err, ENOENT, "%s is not in the cache", f.dir);
	*ret = (struct kernel_debug){
		.vmlinux = path_join(f.dir, "vmlinux"),
		.modules = path_join(f.dir, "modules"),
		.build_id = xstrdup(store_folder_text(meta, "build_id")),
		.package = str_printf("%s %s", k->debug.name, k->debug.version),
	};
	json_decref(meta);
	return 0;
}

/* ---- unpacking ---- */

struct unpacking {
	const struct lock_kernel *k;
	const struct kernel *kernel;
	const struct kernel_want *want;
	const char *dir, *deb;
	struct strv modules; /* "kernel/fs/overlayfs/overlay.ko" */
	size_t found;	     /* of modules and vmlinux */
};

static void unpacking_deinit(struct unpacking *u)
{
	strv_deinit(&u->modules);
}
DEFINE_CLEANUP(unpacking, unpacking_deinit)

/* Which modules our guests load. */
static int find_modules(struct unpacking *u, struct err *err)
{
	auto_free char *path = NULL;
	auto_cleanup(buf) list = {0};
	auto_cleanup(strv) names = {0};
	auto_cleanup(modules) set = {0};
	int r;

	if (!u->kernel->modules_dir)
		return 0;
	r = home_read("vm/modules", &list, &path, err);
	if (r == 0)
		r = image_root_module_names(list.data ? list.data : "", &names, err);
	if (r == 0)
		r = modules_load(u->kernel->modules_dir, &names, &set, err);
	for (size_t i = 0; r == 0 && i < set.n; i++)
		strv_add(&u->modules, set.items[i].path);
	return r;
}

/* Where a member goes below the folder; NULL: it is not needed. */
static char *place_of(const struct unpacking *u, const char *path)
{
	/* up to 6.18, and later; the other one is a link */
	auto_free char *early = str_printf("usr/lib/debug/boot/vmlinux-%s", u->k->release);
	auto_free char *modules = str_printf("usr/lib/debug/lib/modules/%s/", u->k->release);
	const char *rest;

	if (str_eq(path, early))
		return xstrdup("vmlinux");
	if (!str_starts(path, modules))
		return NULL;
	rest = path + strlen(modules);
	if (str_eq(rest, "vmlinux"))
		return xstrdup("vmlinux");
	if (str_ends(rest, ".debug")) {
		auto_free char *name = xstrndup(rest, strlen(rest) - strlen(".debug"));

		return strv_has(&u->modules, name) ? path_join("modules", name) : NULL;
	}
	return strv_has(&u->modules, rest) ? path_join("modules", rest) : NULL;
}

/* All that is needed is there. What follows is a quarter to half of the package. */
static bool is_whole(const struct unpacking *u)
{
	return u->found == u->modules.n + 1;
}

static int on_member(void *data, struct deb_member *m, struct err *err)
{
	struct unpacking *u = data;
	auto_free char *place = S_ISREG(m->mode) && !m->link ? place_of(u, m->path) : NULL;
	auto_free char *to = place ? path_join(u->dir, place) : NULL;

	if (u->want->cancel && *u->want->cancel)
		return err_set(err, EINTR, "interrupted");
	if (is_whole(u))
		return -ECANCELED;
	u->found += to != NULL;
	return to ? kernel_unpack_member(m, to, u->want->cancel, err) : 0;
}

static int no_space(const struct unpacking *u, struct err *err)
{
	struct statvfs fs = {0};

	statvfs(u->dir, &fs);
	return err_set(err, ENOSPC,
		       "no space left to unpack %s: symbols take some 700 MiB, and %llu MiB are "
		       "free; free some ('lab cache prune') or set LAB_CACHE, and run this again",
		       u->k->debug.name, (unsigned long long)fs.f_bavail * fs.f_frsize >> 20);
}

/* The vmlinux must be of the image's link; an image that does not say of which it is, is any. */
static int check_build(const struct kernel *k, const char *id, struct err *err)
{
	auto_free char *of_image = NULL;
	auto_cleanup(buf) image = {0};

	if (kernel_image_unpack(k->image, &image, NULL) < 0 ||
	    kernel_image_build_id(&image, k->arch, &of_image, NULL) < 0 || str_eq(id, of_image))
		return 0;
	return err_set(err, EBADMSG,
		       "its vmlinux is of another build (build id %s) than the kernel (%s)", id,
		       of_image);
}

static int unpack(void *data, const char *dir, json_t *meta, struct err *err)
{
	struct unpacking *u = data;
	auto_free char *vmlinux = path_join(dir, "vmlinux"), *modules = path_join(dir, "modules");
	auto_free char *id = NULL;
	int r = find_modules(u, err);

	u->dir = dir;
	if (r == 0)
		r = io_mkdirs(modules, 0755, err);
	if (r == 0)
		r = deb_walk(u->deb, on_member, u, err);
	if (r == -ECANCELED && is_whole(u))
		r = 0;
	if (r == -ENOSPC || r == -EDQUOT)
		return no_space(u, err);
	if (r == 0 && !io_exists(vmlinux))
		return err_set(err, EBADMSG, "there is no vmlinux-%s in %s %s", u->k->release,
			       u->k->debug.name, u->k->debug.version);
	if (r == 0)
		r = elf_punch_relocations(vmlinux, err);
	if (r == 0)
		r = elf_build_id(vmlinux, &id, err);
	if (r == -ENODATA)
		return err_set(err, EBADMSG, "its vmlinux has no build id");
	if (r == 0)
		r = check_build(u->kernel, id, err);
	if (r < 0)
		return r;
	json_object_set_new(meta, "build_id", json_string(id));
	return 0;
}

/* The package's file; we hold the folder's lock, so that nobody removes it before it is unpacked.
 */
static int fetch(const struct lock_kernel *k, const struct kernel_want *want, char **ret,
		 struct err *err)
{
	const char *arch = arch_name(k->arch);
	struct err why = {0};
	int r = deb_fetch(&k->debug, want->offline, want->progress, want->data, want->cancel, ret,
			  &why);

	if (r == -ENOENT && want->offline)
		return err_set(err, ENODATA,
			       "the symbols of kernel %s for %s are not in the cache, and nothing "
			       "may be fetched (offline): run 'lab kernel pull --debug %s'",
			       k->name, arch, k->name);
	if (r < 0)
		return err_set(err, r == -ENOENT ? ENODATA : -r, "symbols of kernel %s for %s: %s",
			       k->name, arch, why.msg);
	return 0;
}

static int provide(struct unpacking *u, const struct store_folder *f, struct err *err)
{
	const struct lock_kernel *k = u->k;
	auto_free char *what =
		str_printf("unpacking symbols of kernel %s %s", k->name, arch_name(k->arch));
	auto_free char *deb = NULL;
	int r = fetch(k, u->want, &deb, err);

	if (r < 0)
		return r;
	u->deb = deb;
	if (u->want->progress)
		u->want->progress(u->want->data, what, 0, 0);
	r = store_folder_make(f, unpack, u, err);
	if (u->want->progress)
		u->want->progress(u->want->data, what, 1, 1);
	if (r < 0)
		return err_wrap(err, "symbols of kernel %s for %s", k->name, arch_name(k->arch));
	deb_remove(&k->debug, NULL); /* it may be in use: then it stays */
	return 0;
}

int kernel_debug_fetch(const struct lock_kernel *k, const struct kernel *kernel,
		       const struct kernel_want *want, struct kernel_debug *ret, struct err *err)
{
	auto_cleanup(unpacking) u = {.k = k, .kernel = kernel, .want = want};
	auto_free char *what =
		str_printf("fetching symbols of kernel %s %s", k->name, arch_name(k->arch));
	auto_cleanup(store_folder) f = {0};
	auto_close int lock = -1;
	int r;

	if (!k->debug.name)
		return err_set(err, ENODATA,
			       "kernel %s for %s has no debug package in the archive: its symbols "
			       "are those of its image",
			       k->name, arch_name(k->arch));
	if (kernel_debug_find(k, ret, NULL) == 0)
		return 0;
	r = folder(k, &f, err);
	if (r < 0)
		return r;
	lock = store_folder_lock(&f, what, want, err);
	if (lock < 0)
		return lock;
	r = kernel_debug_find(k, ret, NULL);
	if (r < 0) {
		r = provide(&u, &f, err);
		if (r == 0)
			r = kernel_debug_find(k, ret, err);
	}
	if (r == 0)
		store_folder_made(&f);
	return r;
}

int kernel_debug_verify(const struct lock_kernel *k, struct err *err)
{
	auto_cleanup(store_folder) f = {0};
	int r = folder(k, &f, err);

	return r < 0 ? r : store_folder_verify(&f, err);
}

int kernel_debug_remove(const struct lock_kernel *k, struct err *err)
{
	auto_free char *what =
		str_printf("symbols of kernel %s for %s", k->name, arch_name(k->arch));
	auto_cleanup(store_folder) f = {0};
	bool was_there;
	int r = folder(k, &f, err);

	if (r == 0)
		r = store_folder_remove(&f, what, err);
	was_there = r == 1;
	if (r >= 0 && k->debug.name)
		r = deb_remove(&k->debug, err);
	return r < 0 ? r : was_there || r == 1;
}
