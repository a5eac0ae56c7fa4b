#include "lab/kernel/kernel-tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/guest/modules.h"
#include "lab/kconfig/kconfig.h"
#include "lab/kernel/elf.h"
#include "lab/kernel/git.h"
#include "lab/kernel/lock.h"

enum { RELEASE_MAX = 256 };

static const struct kbuild_arch {
	const char *image;
	const char *packed; /* the image in a form that QEMU does not take */
} archs[ARCH_COUNT] = {
	[ARCH_AMD64] = {"arch/x86/boot/bzImage", NULL},
	[ARCH_ARM64] = {"arch/arm64/boot/Image", "arch/arm64/boot/Image.gz"},
};

const char *kernel_tree_image_name(enum arch arch)
{
	return archs[arch].image;
}

/* ---- files of a tree ---- */

static bool stat_in(const char *tree, const char *name, struct stat *st)
{
	auto_free char *path = path_join(tree, name);

	return stat(path, st) == 0;
}

static bool is_there(const char *tree, const char *name)
{
	struct stat st;

	return stat_in(tree, name, &st);
}

/* Did name change after than? Not when one of them is not there. */
static bool is_newer(const char *tree, const char *name, const char *than)
{
	struct stat a, b;

	if (!stat_in(tree, name, &a) || !stat_in(tree, than, &b))
		return false;
	return a.st_mtim.tv_sec != b.st_mtim.tv_sec ? a.st_mtim.tv_sec > b.st_mtim.tv_sec
						    : a.st_mtim.tv_nsec > b.st_mtim.tv_nsec;
}

/* The first line of a small file, allocated; NULL when it cannot be read. */
static char *first_line(const char *tree, const char *name)
{
	auto_free char *path = path_join(tree, name);
	auto_cleanup(buf) text = {0};

	if (io_read_regular(AT_FDCWD, path, RELEASE_MAX, &text, NULL) < 0 || !text.len)
		return NULL;
	return xstrndup(text.data, strcspn(text.data, "\n"));
}

/* ---- is it whole? ---- */

static int read_config(const char *tree, struct kconfig *config, struct err *err)
{
	auto_free char *path = path_join(tree, ".config");
	struct err why = {0};
	int r = kconfig_load(path, config, &why);

	if (r == -ENOENT && is_there(tree, "Kconfig"))
		return err_set(
			err, EINVAL,
			"%.150s is a kernel's source without .config: if it was built with "
			"O=, give that folder; or 'lab kernel build NAME --source' builds it",
			tree);
	if (r == -ENOENT)
		return err_set(err, EINVAL, "%.200s is no kernel's build tree: no .config in it",
			       tree);
	return r < 0 ? err_set(err, EINVAL, "%s", why.msg) : 0; /* unreadable, too */
}

static int check_arch(const struct kconfig *config, const char *tree, enum arch arch,
		      struct err *err)
{
	if (!config->version || config->arch == (int)arch)
		return 0; /* not known: an old one was cut down by hand */
	if (config->arch < 0)
		return err_set(err, ENOTSUP,
			       "%.200s is configured (.config) for an architecture that is neither "
			       "amd64 nor arm64",
			       tree);
	return err_set(err, ENOTSUP, "%.200s is configured for %s (.config), not for %s: --arch %s",
		       tree, arch_name(config->arch), arch_name(arch), arch_name(config->arch));
}

static int check_built(const char *tree, const struct kbuild_arch *a, struct err *err)
{
	if (is_there(tree, a->image))
		return 0;
	if (a->packed && is_there(tree, a->packed))
		return err_set(err, EINVAL,
			       "%.200s has %s, which QEMU does not unpack, and no %s: run 'make "
			       "Image' there",
			       tree, a->packed, a->image);
	return err_set(err, EINVAL, "%.200s is configured but not built: no %s; run make there",
		       tree, a->image);
}

/*
 * A top folder's objects are newer than the kernel that was linked from them: make was ended before
 * it linked. (kernel/built-in.a is written when something below kernel/ was compiled, or not at
 * all.) *which is allocated.
 */
static bool has_unlinked(const char *tree, char **which)
{
	auto_closedir DIR *d = opendir(tree);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		auto_free char *archive = str_printf("%s/built-in.a", e->d_name);

		if (e->d_name[0] == '.' || !is_newer(tree, archive, "vmlinux"))
			continue;
		*which = take_ptr(archive);
		return true;
	}
	return false;
}

