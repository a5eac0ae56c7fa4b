/* lab kernel pull: one kernel into the cache, and what a debugger needs of it. */
#include <stdio.h>

#include "lab/cmd-kernel.h"
#include "lab/debug/gdb.h"
#include "lab/kernel/kernel-debug.h"
#include "lab/kernel/kernel-store.h"
#include "lab/progress.h"

/* What is not in the archive is no mistake of the user's. */
static int fail(int r, const struct err *err)
{
	return cmd_fail(r == -ENOENT ? EXIT_LOST : cmd_exit_code(r), err);
}

static void tell(const struct lock_kernel *k, const char *what)
{
	printf("%-9s %-10s %-6s %s\n", k->name, k->version, arch_name(k->arch), what);
	fflush(stdout);
}

static int pull_debug(const struct lock_kernel *k, const struct kernel *kernel,
		      struct kernel_want *want)
{
	auto_cleanup(kernel_debug) found = {0};
	auto_cleanup(symbols) symbols = {0};
	bool had = kernel_debug_find(k, &found, NULL) == 0;
	struct run_events events;
	struct err err = {0};
	int r;

	want->data = progress_start(had, &events);
	r = symbols_prepare(kernel, SYMBOLS_PACKAGE, NULL, want, &symbols, NULL, &err);
	if (r == 0)
		r = gdb_index(k->arch, &symbols, progress_fetch, want->data, &err);
	progress_stop(want->data);
	if (want->cancel && *want->cancel)
		r = err_set(&err, EINTR, "interrupted");
	if (r == -ENOENT ||
	    r == -ENOTSUP) { /* the symbols are for another machine's gdb, or later */
		fprintf(stderr, "note: not indexed for gdb yet: %s\n", err.msg);
		r = 0;
	}
	if (r < 0)
		return fail(r, &err);
	tell(k, had ? "symbols were there" : "symbols ready");
	return EXIT_MET;
}

int kernel_pull(const struct lock_kernel *k, bool debug, bool of_all, const volatile int *cancel)
{
	struct kernel_want want = {.progress = progress_fetch, .cancel = cancel};
	auto_cleanup(kernel) kernel = {0};
	bool had = kernel_store_find(k, &kernel, NULL) == 0;
	struct run_events events;
	struct err err = {0};
	int r = 0;

	if (!had) {
		want.data = progress_start(false, &events);
		r = kernel_fetch(k, &want, &kernel, &err);
		progress_stop(want.data);
	}
	if (r < 0)
		return fail(r, &err);
	tell(k, had ? "was there" : "ready");
	if (!debug)
		return EXIT_MET;
	if (!k->debug.name && of_all) {
		tell(k, "no debug package: the symbols are those of the image");
		return EXIT_MET;
	}
	return pull_debug(k, &kernel, &want);
}
