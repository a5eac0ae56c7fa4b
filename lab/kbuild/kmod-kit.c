#include "lab/kbuild/kmod-kit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/kbuild/make.h"
#include "lab/kernel/built-stage.h"
#include "lab/kernel/kernel-headers.h"
#include "lab/kernel/kernel-tree.h"

enum { KEY_DIGITS = 16, SYMVERS_MAX_BYTES = 64 << 20 };

void kmod_kit_deinit(struct kmod_kit *k)
{
	free(k->id);
	kernel_target_deinit(&k->target);
	built_deinit(&k->built);
	free(k->tree);
	free(k->dir);
	free(k->obj);
	source_deinit(&k->source);
	*k = (struct kmod_kit){0};
}

/* ---- which ---- */

/* Files that decide what a module of this tree is like. */
static int identify_tree(struct kmod_kit *kit, struct err *err)
{
	static const char *const files[] = {".config", "Module.symvers",
					    "include/generated/utsrelease.h"};
	auto_cleanup(buf) id = {0};
	char hex[65];

	buf_addf(&id, "tree %s", kit->tree);
	for (size_t i = 0; i < array_len(files); i++) {
		auto_free char *path = path_join(kit->tree, files[i]);

		if (!io_exists(path))
			return err_set(err, ENOTSUP,
				       "no modules can be built in %s: it has no %s (make it, and "
				       "its modules)",
				       kit->tree, files[i]);
		if (sha256_file(path, hex, err) < 0)
			return err ? -err->code : -EIO;
		buf_addf(&id, " %s", hex);
	}
	kit->id = take_ptr(id.data);
	return 0;
}

/* Where the kernel that was built here is kept; allocated. */
static char *folder_of(const struct kernel *k)
{
	return xstrndup(k->image, strrchr(k->image, '/') - k->image);
}

/*
 * The kernel that was built here: what its modules are built with is made of the same source. Its
 * folder may have no Module.symvers, which was not always kept.
 */
static int identify_built(struct kmod_kit *kit, struct err *err)
{
	const struct kernel *k = kit->kernel;
	auto_free char *dir = folder_of(k), *symvers = path_join(dir, "Module.symvers");
	auto_cleanup(built_meta) meta = {0};
	char hex[65] = "";

	if (built_read_meta(dir, &meta, err) < 0)
		return err_set(err, ENOTSUP, "no headers of kernel %s are known", k->name);
	kit->built = meta.built;
	meta.built = (struct built){0};
	if (kit->built.local ? !kit->built.source_dir || !io_exists(kit->built.source_dir)
			     : kernel_target_check(&kit->target, NULL) < 0)
		return err_set(err, ENOTSUP,
			       "kernel %s was built of a source that is not here (%s): build it "
			       "again here, and modules can be built for it",
			       k->name, kit->built.source_what);
	if (io_exists(symvers)) {
		if (sha256_file(symvers, hex, err) < 0)
			return err ? -err->code : -EIO;
	} else if (kernel_config_option(k, "MODVERSIONS") == 'y') {
		return err_set(err, ENOTSUP,
			       "kernel %s has CONFIG_MODVERSIONS, and its Module.symvers was not "
			       "kept when it was built: 'lab kernel build --fresh' keeps it",
			       k->name);
	}
	kit->id = str_printf("built %s %s%s%s", kit->built.inputs ? kit->built.inputs : k->sha256,
			     kit->built.build_id, *hex ? " " : "", hex);
	return 0;
}

static int identify(struct kmod_kit *kit, struct err *err)
{
	const struct kernel *k = kit->kernel;
	int r;

	kit->tree = k->path && k->image ? kernel_tree_of(k->image) : NULL;
	if (kit->tree)
		return identify_tree(kit, err);
	if (k->path)
		return err_set(err, ENOTSUP,
			       "no headers of kernel %s are known: it is neither a pin nor in a "
			       "build tree",
			       k->path);
	r = kernel_target(k->name, k->arch, NULL, &kit->target, err);
	if (r < 0)
		return r;
	if (!kit->target.is_binary)
		return identify_built(kit, err);
	if (!kit->target.binary)
		return err_set(err, ENOTSUP, "kernel %s is not pinned for %s", k->name,
			       arch_name(k->arch));
	kit->id = kernel_headers_inputs(&kit->target.lock, kit->target.binary, err);
	return kit->id ? 0 : err ? -err->code : -ENOTSUP;
}

