#include "lab/kbuild/kmod.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/kbuild/kmod-kit.h"
#include "lab/kbuild/make.h"

/* Part of every key: to be raised when the same files come to give another module. */
#define RECIPE 2

enum { DEPTH_MAX = 8, KEY_DIGITS = 16 };

void kmod_deinit(struct kmod *m)
{
	free(m->dir);
	free(m->log);
	strv_deinit(&m->files);
	*m = (struct kmod){0};
}

/* ---- the module's own files ---- */

struct file {
	char *name; /* below the folder */
	struct buf text;
};
struct files {
	struct file *items;
	size_t n;
	uint64_t bytes;
};

static void files_deinit(struct files *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->items[i].name);
		buf_deinit(&f->items[i].text);
	}
	free(f->items);
}

/* What another build left there. */
static bool is_made(const char *name)
{
	static const char *const ends[] = {".o",   ".ko",    ".mod",	".mod.c",
					   ".cmd", ".order", ".symvers"};

	for (size_t i = 0; i < array_len(ends); i++)
		if (str_ends(name, ends[i]))
			return true;
	return *name == '.';
}

static int add_file(struct files *f, const char *dir, const char *name, struct err *err)
{
	auto_free char *path = path_join(dir, name);
	struct file *at;
	int r;

	f->items = xreallocarray(f->items, f->n + 1, sizeof(*f->items));
	at = &f->items[f->n++];
	*at = (struct file){.name = xstrdup(name)};
	r = io_read_regular(AT_FDCWD, path, KMOD_MAX_BYTES, &at->text, err);
	f->bytes += at->text.len;
	if (r == 0 && (f->n > KMOD_MAX_FILES || f->bytes > KMOD_MAX_BYTES))
		return err_set(err, EINVAL,
			       "%s: more than %d files or %d MiB are too much for a module", dir,
			       KMOD_MAX_FILES, KMOD_MAX_BYTES >> 20);
	return r;
}

