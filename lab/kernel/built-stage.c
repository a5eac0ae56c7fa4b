#include "lab/kernel/built-stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/kernel/elf.h"
#include "lab/kernel/kernel-image.h"
#include "lab/kernel/kernel-unpack.h"
#include "lab/kernel/lock.h"

enum { DEPTH_MAX = 32 };

char *built_dir(const struct built *b, struct err *err)
{
	auto_free char *root = cache_dir("kernels", err), *name = NULL;

	if (!root)
		return NULL;
	if (!built_name_ok(b->name)) {
		err_set(err, EINVAL,
			"'%.80s' is no name for a kernel: letters, digits, '.', '_', '+' and '-', "
			"at most 64, and not tmp-...",
			b->name);
		return NULL;
	}
	name = built_folder_name(b);
	return path_join(root, name);
}

int built_not_fit(struct err *err)
{
	if (err)
		err->code = EBADMSG;
	return -EBADMSG;
}

char *built_stage(const struct built *b, struct err *err)
{
	auto_free char *dir = built_dir(b, err);

	return dir ? cache_temporary(dir, err) : NULL;
}

/* One that modules_install leaves, in path: lib/modules/RELEASE, or the same for gdb. */
static bool is_build_link(const char *path, const char *name)
{
	static const char modules[] = "/lib/modules";
	size_t above = strrchr(path, '/') - path;

	return (str_eq(name, "build") || str_eq(name, "source")) && above > strlen(modules) &&
	       str_starts(path + above - strlen(modules), modules);
}

/* Only files and folders below path; links to the build folder, which goes, are removed. */
static int tidy(const char *path, int depth, struct err *err)
{
	auto_closedir DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;
	int r = 0;

	if (!d)
		return err_errno(err, "%s", path);
	while (r == 0 && (e = readdir(d))) {
		auto_free char *file = path_join(path, e->d_name);

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if (lstat(file, &st) < 0)
			return err_errno(err, "%s", file);
		if (S_ISLNK(st.st_mode) && is_build_link(path, e->d_name))
			r = unlink(file) < 0 ? err_errno(err, "remove %s", file) : 0;
		else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			r = tidy(file, depth + 1, err);
		else if (!S_ISREG(st.st_mode) || !path_is_inside(e->d_name))
			r = err_set(err, EBADMSG, "%s: not a file", file);
	}
	return r;
}

int built_stage_read(const char *stage, struct built_meta *m, struct buf *sums, struct err *err)
{
	auto_free char *image = path_join(stage, "image"), *vmlinux = path_join(stage, "vmlinux");
	char sums_hex[65], image_hex[65], *build_id = NULL;
	struct kernel_image found;
	struct stat st;
	int r = tidy(stage, 0, err);

	if (r == 0)
		r = kernel_unpack_finish(stage, m->built.arch, err);
	if (r == 0)
		r = kernel_image_probe_file(image, &found, err);
	if (r == 0 && found.format == KERNEL_VMLINUX)
		r = err_set(err, EBADMSG, "%s: a vmlinux, not an image that boots", image);
	if (r == -ENOEXEC)
		r = built_not_fit(err);
	if (r == 0 && io_exists(vmlinux))
		r = elf_build_id(vmlinux, &build_id, err);
	if (r == -ENODATA)
		r = 0; /* built without */
	if (r == 0)
		r = kernel_sums(stage, sums, err);
	if (r == 0)
		r = sha256_file(image, image_hex, err);
	if (r == 0 && stat(image, &st) < 0)
		r = err_errno(err, "%s", image);
	if (r < 0) {
		free(build_id);
		return r;
	}
	sha256_bytes(sums->data, sums->len, sums_hex);
	free(m->built.build_id);
	free(m->image_sha256);
	free(m->sums_sha256);
	m->built.build_id = build_id;
	m->image_sha256 = xstrdup(image_hex);
	m->sums_sha256 = xstrdup(sums_hex);
	m->image_size = st.st_size;
	return 0;
}

/* Exchange is one step; a file system that cannot has a moment without either. */
static int replace(const char *stage, const char *dir, struct err *err)
{
	if (rename(stage, dir) == 0)
		return 0;
	if (errno != EEXIST && errno != ENOTEMPTY)
		return err_errno(err, "rename %s", stage);
	if (renameat2(AT_FDCWD, stage, AT_FDCWD, dir, RENAME_EXCHANGE) == 0)
		return io_remove_tree(AT_FDCWD, stage, err);
	if (cache_discard(dir, err) < 0)
		return err ? -err->code : -EIO;
	return rename(stage, dir) < 0 ? err_errno(err, "rename %s", stage) : 0;
}

struct siblings {
	const struct built *of;
	struct strv dirs;
};

static int add_other_key(void *data, const struct built *b, const char *dir, struct err *err)
{
	struct siblings *s = data;

	(void)err;
	if (!b->local && b->arch == s->of->arch && str_eq(b->name, s->of->name) &&
	    !str_eq(b->inputs, s->of->inputs))
		strv_add(&s->dirs, dir);
	return 0;
}

int built_discard_other_keys(const struct built *b, struct err *err)
{
	struct siblings s = {.of = b};
	int r = b->local ? 0 : built_each(add_other_key, &s, err);

	for (size_t i = 0; r == 0 && i < s.dirs.n; i++)
		r = cache_discard(s.dirs.items[i], err);
	strv_deinit(&s.dirs);
	return r;
}

int built_stage_place(const char *stage, const struct built_meta *m, struct err *err)
{
	auto_free char *dir = built_dir(&m->built, err), *path = path_join(stage, "meta.json");
	auto_free char *image = path_join(stage, "image");
	const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = m->built.built_at}};
	auto_cleanup(built_meta) again = {0};
	auto_cleanup(buf) text = {0};
	int r;

	if (!dir)
		return err ? -err->code : -EINVAL;
	built_meta_print(m, false, &text);
	if (built_meta_parse(path, text.data, text.len, &again, err) < 0)
		return -EINVAL; /* what nobody could read again is not written */
	if (utimensat(AT_FDCWD, image, times, 0) < 0)
		return err_errno(err, "%s", image);
	r = io_write_atomic(AT_FDCWD, path, text.data, text.len, 0644, err);
	if (r == 0)
		r = io_sync(stage, err);
	if (r == 0)
		r = replace(stage, dir, err);
	return r;
}
