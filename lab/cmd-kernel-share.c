/* lab kernel export, lab kernel import: built kernels on their way to others. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lab/cmd-kernel.h"
#include "lab/kbuild/kbuild.h"
#include "lab/kernel/kernel-target.h"
#include "lab/progress.h"

struct share_args {
	const char *arch, *flavour;
	bool json;
};

static const struct opt export_options[] = {
	{0, "arch", "A", OPT_STRING, offsetof(struct share_args, arch),
	 "amd64 or arm64 (default: this machine's)"},
	{0, "flavour", "F", OPT_STRING, offsetof(struct share_args, flavour),
	 "the kernel with these fragments: guest, debug+kasan ..."},
	{0, "json", NULL, OPT_FLAG, offsetof(struct share_args, json), "machine-readable output"},
};
static const struct cmd_usage export_usage = {
	"kernel export", "[options] NAME FILE",
	"Write a kernel that was built here, with all that belongs to it, to one file for\n"
	"'lab kernel import'. FILE may be a folder: then the file gets the name that\n--cache-from "
	"looks for."};

static const struct opt import_options[] = {
	{0, "json", NULL, OPT_FLAG, offsetof(struct share_args, json), "machine-readable output"},
};
static const struct cmd_usage import_usage = {
	"kernel import", "[options] FILE",
	"Check a file of 'lab kernel export' and take its kernel into the cache."};

/* The file is the user's: what is wrong with it, too. */
static int exit_code(int r)
{
	return r == -EEXIST || r == -EBADMSG ? EXIT_USAGE : cmd_exit_code(r);
}

/* What was moved. file and size only where one was written. */
static int print(const struct built *b, const char *file, uint64_t size, bool json)
{
	json_t *j;

	if (!json && file) {
		printf("%s %s: %s, %.1f MiB\n", b->name, arch_name(b->arch), file,
		       size / 1048576.0);
		return EXIT_MET;
	}
	if (!json) {
		printf("%s %s: %s, of %s\n", b->name, arch_name(b->arch), b->version,
		       b->source_what);
		if (!kbuild_is_current(b))
			printf("note: kernels.yml and the fragments here make another kernel of "
			       "that name: 'lab run' will not take this one\n");
		return EXIT_MET;
	}
	j = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:b, s:b}", "name", b->name, "arch",
		      arch_name(b->arch), "version", b->version, "source", b->source_what, "inputs",
		      b->inputs, "local", b->local, "current", kbuild_is_current(b));
	if (file) {
		json_object_set_new(j, "file", json_string(file));
		json_object_set_new(j, "bytes", json_integer(size));
	}
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
	return EXIT_MET;
}

/* The kernel of that name that was built here. */
static int find(const char *name, const struct share_args *a, struct built *ret, struct err *err)
{
	auto_cleanup(kernel_target) target = {0};
	auto_cleanup(kernel) k = {0};
	int arch = cmd_arch(a->arch, err), r;

	if (arch < 0)
		return arch;
	r = kernel_target(name, arch, a->flavour, &target, err);
	if (r < 0)
		return r;
	r = built_find(target.name, arch, NULL, true, &k, ret, err);
	if (r == -ENOENT && !target.pin) /* imported: its name is as others wrote it */
		r = built_find(name, arch, NULL, true, &k, ret, err);
	if (r == -ENOENT && target.is_binary)
		return err_set(err, ENOENT,
			       "%s is Debian's kernel, which everybody pulls ('lab kernel pull "
			       "%s'); one that was built is exported, like %s+guest",
			       target.name, target.name, target.name);
	if (r == -ENOENT)
		return err_wrap(err, "nothing to export ('lab kernel build %s --arch %s')",
				target.name, arch_name(arch));
	return r;
}

int cmd_kernel_export(int argc, char **argv)
{
	auto_cleanup(built) b = {0};
	auto_free char *file = NULL, *name = NULL;
	struct share_args a = {0};
	struct err err = {0};
	struct stat st;
	int at, r = cmd_options(&export_usage, export_options, array_len(export_options), argc,
				argv, &a, &at);

	if (r >= 0)
		return r;
	if (argc - at != 2)
		return cmd_misused(&export_usage, "export takes a kernel's name and a file");
	r = find(argv[at], &a, &b, &err);
	if (r < 0)
		return cmd_fail(exit_code(r), &err);
	file = xstrdup(argv[at + 1]);
	if (stat(file, &st) == 0 && S_ISDIR(st.st_mode)) {
		name = built_file_name(&b);
		free(file);
		file = path_join(argv[at + 1], name);
	}
	r = built_export(&b, file, &err);
	if (r < 0)
		return cmd_fail(r == -EBADMSG ? EXIT_LOST : exit_code(r), &err);
	return print(&b, file, stat(file, &st) == 0 ? st.st_size : 0, a.json);
}

int cmd_kernel_import(int argc, char **argv)
{
	auto_cleanup(built) b = {0};
	struct progress *progress;
	struct run_events events;
	struct share_args a = {0};
	struct err err = {0};
	int at, r = cmd_options(&import_usage, import_options, array_len(import_options), argc,
				argv, &a, &at);

	if (r >= 0)
		return r;
	if (argc - at != 1)
		return cmd_misused(&import_usage, "import takes one file");
	progress = progress_start(a.json, &events);
	r = built_import(argv[at], progress_fetch, progress, cmd_catch_signals(), &b, &err);
	progress_stop(progress);
	return r < 0 ? cmd_fail(exit_code(r), &err) : print(&b, NULL, 0, a.json);
}
