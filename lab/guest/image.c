#include "lab/guest/image.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/guest/cpio.h"
#include "lab/guest/image-root.h"
#include "lab/guest/modules.h"

/* Count up when the same inputs make another image. */
enum { IMAGE_FORMAT = 1, SETTINGS_MAX = 64 << 10 };

/* For strace(1) and a shell; strace brings its libraries. */
static const char *const base_packages[] = {"busybox-static", "strace"};

struct inputs {
	const struct kernel *kernel;
	struct deb *debs;
	size_t n_debs;
	char *agent, *jail;	/* paths */
	struct buf module_list; /* vm/modules */
};

static void inputs_deinit(struct inputs *in)
{
	for (size_t i = 0; i < in->n_debs; i++)
		deb_deinit(&in->debs[i]);
	free(in->debs);
	free(in->agent);
	free(in->jail);
	buf_deinit(&in->module_list);
}
DEFINE_CLEANUP(inputs, inputs_deinit)

void image_deinit(struct image *image)
{
	free(image->initrd);
	free(image->disk);
	free(image->sha256);
	*image = (struct image){0};
}

static int gather(struct inputs *in, const struct strv *packages, struct err *err)
{
	enum arch arch = in->kernel->arch;
	auto_free char *home = home_dir(err), *list = NULL;
	int r = 0;

	if (!home)
		return -err->code;
	list = path_join(home, "vm/modules");
	r = io_read_file(AT_FDCWD, list, SETTINGS_MAX, &in->module_list, err);
	if (r < 0)
		return r;
	in->agent = home_guest_program(arch_name(arch), "agent", err);
	in->jail = in->agent ? home_guest_program(arch_name(arch), "jail", err) : NULL;
	if (!in->jail)
		return -err->code;
	for (size_t i = 0; r == 0 && i < array_len(base_packages); i++)
		r = deb_locked_closure(base_packages[i], arch, &in->debs, &in->n_debs, err);
	for (size_t i = 0; r == 0 && packages && i < packages->n; i++)
		r = deb_locked_closure(packages->items[i], arch, &in->debs, &in->n_debs, err);
	return r;
}

/*
 * The modules of a pinned kernel are as fixed as its package; those of a folder that somebody
 * builds in are known by when it changed.
 */
static void describe_kernel(const struct kernel *k, struct buf *out)
{
	struct stat st;

	buf_addf(out, "kernel %s %s %s\n", arch_name(k->arch), k->sha256 ? k->sha256 : k->image,
		 k->release ? k->release : "-");
	if (!k->modules_dir)
		buf_adds(out, "modules none\n");
	else if (k->package)
		buf_addf(out, "modules %s\n", k->package);
	else if (stat(k->modules_dir, &st) == 0)
		buf_addf(out, "modules %s %lld.%09ld\n", k->modules_dir,
			 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

/* What decides about the image's bytes. */
static int describe(const struct inputs *in, struct buf *out, struct err *err)
{
	const char *programs[] = {in->agent, in->jail};
	char hex[65];

	buf_addf(out, "format %d\n", IMAGE_FORMAT);
	describe_kernel(in->kernel, out);
	for (size_t i = 0; i < array_len(programs); i++) {
		int r = sha256_file(programs[i], hex, err);

		if (r < 0)
			return r;
		buf_addf(out, "program %s\n", hex);
	}
	sha256_bytes(in->module_list.data, in->module_list.len, hex);
	buf_addf(out, "module list %s\n", hex);
	for (size_t i = 0; i < in->n_debs; i++)
		buf_addf(out, "package %s %s\n", in->debs[i].name, in->debs[i].sha256);
	return 0;
}

static int fill(const struct inputs *in, struct cpio *c, bool offline, kernel_progress_fn progress,
		void *data, struct err *err)
{
	int r = image_root_skeleton(c, err);

	for (size_t i = 0; r == 0 && i < in->n_debs; i++) {
		auto_free char *path = NULL;

		r = deb_fetch(&in->debs[i], offline, progress, data, &path, err);
		if (r == 0)
			r = image_root_package(c, path, err);
	}
	if (r == 0)
		r = cpio_add_host_file(c, "init", 0755, in->agent, err);
	if (r == 0)
		r = cpio_add_host_file(c, "usr/bin/jail", 0755, in->jail, err);
	if (r == 0)
		r = image_root_modules(c, in->kernel, in->module_list.data, err);
	return r < 0 ? r : image_root_applets(c, err);
}

/* Into a temporary name first: whoever finds path finds it whole. */
static int build(const struct inputs *in, const char *dir, const char *path, bool offline,
		 kernel_progress_fn progress, void *data, struct err *err)
{
	auto_free char *tmp = str_printf("%s/tmp-XXXXXX", dir);
	auto_cleanup(cpio) c = {.spool = -1};
	auto_close int fd = -1;
	int r = cpio_init(&c, dir, err);

	if (r == 0)
		r = fill(in, &c, offline, progress, data, err);
	if (r < 0)
		return r;
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "create %s", tmp);
	r = cpio_write(&c, fd, err);
	if (r == 0 && (fchmod(fd, 0644) < 0 || rename(tmp, path) < 0))
		r = err_errno(err, "%s", path);
	if (r < 0)
		unlink(tmp);
	return r;
}

int image_build(const struct kernel *kernel, const struct strv *packages, bool offline,
		kernel_progress_fn progress, void *data, struct image *ret, struct err *err)
{
	auto_cleanup(inputs) in = {.kernel = kernel};
	auto_free char *dir = cache_dir("images", err), *path = NULL;
	auto_cleanup(buf) what = {0};
	char key[65];
	int r;

	if (!dir)
		return -err->code;
	r = gather(&in, packages, err);
	if (r == 0)
		r = describe(&in, &what, err);
	if (r < 0)
		return err_wrap(err, "guest image");
	sha256_bytes(what.data, what.len, key);
	path = str_printf("%s/%s.cpio", dir, key);
	/* a hit is marked as used, so that the cache can drop what is old */
	if (utimensat(AT_FDCWD, path, NULL, 0) < 0) {
		r = build(&in, dir, path, offline, progress, data, err);
		if (r < 0)
			return err_wrap(err, "guest image for %s", arch_name(kernel->arch));
	}
	*ret = (struct image){.initrd = take_ptr(path), .sha256 = xstrdup(key)};
	return 0;
}