static int add_folder(struct files *f, const char *dir, const char *sub, int depth, struct err *err)
{
	auto_free char *path = *sub ? path_join(dir, sub) : xstrdup(dir);
	auto_closedir DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;
	int r = 0;

	if (!d)
		return err_errno(err, "%s", path);
	if (depth > DEPTH_MAX)
		return err_set(err, EINVAL, "%s: folders nested deeper than %d", dir, DEPTH_MAX);
	while (r == 0 && (e = readdir(d))) {
		auto_free char *name = *sub ? path_join(sub, e->d_name) : xstrdup(e->d_name);
		auto_free char *full = path_join(dir, name);

		if (is_made(e->d_name) || lstat(full, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			r = add_folder(f, dir, name, depth + 1, err);
		else if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
			r = add_file(f, dir, name, err);
	}
	return r;
}

static int compare_files(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static int load_files(const char *dir, struct files *ret, struct err *err)
{
	bool found = false;
	int r = add_folder(ret, dir, "", 0, err);

	for (size_t i = 0; i < ret->n; i++)
		found |= str_eq(ret->items[i].name, "Kbuild") ||
			 str_eq(ret->items[i].name, "Makefile");
	if (r == 0 && !found)
		return err_set(err, EINVAL,
			       "%s holds no module: there is no Kbuild or Makefile in it "
			       "(obj-m := NAME.o, for NAME.c)",
			       dir);
	if (r == 0)
		qsort(ret->items, ret->n, sizeof(*ret->items), compare_files);
	return r;
}

static int write_files(const struct files *f, const char *dir, struct err *err)
{
	int r = io_mkdirs(dir, 0755, err);

	for (size_t i = 0; r == 0 && i < f->n; i++) {
		auto_free char *path = path_join(dir, f->items[i].name), *parent = xstrdup(path);
		const struct buf *text = &f->items[i].text;

		*strrchr(parent, '/') = '\0';
		r = io_mkdirs(parent, 0755, err);
		if (r == 0)
			r = io_write_atomic(AT_FDCWD, path, text->data ? text->data : "", text->len,
					    0644, err);
	}
	return r;
}

/* ---- one build ---- */

struct build {
	const struct kernel *kernel;
	const struct kernel_want *want;
	char *name, *prefix, *stage, *what;
	struct files files;
	struct kmod_kit kit;
	struct kmod made;
};

static void build_deinit(struct build *b)
{
	free(b->name);
	free(b->prefix);
	free(b->stage);
	free(b->what);
	files_deinit(&b->files);
	kmod_kit_deinit(&b->kit);
	kmod_deinit(&b->made);
}
DEFINE_CLEANUP(build, build_deinit)

/* Which compiler it is: cheaper than asking it, since each cell of a run comes here. */
static void add_compiler(const struct build *b, struct buf *text)
{
	auto_free char *cc = toolchain_cc(b->kernel->arch, b->kit.llvm);
	auto_free char *path = cc ? proc_find(cc) : NULL;
	struct stat st = {0};

	if (path && stat(path, &st) == 0)
		buf_addf(text, "compiler %s %lld %lld\n", path, (long long)st.st_size,
			 (long long)st.st_mtim.tv_sec);
}

static void add_key(struct build *b, const char *dir)
{
	auto_cleanup(buf) text = {0};
	char hex[65];

	buf_addf(&text, "recipe %d\nmodule %s\narch %s\nkit %s\n", RECIPE, b->name,
		 arch_name(b->kernel->arch), b->kit.id);
	add_compiler(b, &text);
	for (size_t i = 0; i < b->files.n; i++) {
		const struct file *f = &b->files.items[i];

		sha256_bytes(f->text.data ? f->text.data : "", f->text.len, hex);
		buf_addf(&text, "file %s %s\n", f->name, hex);
	}
	sha256_bytes(text.data, text.len, hex);
	b->prefix = str_printf("%s/%s-%s-%s-%.*s", dir, b->name, b->kernel->name,
			       arch_name(b->kernel->arch), KEY_DIGITS, hex);
	b->stage = str_printf("%s.tmp", b->prefix);
	b->made.dir = xstrdup(b->prefix);
	b->made.log = str_printf("%s.log", b->prefix);
}

/* Names of the modules in dir, sorted. A folder without one counts as not there. */
static bool find_modules(const char *dir, struct strv *ret)
{
	auto_closedir DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (str_ends(e->d_name, ".ko"))
			strv_add(ret, e->d_name);
	strv_sort(ret);
	return ret->n > 0;
}

/* The log says first what is run. */
static void log_command(int log, const struct strv *argv)
{
	for (size_t i = 0; i < argv->n; i++) {
		io_write_all(log, argv->items[i], strlen(argv->items[i]));
		io_write_all(log, i + 1 < argv->n ? " " : "\n", 1);
	}
}

static int run_make(struct build *b, const struct toolchain *tc, int log, struct err *err)
{
	auto_cleanup(strv) argv = {0};
	auto_cleanup(buf) kit = {0};
	int r;

	kmod_kit_maps(&b->kit, &kit);
	make_argv(&argv, b->kit.dir, b->kit.obj, tc);
	strv_addf(&argv, "M=%s", b->stage);
	strv_addf(&argv, "KCFLAGS=-ffile-prefix-map=%s=%s%s", b->stage, b->name, kit.data);
	r = kmod_kit_flags(&b->kit, &argv, err);
	if (r < 0)
		return r;
	strv_add(&argv, "modules");
	log_command(log, &argv);
	return make_run(&(struct make_run){.argv = argv.items,
					   .source = b->stage,
					   .log = log,
					   .log_path = b->made.log,
					   .cancel = b->want->cancel},
			err);
}

/* The modules alone, under their name for good. */
static int keep_modules(struct build *b, struct err *err)
{
	auto_free char *out = path_join(b->stage, ".lab-out");
	int r = io_mkdirs(out, 0755, err);

	if (r < 0)
		return r;
	if (!find_modules(b->stage, &b->made.files))
		return err_set(err, EINVAL, "its Kbuild or Makefile names no module (obj-m)");
	for (size_t i = 0; i < b->made.files.n; i++) {
		auto_free char *from = path_join(b->stage, b->made.files.items[i]);
		auto_free char *to = path_join(out, b->made.files.items[i]);

		if (rename(from, to) < 0)
			return err_errno(err, "rename %s", from);
	}
	r = io_remove_tree(AT_FDCWD, b->prefix, err); /* what stands there has no module */
	return r == 0 && rename(out, b->prefix) < 0 ? err_errno(err, "rename %s", out) : r;
}

static int compile(struct build *b, const struct toolchain *tc, int log, struct err *err)
{
	const struct kernel_want *want = b->want;
	int r = io_remove_tree(AT_FDCWD, b->stage, err); /* of one that was killed */

	if (r == 0)
		r = write_files(&b->files, b->stage, err);
	if (r < 0)
		return r;
	if (want->progress)
		want->progress(want->data, b->what, 0, 0);
	r = run_make(b, tc, log, err);
	if (want->progress)
		want->progress(want->data, b->what, 1, 1);
	if (r == 0)
		r = keep_modules(b, err);
	io_remove_tree(AT_FDCWD, b->stage, NULL);
	return r < 0 ? err_wrap(err, "%s", b->what) : 0;
}

static int build_it(struct build *b, struct err *err)
{
	const struct kernel *k = b->kernel;
	auto_close int log = -1;
	auto_cleanup(toolchain) tc = {0};
	int r = make_check_path(b->stage, "LAB_CACHE names another folder for the cache", err);

	if (r == 0)
		r = toolchain_find(k->arch, b->kit.llvm, &k->kver, &tc, err);
	if (r == -ENOENT && err) /* not to be taken for a kernel or a module that is not there */
		err->code = ENOPKG;
	if (r < 0)
		return r == -ENOENT ? -ENOPKG : r;
	log = open(b->made.log, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	if (log < 0)
		return err_errno(err, "%s", b->made.log);
	r = kmod_kit_prepare(&b->kit, b->want, &tc, log, b->made.log, err);
	return r < 0 ? r : compile(b, &tc, log, err);
}

/* The last part of a folder's path. */
static char *base_name(const char *dir, struct err *err)
{
	auto_free char *real = realpath(dir, NULL);
	struct stat st;

	if (!real)
		err_set(err, EINVAL, "%s: %s: name the folder of a module", dir, strerror(errno));
	else if (stat(real, &st) < 0 || !S_ISDIR(st.st_mode))
		err_set(err, EINVAL, "%s is no folder: name the one that holds it", dir);
	else
		return xstrdup(strrchr(real, '/') + 1);
	return NULL;
}

int kmod_build(const char *dir, const struct kernel *kernel, const struct kernel_want *want,
	       struct kmod *ret, struct err *err)
{
	auto_cleanup(build) b = {.kernel = kernel, .want = want, .name = base_name(dir, err)};
	auto_free char *cache = b.name ? cache_dir("modules", err) : NULL, *lock_path = NULL;
	auto_close int lock = -1;
	int r;

	if (!cache)
		return err ? -err->code : -EIO;
	if (make_check_path(b.name, "the module's folder", err) < 0)
		return -EINVAL;
	b.what = str_printf("building module %s for kernel %s %s", b.name, kernel->name,
			    arch_name(kernel->arch));
	r = load_files(dir, &b.files, err);
	if (r == 0)
		r = kmod_kit_find(kernel, &b.kit, err);
	if (r < 0)
		return r;
	add_key(&b, cache);
	if (!find_modules(b.prefix, &b.made.files)) {
		lock_path = str_printf("%s.lock", b.prefix);
		lock = deb_lock(lock_path, b.what, want->progress, want->data, want->cancel, err);
		if (lock < 0)
			return lock;
		r = find_modules(b.prefix, &b.made.files) ? 0 : build_it(&b, err);
		if (r < 0)
			return r;
		unlink(lock_path); /* who still waits on it will find the folder */
	}
	*ret = b.made;
	b.made = (struct kmod){0};
	return 0;
}
