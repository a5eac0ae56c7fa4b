#include "lab/kernel/kernel-file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/debian/deb.h"
#include "lab/kernel/kernel-image.h"
#include "lab/kernel/kernel-store.h"

/* A name for folders of evidence, from the last part of a path. */
static char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = xstrndup(slash ? slash + 1 : path, 60);

	for (char *s = name; *s; s++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-",
			    *s) ||
		    (s == name && strchr("._+-", *s)))
			*s = 'x';
	if (!*name) {
		free(name);
		return xstrdup("kernel");
	}
	return name;
}

static char *first_that_exists(const struct strv *candidates)
{
	for (size_t i = 0; i < candidates->n; i++)
		if (io_exists(candidates->items[i]))
			return xstrdup(candidates->items[i]);
	return NULL;
}

/* What lies beside the image. dir: its folder. */
static void find_companions(struct kernel *k, const char *dir)
{
	auto_cleanup(strv) configs = {0}, modules = {0};

	strv_addf(&configs, "%s/config", dir);
	strv_addf(&configs, "%s/.config", dir);
	if (k->release) {
		strv_addf(&configs, "%s/config-%s", dir, k->release);
		strv_addf(&modules, "%s/lib/modules/%s", dir, k->release);
		strv_addf(&modules, "%s/../lib/modules/%s", dir, k->release);
	}
	if (!k->config)
		k->config = first_that_exists(&configs);
	k->modules_dir = first_that_exists(&modules);
}

static int from_image(const char *path, const char *name, const char *config, enum arch arch,
		      struct kernel *ret, struct err *err)
{
	auto_cleanup(kernel) k = {.arch = arch};
	struct kernel_image image;
	char sha256[65], *slash;
	auto_free char *dir = NULL;
	int r = kernel_image_probe_file(path, &image, err);

	if (r < 0)
		return r;
	if (image.arch != arch)
		return err_set(err, ENOTSUP, "%s is a kernel for %s, not for %s", path,
			       arch_name(image.arch), arch_name(arch));
	if (image.format == KERNEL_ZBOOT)
		return err_set(err, ENOEXEC,
			       "%s is compressed as an EFI program: give arch/arm64/boot/Image",
			       path);
	r = sha256_file(path, sha256, err);
	if (r < 0)
		return r;
	k.image = realpath(path, NULL);
	if (!k.image)
		return err_errno(err, "%s", path);
	k.name = name_of(name);
	k.sha256 = xstrdup(sha256);
	k.release = image.release[0] ? xstrdup(image.release) : NULL;
	k.version = xstrdup(image.version[0] ? image.version : "0");
	kver_parse(k.version, &k.kver, NULL);
	k.config = config && io_exists(config) ? realpath(config, NULL) : NULL;
	dir = xstrdup(k.image);
	slash = strrchr(dir, '/');
	*slash = '\0';
	find_companions(&k, dir);
	*ret = k;
	k = (struct kernel){0};
	return 0;
}

static int from_tree(const char *path, enum arch arch, struct kernel *ret, struct err *err)
{
	auto_free char *image = path_join(path, arch == ARCH_ARM64 ? "arch/arm64/boot/Image"
								   : "arch/x86/boot/bzImage");
	auto_free char *config = path_join(path, ".config");
	auto_free char *real = realpath(path, NULL);

	if (!io_exists(image))
		return err_set(err, ENOENT,
			       "%s is a folder without %s: build the kernel there first", path,
			       image + strlen(path) + !str_ends(path, "/"));
	return from_image(image, real ? real : path, config, arch, ret, err);
}

/* The release a package's kernel has, from the name of its vmlinuz. */
static int find_release(void *data, struct deb_member *m, struct err *err)
{
	char **release = data;
	const char *path = str_starts(m->path, "usr/") ? m->path + 4 : m->path;

	(void)err;
	if (*release)
		return 0;
	if (str_starts(path, "boot/vmlinuz-"))
		*release = xstrdup(path + strlen("boot/vmlinuz-"));
	else if (str_starts(path, "lib/modules/") && str_ends(path, "/vmlinuz"))
		*release = xstrndup(path + strlen("lib/modules/"),
				    strlen(path) - strlen("lib/modules//vmlinuz"));
	return 0;
}

static int from_deb(const char *path, enum arch arch, struct kernel *ret, struct err *err)
{
	auto_cleanup(lock_kernel) k = {.arch = arch, .name = name_of(path)};
	auto_free char *release = NULL;
	struct kernel_image image;
	char sha256[65], *paths[] = {(char *)path, NULL};
	int r = sha256_file(path, sha256, err);

	if (r == 0)
		r = deb_walk(path, find_release, &release, err);
	if (r < 0)
		return r;
	if (!release || !lock_name_ok(release))
		return err_set(err, ENOEXEC, "%s: no kernel in this package (no vmlinuz)", path);
	if (str_ends(k.name, ".deb"))
		k.name[strlen(k.name) - 4] = '\0';
	k.debs = xcalloc(1, sizeof(*k.debs));
	k.n_debs = 1;
	k.debs[0].name = xstrdup(k.name);
	k.debs[0].version = xstrndup(sha256, 16); /* keys the folder in the cache */
	k.debs[0].sha256 = xstrdup(sha256);
	k.release = take_ptr(release);
	k.version = xstrndup(k.release, strspn(k.release, "0123456789."));
	r = kernel_store_add(&k, paths, ret, err);
	if (r < 0)
		return err_wrap(err, "%s", path);
	free(ret->package);
	ret->package = NULL;
	if (kernel_image_probe_file(ret->image, &image, NULL) == 0 && image.version[0]) {
		free(ret->version); /* the release says 6.1.0-50, the image 6.1.176 */
		ret->version = xstrdup(image.version);
		kver_parse(ret->version, &ret->kver, NULL);
	}
	return 0;
}

int kernel_from_path(const char *path, enum arch arch, struct kernel *ret, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_errno(err, "kernel %s", path);
	if (S_ISDIR(st.st_mode))
		return from_tree(path, arch, ret, err);
	if (str_ends(path, ".deb"))
		return from_deb(path, arch, ret, err);
	return from_image(path, path, NULL, arch, ret, err);
}
