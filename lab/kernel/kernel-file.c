#include "lab/kernel/kernel-file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/debian/deb.h"
#include "lab/kernel/kernel-image.h"
#include "lab/kernel/kernel-store.h"
#include "lab/kernel/kernel-tree.h"

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

/* type: S_IFREG or S_IFDIR (a home's .config is a folder) */
static char *first_that_is(const struct strv *candidates, mode_t type)
{
	struct stat st;

	for (size_t i = 0; i < candidates->n; i++)
		if (stat(candidates->items[i], &st) == 0 && (st.st_mode & S_IFMT) == type)
			return xstrdup(candidates->items[i]);
	return NULL;
}

/* What lies beside the image. dir: its folder. */
static void find_companions(struct kernel *k, const char *dir)
{
	auto_cleanup(strv) configs = {0}, modules = {0};

	if (k->release) {
		strv_addf(&configs, "%s/config-%s", dir, k->release);
		strv_addf(&modules, "%s/lib/modules/%s", dir, k->release);
		strv_addf(&modules, "%s/../lib/modules/%s", dir, k->release);
	}
	strv_addf(&configs, "%s/config", dir);
	strv_addf(&configs, "%s/.config", dir);
	k->config = first_that_is(&configs, S_IFREG);
	k->modules_dir = first_that_is(&modules, S_IFDIR);
}

/*
 * Can its guest start the agent, and the agent reach the host? Nothing is said against a kernel
 * whose configuration is not known.
 */
static int check_guest(const struct kernel *k, struct err *err)
{
	static const struct {
		const char *option;
		bool module; /* may be one: the image brings it */
		unsigned int archs;
	} needed[] = {
		{"BLK_DEV_INITRD", false, ~0u},
		{"BINFMT_ELF", false, ~0u},
		{"DEVTMPFS", false, ~0u},
		{"PROC_FS", false, ~0u},
		{"SYSFS", false, ~0u},
		{"SIGNALFD", false, ~0u},
		{"VIRTIO_PCI", true, ~0u},
		{"VIRTIO_CONSOLE", true, ~0u},
		{"PCI_HOST_GENERIC", false, 1u << ARCH_ARM64},
	};
	auto_cleanup(buf) lacks = {0}, loose = {0};

	for (size_t i = 0; i < array_len(needed); i++) {
		const char *option = needed[i].option;
		char set = needed[i].archs & 1u << k->arch ? kernel_config_option(k, option) : '?';

		if (set == 'n' || (set == 'm' && !needed[i].module))
			buf_addf(&lacks, " CONFIG_%s=y", option);
		else if (set == 'm' && !k->modules_dir)
			buf_addf(&loose, "%s%s", loose.len ? ", " : "", option);
	}
	if (lacks.len)
		return err_set(err, EINVAL,
			       "kernel %s: its configuration (%.150s) lacks what a guest needs:%s "
			       "(kernel-config/guest.config has that and what scenarios use)",
			       k->name, k->config, lacks.data);
	if (loose.len)
		return err_set(err, EINVAL,
			       "kernel %s: built as modules, but no modules were found: %s. %s",
			       k->name, loose.data,
			       k->local ? "Run 'make modules' in its tree"
					: "Put lib/modules/RELEASE beside the image, or give its "
					  ".deb");
	return 0;
}

static int from_image(const char *path, enum arch arch, struct kernel *ret, struct err *err)
{
	auto_cleanup(kernel) k = {.arch = arch};
	struct kernel_image image;
	char sha256[65], *slash;
	auto_free char *dir = NULL, *tree = NULL;
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
	tree = kernel_tree_of(k.image);
	k.name = name_of(tree ? tree : path);
	k.sha256 = xstrdup(sha256);
	k.release = image.release[0] ? xstrdup(image.release) : NULL;
	k.version = xstrdup(image.version[0] ? image.version : "0");
	kver_parse(k.version, &k.kver, NULL);
	dir = xstrdup(k.image);
	slash = strrchr(dir, '/');
	*slash = '\0';
	if (tree)
		r = kernel_tree_describe(tree, &k, err);
	else
		find_companions(&k, dir);
	if (r < 0)
		return r;
	*ret = k;
	k = (struct kernel){0};
	return 0;
}

