#include "lab/guest/image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/guest/cpio.h"
#include "lab/guest/disk.h"
#include "lab/guest/image-root.h"
#include "lab/guest/modules.h"

/* Count up when the same inputs make another image. */
enum { IMAGE_FORMAT = 3, DISK_FORMAT = 1, SETTINGS_MAX = 64 << 10 };

/*
 * From so many bytes of packages on (as downloaded; unpacked they are four times that) they are on
 * a disk, since an initramfs takes three times its size of the guest's memory at boot. Under TCG a
 * disk costs about as much as 25 MiB of initramfs: with 37 MiB a payload that reads little is over
 * up to 0.2 s earlier, python3 0.2 s later (of 3.2).
 */
enum { DISK_FROM = 6 << 20 };

/*
 * What the initramfs is unpacked to may take half of the memory that neither the kernel nor the
 * archive itself uses; files take whole pages. Beyond that some of it is silently not there.
 */
enum { KERNEL_MIB = 56 };

/* For strace(1), a shell that obeys PATH, and commands; strace brings its libraries. */
static const char *const base_packages[] = {"busybox-static", "dash", "strace"};

struct debs {
	struct deb *items;
	size_t n;
};

struct inputs {
	const struct kernel *kernel;
	struct debs root;	/* in the initramfs */
	struct debs asked;	/* the scenario's, and what they need */
	bool disk;		/* where asked is */
	char *agent, *jail;	/* paths */
	struct buf module_list; /* vm/modules */
};

static void debs_deinit(struct debs *d)
{
	for (size_t i = 0; i < d->n; i++)
		deb_deinit(&d->items[i]);
	free(d->items);
}

static void inputs_deinit(struct inputs *in)
{
	debs_deinit(&in->root);
	debs_deinit(&in->asked);
	free(in->agent);
	free(in->jail);
	buf_deinit(&in->module_list);
}
DEFINE_CLEANUP(inputs, inputs_deinit)

int image_fits(const struct image *image, unsigned int memory_mib, struct err *err)
{
	uint64_t kib, need;
	struct stat st;

	if (stat(image->initrd, &st) < 0)
		return err_errno(err, "guest image %s", image->initrd);
	kib = (uint64_t)st.st_size >> 10;
	need = ((kib * 13 / 4) >> 10) + 1 + KERNEL_MIB;
	if (need > memory_mib)
		return err_set(err, E2BIG,
			       "the guest's image needs %" PRIu64
			       " MiB of memory, the machine has %u: set memory: %" PRIu64
			       "M in the scenario, or ask for fewer packages",
			       need, memory_mib, need);
	return 0;
}

void image_deinit(struct image *image)
{
	free(image->initrd);
	free(image->disk);
	free(image->sha256);
	*image = (struct image){0};
}

static int add_closures(struct debs *to, const char *const *names, size_t n, enum arch arch,
			struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = deb_locked_closure(names[i], arch, &to->items, &to->n, err);
	return r;
}

static bool has_deb(const struct debs *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (str_eq(d->items[i].name, name))
			return true;
	return false;
}

static int gather_packages(struct inputs *in, const struct strv *packages, struct err *err)
{
	const char *const *names = packages ? (const char *const *)packages->items : NULL;
	size_t n = packages ? packages->n : 0;
	enum arch arch = in->kernel->arch;
	uint64_t more = 0;
	int r = add_closures(&in->root, base_packages, array_len(base_packages), arch, err);

	if (r == 0)
		r = add_closures(&in->asked, names, n, arch, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < in->asked.n; i++)
		if (!has_deb(&in->root, in->asked.items[i].name))
			more += in->asked.items[i].size;
	in->disk = more >= DISK_FROM && disk_suits(in->kernel);
	return in->disk ? 0 : add_closures(&in->root, names, n, arch, err);
}

static int gather(struct inputs *in, const struct strv *packages, struct err *err)
{
	enum arch arch = in->kernel->arch;
	auto_free char *home = home_dir(err), *list = NULL;
	int r;

	if (!home)
		return -err->code;
	list = path_join(home, "vm/modules");
	r = io_read_file(AT_FDCWD, list, SETTINGS_MAX, &in->module_list, err);
	if (r < 0)
		return r;
	in->agent = home_guest_program(arch_name(arch), "agent", err);
	in->jail = in->agent ? home_guest_program(arch_name(arch), "jail", err) : NULL;
	return in->jail ? gather_packages(in, packages, err) : -err->code;
}

/*
 * Of a kernel only its modules are in the image. Those of a pin are as fixed as its package; those
 * of a folder that somebody builds in are known by when they changed.
 */
