/* lab kernel pull: one kernel into the cache, and what a debugger needs of it. */
#include <stdio.h>

#include "lab/cmd-kernel.h"
#include "lab/debug/gdb.h"
#include "lab/kernel/kernel-debug.h"
#include "lab/kernel/kernel-headers.h"
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

static int pull_headers(const struct kernel_selection *of, const struct lock_kernel *k,
			struct kernel_want *want)
{
	auto_cleanup(kernel_headers) h = {0};
	struct run_events events;
	struct err err = {0};
	int r;

	want->data = progress_start(false, &events);
	r = kernel_headers_fetch(&of->lock, k, want, &h, &err);
	progress_stop(want->data);
	if (r < 0 && (r != -ENOTSUP || !of->all))
		return fail(r == -ENOTSUP ? -ENOENT : r, &err);
	tell(k, r < 0 ? "no headers in the archive" : "headers ready");
	return EXIT_MET;
}

int kernel_pull(const struct kernel_selection *of, const struct lock_kernel *k, bool debug,
		bool headers, const volatile int *cancel)
{
	struct kernel_want want = {.progress = progress_fetch, .cancel = cancel};
	auto_cleanup(kernel) kernel = {0};
	bool had = kernel_store_find(k, &kernel, NULL) == 0;
	struct run_events events;
	struct err err = {0};
	int r = 0, code = EXIT_MET;

	if (!had) {
		want.data = progress_start(false, &events);
		r = kernel_fetch(k, &want, &kernel, &err);
		progress_stop(want.data);
	}
	if (r < 0)
		return fail(r, &err);
	tell(k, had ? "was there" : "ready");
	if (headers)
		code = pull_headers(of, k, &want);
	if (!debug || code != EXIT_MET)
		return code;
	if (!k->debug.name && of->all) {
		tell(k, "no debug package: the symbols are those of the image");
		return EXIT_MET;
	}
	return pull_debug(k, &kernel, &want);
}
