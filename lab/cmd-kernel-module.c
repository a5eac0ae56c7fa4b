/* lab kernel module: a module of the user's, built for one of our kernels. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cmd-kernel.h"
#include "lab/kbuild/kmod.h"
#include "lab/progress.h"

struct module_args {
	const char *kernel, *arch, *out;
	bool offline;
};

static const struct opt options[] = {
	{'k', "kernel", "K", OPT_STRING, offsetof(struct module_args, kernel),
	 "for this kernel: a pin, one that was built, or a build tree\n(default: the pin marked "
	 "default)"},
	{'a', "arch", "A", OPT_STRING, offsetof(struct module_args, arch),
	 "amd64 or arm64 (default: this host's)"},
	{'o', "out", "PATH", OPT_STRING, offsetof(struct module_args, out),
	 "copy it to this file or into this folder"},
	{0, "offline", NULL, OPT_FLAG, offsetof(struct module_args, offline), "fetch nothing"},
};
static const struct cmd_usage usage = {
	"kernel module", "[options] DIR",
	"Build the module in DIR (its Kbuild or Makefile says obj-m) against the headers of a\n"
	"kernel, and print where it is. Headers and modules are kept in the cache; scenarios name\n"
	"modules by their key 'modules'."};

static int copy_out(const struct kmod *m, const char *out, struct err *err)
{
	struct stat st;
	bool into = stat(out, &st) == 0 && S_ISDIR(st.st_mode);
	int r = 0;

	if (!into && m->files.n > 1)
		return err_set(err, EINVAL, "%s: %zu modules were built: name a folder", out,
			       m->files.n);
	for (size_t i = 0; r == 0 && i < m->files.n; i++) {
		auto_free char *from = path_join(m->dir, m->files.items[i]);
		auto_free char *to = into ? path_join(out, m->files.items[i]) : xstrdup(out);
		auto_cleanup(buf) ko = {0};

		r = io_read_file(AT_FDCWD, from, 1 << 30, &ko, err);
		if (r == 0)
			r = io_write_atomic(AT_FDCWD, to, ko.data, ko.len, 0644, err);
		if (r == 0)
			puts(to);
	}
	return r;
}

static int build(const struct module_args *a, const char *dir, const struct kernel_want *want,
		 struct kmod *ret, struct err *err)
{
	auto_free char *spec = a->kernel ? xstrdup(a->kernel) : NULL;
	int arch = cmd_arch(a->arch, err), r = arch < 0 ? arch : 0;
	auto_cleanup(kernel) k = {0};

	if (r == 0 && !spec)
		r = kernel_default(&spec, err);
	if (r == 0)
		r = kernel_resolve(spec, (enum arch)arch, want, &k, err);
	return r < 0 ? r : kmod_build(dir, &k, want, ret, err);
}

int cmd_kernel_module(int argc, char **argv)
{
	struct module_args a = {0};
	auto_cleanup(kmod) m = {0};
	struct run_events events;
	struct kernel_want want;
	struct err err = {0};
	int at, r, code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &at);

	if (code >= 0)
		return code;
	if (argc - at != 1)
		return cmd_misused(&usage, "module takes the folder of one module");
	want = (struct kernel_want){.offline = a.offline,
				    .cache_from = cmd_cache_from(NULL),
				    .progress = progress_fetch,
				    .building = progress_build,
				    .data = progress_start(false, &events),
				    .cancel = cmd_catch_signals()};
	r = build(&a, argv[at], &want, &m, &err);
	progress_stop(want.data);
	if (r == 0 && a.out)
		r = copy_out(&m, a.out, &err);
	if (r < 0)
		return cmd_fail(r == -EIO ? EXIT_USAGE : cmd_exit_code(r), &err);
	for (size_t i = 0; !a.out && i < m.files.n; i++)
		printf("%s/%s\n", m.dir, m.files.items[i]);
	return EXIT_MET;
}
