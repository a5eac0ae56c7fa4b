/* lab kernel source: a kernel's source, unpacked in the cache, for a debugger's list. */
#include <stdio.h>

#include "lab/cmd-kernel.h"
#include "lab/kbuild/source.h"
#include "lab/kernel/kernel-target.h"
#include "lab/progress.h"

struct source_args {
	const char *mirror;
	bool offline;
};

static const struct opt options[] = {
	{0, "mirror", "PLACE", OPT_STRING, offsetof(struct source_args, mirror),
	 "a URL or folder that also has the source"},
	{0, "offline", NULL, OPT_FLAG, offsetof(struct source_args, offline), "fetch nothing"},
};
static const struct cmd_usage usage = {
	"kernel source", "[options] NAME",
	"Fetch, check and unpack the source of a kernel into the cache, and print the folder.\n"
	"'lab debug' shows its lines from then on. It takes some 1.5 GiB."};

static int open_source(const char *name, const struct kernel_want *want, struct source *ret,
		       struct err *err)
{
	auto_cleanup(kernel_target) t = {0};
	struct source_place place;
	int r = kernel_target(name, arch_native(), NULL, &t, err);

	if (r == 0)
		r = kernel_target_check(&t, err);
	if (r < 0)
		return r;
	place = source_place(t.pin, t.package, NULL, want);
	return source_open(&place, ret, err);
}

int cmd_kernel_source(int argc, char **argv)
{
	struct source_args a = {0};
	auto_cleanup(source) s = {0};
	struct progress *progress;
	struct run_events events;
	struct kernel_want want;
	struct err err = {0};
	int at, r, code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &at);

	if (code >= 0)
		return code;
	if (argc - at != 1)
		return cmd_misused(&usage, "source takes the name of one kernel");
	progress = progress_start(false, &events);
	want = (struct kernel_want){.offline = a.offline,
				    .mirror = a.mirror,
				    .progress = progress_fetch,
				    .data = progress,
				    .cancel = cmd_catch_signals()};
	r = open_source(argv[at], &want, &s, &err);
	progress_stop(progress);
	if (r < 0)
		return cmd_fail(cmd_exit_code(r), &err);
	puts(s.dir);
	return EXIT_MET;
}