/*
 * Returns how many modules are there; none when make built an image only. *missing as
 * modules_state() has it.
 */
static int count_modules(const char *tree, char **missing, struct err *err)
{
	auto_cleanup(buf) state = {0};
	struct err why = {0};
	int r = modules_state(tree, &state, missing, &why);

	return r >= 0 ? r : r == -ENOENT ? 0 : err_set(err, EINVAL, "%s", why.msg);
}

static int check_whole(const char *tree, const struct kbuild_arch *a, struct err *err)
{
	auto_free char *object = NULL, *missing = NULL;
	auto_cleanup(buf) why = {0};
	int modules = count_modules(tree, &missing, err);

	if (modules < 0)
		return modules;
	if (is_newer(tree, ".config", "include/config/auto.conf"))
		buf_adds(&why, ".config was changed after the last make");
	else if (is_newer(tree, "vmlinux", a->image))
		buf_addf(&why, "vmlinux is newer than %s", a->image);
	else if (has_unlinked(tree, &object))
		buf_addf(&why, "%.60s is newer than vmlinux", object);
	else if (modules && missing)
		buf_addf(&why, "modules.order lists %.100s, which is not there", missing);
	if (!why.len)
		return 0;
	return err_set(err, EINVAL,
		       "%.150s is half built: %s; run make there (or name its %s, which is taken "
		       "as it is)",
		       tree, why.data, a->image);
}

int kernel_tree_image(const char *path, enum arch arch, char **image, struct err *err)
{
	auto_cleanup(kconfig) config = {0};
	int r = read_config(path, &config, err);

	if (r == 0)
		r = check_arch(&config, path, arch, err);
	if (r == 0)
		r = check_built(path, &archs[arch], err);
	if (r == 0)
		r = check_whole(path, &archs[arch], err);
	if (r == 0)
		*image = path_join(path, archs[arch].image);
	return r;
}

/* ---- what it is ---- */

static char *tree_with(const char *image, const char *place)
{
	auto_free char *end = str_printf("/%s", place), *tree = NULL;

	if (!str_ends(image, end))
		return NULL;
	tree = xstrndup(image, strlen(image) - strlen(end));
	return is_there(tree, ".config") ? take_ptr(tree) : NULL;
}

char *kernel_tree_of(const char *image)
{
	char *tree = tree_with(image, "vmlinux");

	for (size_t i = 0; !tree && i < ARCH_COUNT; i++)
		tree = tree_with(image, archs[i].image);
	return tree;
}

/* Where the source of a tree is: it may be elsewhere (make's O=). Allocated. */
static char *source_of(const char *tree)
{
	auto_free char *link = path_join(tree, "source");
	char *real = realpath(link, NULL);

	return real ? real : xstrdup(tree);
}

/* "v6.5-3-gabc-dirty, gcc (Debian 12.2.0-14) 12.2.0" */
static char *describe_origin(const char *tree, const struct kernel *k)
{
	auto_free char *source = source_of(tree), *state = git_describe(source);
	auto_cleanup(kconfig) config = {0};

	kconfig_load(k->config, &config, NULL);
	return str_printf("%s%s%s", state ? state : "state not known", config.compiler ? ", " : "",
			  config.compiler ? config.compiler : "");
}

int kernel_tree_describe(const char *tree, struct kernel *k, struct err *err)
{
	auto_free char *release = first_line(tree, "include/config/kernel.release");
	auto_free char *missing = NULL;
	int modules = count_modules(tree, &missing, err);

	if (modules < 0)
		return modules;
	if (release && !lock_name_ok(release))
		return err_set(err, EINVAL,
			       "%.200s/include/config/kernel.release names no release of a kernel",
			       tree);
	if (release && k->release && !str_eq(release, k->release))
		return err_set(err, EINVAL,
			       "%.150s is of %.60s, the rest of its tree of %.60s: run make there",
			       k->image, k->release, release);
	if (release) {
		free(k->release);
		free(k->version);
		k->release = take_ptr(release);
		k->version = xstrndup(k->release, strspn(k->release, "0123456789."));
		kver_parse(k->version, &k->kver, NULL);
	}
	k->config = path_join(tree, ".config");
	if (modules)
		k->modules_dir = xstrdup(tree);
	if (is_there(tree, "vmlinux")) {
		k->vmlinux = path_join(tree, "vmlinux");
		elf_build_id(k->vmlinux, &k->build_id, NULL);
	}
	k->origin = describe_origin(tree, k);
	k->local = true;
	return 0;
}