int kmod_kit_find(const struct kernel *kernel, struct kmod_kit *ret, struct err *err)
{
	auto_cleanup(kmod_kit) kit = {
		.kernel = kernel,
		.llvm = kernel_config_option(kernel, "CC_IS_CLANG") == 'y',
	};
	int r;

	if (kernel_config_option(kernel, "MODULES") == 'n')
		return err_set(err, ENOTSUP, "kernel %s takes no modules (CONFIG_MODULES)",
			       kernel->name);
	r = identify(&kit, err);
	if (r < 0)
		return r;
	*ret = kit;
	kit = (struct kmod_kit){0};
	return 0;
}

/* ---- ready to be used ---- */

static int prepare_headers(struct kmod_kit *kit, const struct kernel_want *want, struct err *err)
{
	auto_cleanup(kernel_headers) h = {0};
	int r = kernel_headers_fetch(&kit->target.lock, kit->target.binary, want, &h, err);

	if (r < 0)
		return r;
	kit->dir = path_join(h.dir, "common");
	kit->obj = path_join(h.dir, "arch");
	return 0;
}

static int make_prepare(const struct kmod_kit *kit, const struct kernel_want *want,
			const struct toolchain *tc, int log, const char *log_path, struct err *err)
{
	static const char *const targets[] = {"olddefconfig", "modules_prepare"};
	int r = 0;

	/* one by one: the second reads what the first writes */
	for (size_t i = 0; r == 0 && i < array_len(targets); i++) {
		auto_cleanup(strv) argv = {0};

		make_argv(&argv, kit->dir, kit->obj, tc);
		strv_add(&argv, "LOCALVERSION="); /* as kbuild.c has it: the release's part */
		strv_addf(&argv, "-j%ld", sysconf(_SC_NPROCESSORS_ONLN));
		strv_add(&argv, targets[i]);
		r = make_run(&(struct make_run){.argv = argv.items,
						.source = kit->dir,
						.obj = kit->obj,
						.log = log,
						.log_path = log_path,
						.cancel = want->cancel},
			     err);
	}
	return r;
}

/* How its symbols are exported, where that was kept: also into a kit that was made before. */
static int add_symvers(const struct kmod_kit *kit, struct err *err)
{
	auto_free char *dir = folder_of(kit->kernel), *from = path_join(dir, "Module.symvers");
	auto_free char *to = path_join(kit->obj, "Module.symvers");
	auto_cleanup(buf) text = {0};
	int r;

	if (!io_exists(from))
		return 0;
	r = io_read_regular(AT_FDCWD, from, SYMVERS_MAX_BYTES, &text, err);
	return r < 0 ? r : io_write_atomic(AT_FDCWD, to, text.data, text.len, 0644, err);
}

/*
 * kit-NAME-ARCH-KEY with the kernel's configuration; "ready" names the image that it fits, once
 * make has filled it. Of a local source, which may have changed, make decides what to do again.
 */
static int fill_kit(const struct kmod_kit *kit, const struct kernel_want *want,
		    const struct toolchain *tc, int log, const char *log_path, struct err *err)
{
	const char *image = kit->kernel->sha256;
	auto_free char *ready = path_join(kit->obj, "ready");
	auto_free char *config = path_join(kit->obj, ".config");
	auto_cleanup(buf) text = {0};
	int r = kit->built.local ? 0 : io_remove_tree(AT_FDCWD, kit->obj, err);

	if (r == 0)
		r = io_read_file(AT_FDCWD, kit->kernel->config, 16 << 20, &text, err);
	if (r == 0)
		r = io_mkdirs(kit->obj, 0755, err);
	if (r == 0)
		r = io_write_atomic(AT_FDCWD, config, text.data, text.len, 0644, err);
	if (r == 0)
		r = make_prepare(kit, want, tc, log, log_path, err);
	return r < 0 ? r : io_write_atomic(AT_FDCWD, ready, image, strlen(image), 0644, err);
}

static bool is_ready(const struct kmod_kit *kit)
{
	auto_free char *ready = path_join(kit->obj, "ready");
	auto_cleanup(buf) text = {0};

	return io_read_file(AT_FDCWD, ready, 128, &text, NULL) == 0 &&
	       (!kit->built.local || (text.len && str_eq(text.data, kit->kernel->sha256)));
}

/* Where its source is; the one that it was built of. */
static int open_source(struct kmod_kit *kit, const struct kernel_want *want, struct err *err)
{
	const struct kernel_target *t = &kit->target;
	const struct built *b = &kit->built;
	const struct source_place place = b->local ? source_place(NULL, NULL, b->source_dir, want)
						   : source_place(t->pin, t->package, NULL, want);
	auto_free char *id = source_id(&place, err);
	int r;

	if (!id)
		return err ? -err->code : -EIO;
	if (!b->local && !str_eq(id, b->source))
		return err_set(err, ENOTSUP,
			       "kernel %s was built of another source than its pin's: build it "
			       "again",
			       kit->kernel->name);
	r = source_open(&place, &kit->source, err);
	if (r == 0)
		kit->dir = xstrdup(kit->source.dir);
	return r;
}

