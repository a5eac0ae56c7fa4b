#include "lab/kernel/kernel-unpack.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/debian/deb.h"
#include "lab/kernel/kernel-image.h"

struct unpacking {
	const volatile int *cancel; /* may be NULL */
	const char *release, *dir;
};

/*
 * Where a member goes below the folder; NULL: it is not needed. Up to 6.18 files are in /boot and
 * /lib/modules, later all of them in /usr/lib/modules/RELEASE.
 */
static char *place_of(const struct unpacking *u, const char *path)
{
	auto_free char *vmlinuz = str_printf("boot/vmlinuz-%s", u->release);
	auto_free char *config = str_printf("boot/config-%s", u->release);
	auto_free char *modules = str_printf("lib/modules/%s/", u->release);
	const char *rest;

	if (str_starts(path, "usr/"))
		path += 4;
	if (str_eq(path, vmlinuz))
		return xstrdup("image");
	if (str_eq(path, config))
		return xstrdup("config");
	if (!str_starts(path, modules))
		return NULL;
	rest = path + strlen(modules);
	if (str_eq(rest, "vmlinuz"))
		return xstrdup("image");
	if (str_eq(rest, "config"))
		return xstrdup("config");
	if (!str_starts(rest, "kernel/") && !str_starts(rest, "modules.") &&
	    !str_starts(rest, "updates/"))
		return NULL; /* device trees, links to headers */
	return xstrdup(path);
}

static int copy_out(struct deb_member *m, const char *to, const volatile int *cancel,
		    struct err *err)
{
	auto_close int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	auto_free char *chunk = xmalloc(1 << 18);
	ssize_t n;
	int r;

	if (fd < 0)
		return err_errno(err, "create %s", to);
	while ((n = deb_read(m, chunk, 1 << 18, err)) > 0) {
		if (cancel && *cancel)
			return err_set(err, EINTR, "interrupted");
		r = io_write_all(fd, chunk, n);
		if (r < 0)
			return err_set(err, -r, "write %s: %s", to, strerror(-r));
	}
	if (n == 0 && close(take_fd(fd)) < 0)
		return err_errno(err, "write %s", to);
	return n;
}

int kernel_unpack_member(struct deb_member *m, const char *to, const volatile int *cancel,
			 struct err *err)
{
	auto_free char *parent = xstrdup(to);
	int r;

	*strrchr(parent, '/') = '\0';
	r = io_mkdirs(parent, 0755, err);
	return r < 0 ? r : copy_out(m, to, cancel, err);
}

static int on_member(void *data, struct deb_member *m, struct err *err)
{
	const struct unpacking *u = data;
	auto_free char *place = S_ISREG(m->mode) && !m->link ? place_of(u, m->path) : NULL;
	auto_free char *to = place ? path_join(u->dir, place) : NULL;

	return to ? kernel_unpack_member(m, to, u->cancel, err) : 0;
}

int kernel_unpack(const char *deb_path, const char *release, const char *dir,
		  const volatile int *cancel, struct err *err)
{
	struct unpacking u = {.release = release, .dir = dir, .cancel = cancel};

	return deb_walk(deb_path, on_member, &u, err);
}

int kernel_unpack_finish(const char *dir, enum arch arch, struct err *err)
{
	auto_free char *image = path_join(dir, "image");
	auto_cleanup(buf) whole = {0};
	struct kernel_image found;
	int r;

	if (!io_exists(image))
		return err_set(err, EBADMSG, "there is no kernel image");
	r = kernel_image_probe_file(image, &found, err);
	if (r == 0 && found.format == KERNEL_ZBOOT) {
		/* an EFI program (CONFIG_EFI_ZBOOT, arm64): QEMU before 8.0 does not boot it */
		r = kernel_image_unpack(image, &whole, err);
		if (r == 0)
			r = io_write_atomic(AT_FDCWD, image, whole.data, whole.len, 0644, err);
		if (r == 0)
			r = kernel_image_probe_file(image, &found, err);
	}
	if (r == 0 && found.arch != arch)
		return err_set(err, EBADMSG, "the kernel is for %s", arch_name(found.arch));
	return r;
}

static int add_sums(const char *dir, const char *below, struct strv *lines, struct err *err)
{
	auto_free char *path = *below ? path_join(dir, below) : xstrdup(dir);
	auto_closedir DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		return err_errno(err, "%s", path);
	while ((e = readdir(d))) {
		auto_free char *name = *below ? path_join(below, e->d_name) : xstrdup(e->d_name);
		auto_free char *file = path_join(dir, name);
		struct stat st;
		char hex[65];
		int r;

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, "..") ||
		    str_eq(name, "meta.json") || str_eq(name, "SHA256SUMS"))
			continue;
		if (lstat(file, &st) < 0)
			return err_errno(err, "%s", file);
		if (S_ISDIR(st.st_mode)) {
			r = add_sums(dir, name, lines, err);
		} else {
			r = sha256_file(file, hex, err);
			if (r == 0)
				strv_addf(lines, "%s  %s", name, hex);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int kernel_sums(const char *dir, struct buf *out, struct err *err)
{
	auto_cleanup(strv) lines = {0}; /* "PATH  HEX", to sort by path */
	int r = add_sums(dir, "", &lines, err);

	if (r < 0)
		return r;
	strv_sort(&lines);
	for (size_t i = 0; i < lines.n; i++) {
		char *hex = strrchr(lines.items[i], ' ');

		hex[-1] = '\0';
		buf_addf(out, "%s  %s\n", hex + 1, lines.items[i]);
	}
	return 0;
}

/* A line's path; a damaged line has none. */
static const char *sums_path(const char *line)
{
	return strlen(line) > 66 ? line + 66 : "SHA256SUMS";
}

int kernel_sums_compare(const char *dir, const char *then, const char *now, struct err *err)
{
	auto_cleanup(strv) a = {0}, b = {0};
	const char *was, *is;
	size_t i = 0;

	strv_split(&a, then ? then : "", '\n');
	strv_split(&b, now ? now : "", '\n');
	while (i < a.n && i < b.n && str_eq(a.items[i], b.items[i]))
		i++;
	if (i == a.n && i == b.n)
		return 0;
	was = i < a.n ? sums_path(a.items[i]) : NULL;
	is = i < b.n ? sums_path(b.items[i]) : NULL;
	/* they are sorted: of two different ones the first is missing from the other list */
	return err_set(err, EBADMSG, "%s/%s: changed, missing or added", dir,
		       !is || (was && strcmp(was, is) < 0) ? was : is);
}