/* The release a package's kernel has, from the name of its vmlinuz; -ECANCELED once it is found. */
static int find_release(void *data, struct deb_member *m, struct err *err)
{
	char **release = data;
	const char *path = str_starts(m->path, "usr/") ? m->path + 4 : m->path;

	(void)err;
	if (str_starts(path, "boot/vmlinuz-"))
		*release = xstrdup(path + strlen("boot/vmlinuz-"));
	else if (str_starts(path, "lib/modules/") && str_ends(path, "/vmlinuz"))
		*release = xstrndup(path + strlen("lib/modules/"),
				    strlen(path) - strlen("lib/modules//vmlinuz"));
	return *release ? -ECANCELED : 0;
}

/* The package at path as one to unpack. */
static int add_deb(struct lock_kernel *k, struct strv *paths, const char *path, struct err *err)
{
	char sha256[65];
	int r = sha256_file(path, sha256, err);

	if (r < 0)
		return r;
	k->debs = xreallocarray(k->debs, k->n_debs + 1, sizeof(*k->debs));
	k->debs[k->n_debs++] = (struct deb){
		.name = xstrdup(k->name),
		.version = xstrndup(sha256, 16), /* of the first: keys the folder in the cache */
		.sha256 = xstrdup(sha256),
	};
	strv_add(paths, path);
	return 0;
}

/* The other packages that a split kernel consists of, beside the one at path. */
static int add_parts(struct lock_kernel *k, struct strv *paths, const char *path, struct err *err)
{
	auto_free char *modules = str_printf("linux-modules-%s_", k->release);
	auto_free char *base = str_printf("linux-base-%s_", k->release), *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	auto_closedir DIR *d = NULL;
	auto_cleanup(strv) parts = {0};
	struct dirent *e;

	if (slash)
		*slash = '\0';
	d = opendir(!slash ? "." : *dir ? dir : "/");
	while (d && (e = readdir(d)))
		if (str_ends(e->d_name, ".deb") &&
		    (str_starts(e->d_name, modules) || str_starts(e->d_name, base)))
			strv_addf(&parts, "%s/%s", slash ? dir : ".", e->d_name);
	strv_sort(&parts);
	for (size_t i = 0; i < parts.n; i++) {
		int r = add_deb(k, paths, parts.items[i], err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int from_deb(const char *path, enum arch arch, const struct kernel_want *want,
		    struct kernel *ret, struct err *err)
{
	auto_cleanup(lock_kernel) k = {.arch = arch, .name = name_of(path)};
	auto_cleanup(strv) paths = {0};
	struct kernel_image image;
	int r = deb_walk(path, find_release, &k.release, err);

	if (r < 0 && r != -ECANCELED)
		return r;
	if (!k.release || !lock_name_ok(k.release))
		return err_set(err, ENOEXEC,
			       "%s: no kernel in this package (no vmlinuz); from Linux 6.19 on "
			       "Debian has it in linux-binary-RELEASE",
			       path);
	if (str_ends(k.name, ".deb"))
		k.name[strlen(k.name) - 4] = '\0';
	k.version = xstrndup(k.release, strspn(k.release, "0123456789."));
	r = add_deb(&k, &paths, path, err);
	if (r == 0)
		r = add_parts(&k, &paths, path, err);
	if (r == 0)
		r = kernel_store_add(&k, paths.items, want, ret, err);
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

int kernel_from_path(const char *path, enum arch arch, const struct kernel_want *want,
		     struct kernel *ret, struct err *err)
{
	auto_cleanup(kernel) k = {0};
	auto_free char *image = NULL;
	struct stat st;
	int r = 0;

	if (stat(path, &st) < 0) /* EACCES too: the path is the user's */
		return err_set(err, ENOENT, "kernel %s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		r = kernel_tree_image(path, arch, &image, err);
	if (r == 0 && !image && str_ends(path, ".deb"))
		r = from_deb(path, arch, want, &k, err);
	else if (r == 0)
		r = from_image(image ? image : path, arch, &k, err);
	if (r == 0)
		r = check_guest(&k, err);
	if (r < 0)
		return r;
	*ret = k;
	k = (struct kernel){0};
	return 0;
}