/* KEY of its folder: of a local source one for all that is built of it. */
static char *kit_key(const struct built *b)
{
	char hex[65];

	if (!b->local)
		return xstrndup(b->inputs, KEY_DIGITS);
	sha256_bytes(b->source_dir, strlen(b->source_dir), hex);
	return xstrndup(hex, KEY_DIGITS);
}

static int prepare_built(struct kmod_kit *kit, const struct kernel_want *want,
			 const struct toolchain *tc, int log, const char *log_path, struct err *err)
{
	const char *name = kit->kernel->name, *arch = arch_name(kit->kernel->arch);
	auto_free char *what = str_printf("preparing kernel %s %s for modules", name, arch);
	auto_free char *modules = cache_dir("modules", err), *lock_path = NULL;
	auto_close int lock = -1;
	auto_free char *key = kit_key(&kit->built);
	int r = modules ? open_source(kit, want, err) : err ? -err->code : -EIO;

	if (r < 0)
		return r;
	kit->obj = str_printf("%s/kit-%s-%s-%s", modules, name, arch, key);
	lock_path = str_printf("%s.lock", kit->obj);
	lock = deb_lock(lock_path, what, want->progress, want->data, want->cancel, err);
	if (lock < 0)
		return lock;
	if (is_ready(kit))
		return add_symvers(kit, err);
	if (want->progress)
		want->progress(want->data, what, 0, 0);
	r = fill_kit(kit, want, tc, log, log_path, err);
	if (want->progress)
		want->progress(want->data, what, 1, 1);
	return r < 0 ? err_wrap(err, "%s", what) : add_symvers(kit, err);
}

int kmod_kit_prepare(struct kmod_kit *kit, const struct kernel_want *want,
		     const struct toolchain *tc, int log, const char *log_path, struct err *err)
{
	if (kit->target.is_binary)
		return prepare_headers(kit, want, err);
	if (!kit->tree)
		return prepare_built(kit, want, tc, log, log_path, err);
	kit->dir = xstrdup(kit->tree);
	kit->obj = xstrdup(kit->tree);
	return 0;
}

/* ---- flags ---- */

void kmod_kit_maps(const struct kmod_kit *kit, struct buf *out)
{
	const char *const dirs[] = {kit->dir, kit->obj};

	buf_adds(out, "");
	for (size_t i = 0; !kit->tree && i < array_len(dirs); i++)
		buf_addf(out, " -ffile-prefix-map=%s=/usr/src/linux-%s", dirs[i],
			 kit->kernel->version);
}

/*
 * What Debian's configuration takes for granted of its compiler, and others lack. make's command
 * line is stronger than include/config/auto.conf; what C code sees (autoconf.h) stays.
 */
static const struct feature {
	const char *option, *flag;
} features[] = {
	/* gcc 14; with others the Makefile of 6.9 and later takes -falign-functions= */
	{"CC_HAS_MIN_FUNCTION_ALIGNMENT", "-fmin-function-alignment=16"},
};

int kmod_kit_flags(const struct kmod_kit *kit, struct strv *argv, struct err *err)
{
	auto_free char *path = path_join(kit->obj, "include/config/auto.conf");
	auto_free char *cc = toolchain_cc(kit->kernel->arch, kit->llvm);
	auto_free char *symvers = path_join(kit->obj, "Module.symvers");
	auto_cleanup(buf) conf = {0};
	int r;

	if (!io_exists(symvers)) /* of a kernel built here: what is missing insmod(8) says */
		strv_add(argv, "KBUILD_MODPOST_WARN=1");
	if (!kit->target.is_binary || !cc)
		return 0;
	r = io_read_file(AT_FDCWD, path, 4 << 20, &conf, err);
	for (size_t i = 0; r == 0 && i < array_len(features); i++) {
		const struct feature *f = &features[i];
		char *const try[] = {cc,
				     (char *)f->flag,
				     (char *)"-fsyntax-only",
				     (char *)"-xc",
				     (char *)"/dev/null",
				     NULL};
		auto_free char *set = str_printf("\nCONFIG_%s=y\n", f->option);
		auto_cleanup(buf) said = {0};

		if (conf.data && strstr(conf.data, set) && proc_run(try, NULL, &said, NULL) != 0)
			strv_addf(argv, "CONFIG_%s=", f->option);
	}
	return r;
}