static void describe_kernel(const struct kernel *k, struct buf *out)
{
	auto_free char *missing = NULL;
	struct stat st;

	buf_addf(out, "kernel %s %s\n", arch_name(k->arch), k->release ? k->release : "-");
	if (!k->modules_dir)
		buf_adds(out, "modules none\n");
	else if (k->package)
		buf_addf(out, "modules %s\n", k->package);
	else if (modules_state(k->modules_dir, out, &missing, NULL) >= 0)
		buf_addf(out, "modules %s\n", k->modules_dir);
	else if (stat(k->modules_dir, &st) == 0)
		buf_addf(out, "modules %s %lld.%09ld\n", k->modules_dir,
			 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void describe_debs(const struct debs *d, struct buf *out)
{
	for (size_t i = 0; i < d->n; i++)
		buf_addf(out, "package %s %s\n", d->items[i].name, d->items[i].sha256);
}

/* What decides about the initramfs' bytes. */
static int describe(const struct inputs *in, struct buf *out, struct err *err)
{
	const char *programs[] = {in->agent, in->jail};
	char hex[65];

	buf_addf(out, "format %d%s\n", IMAGE_FORMAT, in->disk ? " disk" : "");
	describe_kernel(in->kernel, out);
	for (size_t i = 0; i < array_len(programs); i++) {
		int r = sha256_file(programs[i], hex, err);

		if (r < 0)
			return r;
		buf_addf(out, "program %s\n", hex);
	}
	sha256_bytes(in->module_list.data, in->module_list.len, hex);
	buf_addf(out, "module list %s\n", hex);
	describe_debs(&in->root, out);
	return 0;
}

/* Where what is missing comes from. */
struct source {
	bool offline;
	kernel_progress_fn progress;
	void *data;
};

static int add_packages(struct cpio *c, const struct debs *d, const struct source *from,
			struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->n; i++) {
		auto_free char *path = NULL;

		r = deb_fetch(&d->items[i], from->offline, from->progress, from->data, NULL, &path,
			      err);
		if (r == 0)
			r = image_root_package(c, path, err);
	}
	return r;
}

static int fill(const struct inputs *in, struct cpio *c, const struct source *from, struct err *err)
{
	int r = image_root_skeleton(c, err);

	if (r == 0)
		r = add_packages(c, &in->root, from, err);
	if (r == 0 && in->disk)
		cpio_add_dir(c, "usr/lib/lab/disk", 0700);
	if (r == 0)
		r = cpio_add_host_file(c, "init", 0755, in->agent, err);
	if (r == 0)
		r = cpio_add_host_file(c, "usr/bin/jail", 0755, in->jail, err);
	if (r == 0)
		r = image_root_modules(c, in->kernel, in->module_list.data, in->disk, err);
	return r < 0 ? r : image_root_applets(c, err);
}

/* Into a temporary name first: whoever finds path finds it whole. */
static int build(const struct inputs *in, const char *dir, const char *path,
		 const struct source *from, struct err *err)
{
	auto_free char *tmp = str_printf("%s/tmp-XXXXXX", dir);
	auto_cleanup(cpio) c = {.spool = -1};
	auto_close int fd = -1;
	int r = cpio_init(&c, dir, err);

	if (r == 0)
		r = fill(in, &c, from, err);
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

static int build_disk(const struct inputs *in, const char *dir, const char *path,
		      const struct source *from, struct err *err)
{
	auto_cleanup(cpio) c = {.spool = -1};
	int r = cpio_init(&c, dir, err);

	if (r == 0)
		r = add_packages(&c, &in->asked, from, err);
	return r < 0 ? r : disk_write(&c, dir, path, err);
}

/* A hit is marked as used, so that the cache can drop what is old. */
static bool is_cached(const char *path)
{
	return utimensat(AT_FDCWD, path, NULL, 0) == 0;
}

/* One disk serves all kernels: what is on it depends on the packages alone. */
static int find_disk(const struct inputs *in, const char *dir, const struct source *from,
		     char key[65], char **ret, struct err *err)
{
	auto_cleanup(buf) what = {0};
	auto_free char *path = NULL;
	int r = 0;

	buf_addf(&what, "disk format %d\n", DISK_FORMAT);
	describe_debs(&in->asked, &what);
	sha256_bytes(what.data, what.len, key);
	path = str_printf("%s/%s.squashfs", dir, key);
	if (!is_cached(path))
		r = build_disk(in, dir, path, from, err);
	if (r == 0)
		*ret = take_ptr(path);
	return r;
}

int image_build(const struct kernel *kernel, const struct strv *packages, bool offline,
		kernel_progress_fn progress, void *data, struct image *ret, struct err *err)
{
	const struct source from = {offline, progress, data};
	auto_cleanup(inputs) in = {.kernel = kernel};
	auto_free char *dir = cache_dir("images", err), *path = NULL, *disk = NULL;
	auto_cleanup(buf) what = {0};
	char key[65], disk_key[65];
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
	if (!is_cached(path))
		r = build(&in, dir, path, &from, err);
	if (r == 0 && in.disk)
		r = find_disk(&in, dir, &from, disk_key, &disk, err);
	if (r < 0)
		return err_wrap(err, "guest image for %s", arch_name(kernel->arch));
	if (disk) {
		buf_addf(&what, "disk %s\n", disk_key);
		sha256_bytes(what.data, what.len, key);
	}
	*ret = (struct image){
		.initrd = take_ptr(path), .disk = take_ptr(disk), .sha256 = xstrdup(key)};
	return 0;
}
