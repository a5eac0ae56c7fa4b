#include "lab/kbuild/kmod-kit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/debian/deb.h"
#include "lab/kernel/kernel-headers.h"
#include "lab/kernel/kernel-pin.h"
#include "lab/kernel/kernel-tree.h"

void kmod_kit_deinit(struct kmod_kit *k)
{
	free(k->source);
	free(k->obj);
	free(k->id);
	*k = (struct kmod_kit){0};
}

static int of_pin(const struct kernels_lock *lock, const struct lock_kernel *k,
		  const struct kernel_want *want, struct kmod_kit *ret, struct err *err)
{
	auto_cleanup(kernel_headers) h = {0};
	int r = kernel_headers_fetch(lock, k, want, &h, err);

	if (r < 0)
		return r;
	ret->source = path_join(h.dir, "common");
	ret->obj = path_join(h.dir, "arch");
	ret->id = str_printf("headers %s", h.inputs);
	ret->headers = true;
	return 0;
}

/* Files that decide what a module of this tree is like. */
static int of_tree(const char *tree, struct kmod_kit *ret, struct err *err)
{
	static const char *const files[] = {".config", "Module.symvers",
					    "include/generated/utsrelease.h"};
	auto_cleanup(buf) id = {0};
	char hex[65];

	buf_addf(&id, "tree %s", tree);
	for (size_t i = 0; i < array_len(files); i++) {
		auto_free char *path = path_join(tree, files[i]);

		if (!io_exists(path))
			return err_set(err, ENOTSUP,
				       "no modules can be built in %s: it has no %s (make it, and "
				       "its modules)",
				       tree, files[i]);
		if (sha256_file(path, hex, err) < 0)
			return err ? -err->code : -EIO;
		buf_addf(&id, " %s", hex);
	}
	ret->source = xstrdup(tree);
	ret->obj = xstrdup(tree);
	ret->id = take_ptr(id.data);
	return 0;
}

int kmod_kit_find(const struct kernel *kernel, const struct kernel_want *want, struct kmod_kit *ret,
		  struct err *err)
{
	auto_cleanup(kernels_lock) lock = {0};
	auto_cleanup(kmod_kit) kit = {.llvm = kernel_config_option(kernel, "CC_IS_CLANG") == 'y'};
	auto_free char *tree = kernel->path && kernel->image ? kernel_tree_of(kernel->image) : NULL;
	const struct lock_kernel *pinned;
	int r = kernels_lock_load(&lock, err);

	if (r < 0)
		return r;
	pinned = kernel->path || kernel->origin
			 ? NULL
			 : kernels_lock_find(&lock, kernel->name, kernel->arch);
	if (kernel_config_option(kernel, "MODULES") == 'n')
		return err_set(err, ENOTSUP, "kernel %s takes no modules (CONFIG_MODULES)",
			       kernel->name);
	if (pinned)
		r = of_pin(&lock, pinned, want, &kit, err);
	else if (tree)
		r = of_tree(tree, &kit, err);
	else
		r = err_set(err, ENOTSUP, "no headers and no build tree of kernel %s are here",
			    kernel->name);
	if (r < 0)
		return r;
	*ret = kit;
	kit = (struct kmod_kit){0};
	return 0;
}

/*
 * What Debian's configuration takes for granted of its compiler, and others lack. make's command
 * line is stronger than include/config/auto.conf; what C code sees (autoconf.h) stays.
 */
static const struct feature {
	const char *option, *flag;
} features[] = {
	/* gcc 14; with others scripts/Makefile of 6.9 and later takes -falign-functions= */
	{"CC_HAS_MIN_FUNCTION_ALIGNMENT", "-fmin-function-alignment=16"},
};

int kmod_kit_flags(const struct kmod_kit *kit, enum arch arch, struct strv *argv, struct err *err)
{
	auto_free char *path = path_join(kit->obj, "include/config/auto.conf");
	auto_free char *cc = toolchain_cc(arch, kit->llvm);
	auto_cleanup(buf) conf = {0};
	int r;

	if (!kit->headers || !cc)
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
