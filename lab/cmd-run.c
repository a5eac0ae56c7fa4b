#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "jail/base/io.h"
#include "jail/base/yaml.h"
#include "lab/cmd-guest.h"
#include "lab/debian/deb.h"
#include "lab/run/report.h"
#include "lab/run/run.h"
#include "lab/scenario/scenario-load.h"

struct run_args {
	struct strv kernels, flavours, archs, dump_on;
	struct run_options options;
	const char *filter, *accel, *dump, *known, *cache_from, *mirror;
	unsigned int repeat;
	bool no_build, dry_run, json, quiet, keep_going;
};

#define ARG(member) offsetof(struct run_args, member)

static const struct opt options[] = {
	{'k', "kernel", "K[,K...]", OPT_STRV, ARG(kernels),
	 "kernels: a pin (6.1), one with a flavour (6.1+kasan), a version\n(6.1.176), one that was "
	 "built under that name, a file, a build tree,\nor 'all' that need no build (default: the "
	 "pin marked default)"},
	{0, "flavour", "F[,F...]", OPT_STRV, ARG(flavours),
	 "each kernel in these flavours, built when needed: 'default', or\nfragments of "
	 "kernel-config joined by '+' (debug+kasan)"},
	{'a', "arch", "A[,A...]", OPT_STRV, ARG(archs),
	 "architectures: amd64, arm64, or 'all' (default: this host's)"},
	{'j', "jobs", "N", OPT_U32, ARG(options.jobs),
	 "machines at once (default: one for each processor)"},
	{'t', "timeout", "TIME", OPT_MS, ARG(options.timeout_ms),
	 "for each scenario, instead of its own (30s, 2m)"},
	{0, "boot-timeout", "TIME", OPT_MS, ARG(options.boot_timeout_ms),
	 "for a guest to boot, after which it is lost (default: 1m; 30s under KVM;\nthree times "
	 "that for kernels with KASAN, KCSAN or lockdep)"},
	{'n', "repeat", "N", OPT_U32, ARG(repeat), "run each cell N times"},
	{'f', "filter", "GLOB", OPT_STRING, ARG(filter),
	 "only scenarios whose name matches ('userns/*')"},
	{'o', "out", "DIR", OPT_STRING, ARG(options.out),
	 "the run's folder (default: a new one below " RESULTS_DIR "/)"},
	{0, "accel", "HOW", OPT_STRING, ARG(accel),
	 "auto (KVM when a probe guest boots under it), tcg, or kvm"},
	{'c', "connect", "URI", OPT_STRING, ARG(options.connect),
	 "a libvirt daemon of this host: qemu:///session, qemu:///system\n(default: libvirt's "
	 "embedded driver; no daemon)"},
	{0, "dump", "FORM", OPT_STRING, ARG(dump),
	 "how the guest's memory is dumped: kdump (default), elf, or off"},
	{0, "dump-on", "WHAT[,WHAT...]", OPT_STRV, ARG(dump_on),
	 "of which cells: pass, fail, crash, hang (default: crash,hang; a crash\nthat was expected "
	 "is one, too)"},
	{0, "max-dump-bytes", "SIZE", OPT_BYTES, ARG(options.max_dump_bytes),
	 "what all dumps of the run may fill (default: 2G)"},
	{0, "known", "FILE", OPT_STRING, ARG(known),
	 "crashes that are noted only, each with reason, link and last day\n(default: " KNOWN_FILE
	 " in a PATH that is a folder)"},
	{0, "offline", NULL, OPT_FLAG, ARG(options.offline),
	 "fetch nothing: what is not cached is an error"},
	{0, "no-build", NULL, OPT_FLAG, ARG(no_build),
	 "build no kernel: what is not built is an error"},
	{0, "cache-from", "PLACE", OPT_STRING, ARG(cache_from),
	 "a folder or URL that holds exported kernels, to be taken instead of\nbuilt (default: "
	 "$LAB_CACHE_FROM)"},
	{0, "mirror", "PLACE", OPT_STRING, ARG(mirror),
	 "a folder or URL that holds sources under their names (linux-6.5.tar.xz)"},
	{0, "dry-run", NULL, OPT_FLAG, ARG(dry_run), "print the plan as JSON and start nothing"},
	{0, "json", NULL, OPT_FLAG, ARG(json), "print the results as JSON"},
	{'q', "quiet", NULL, OPT_FLAG, ARG(quiet), "no progress; only the results"},
	{0, "keep-going", NULL, OPT_FLAG, ARG(keep_going),
	 "go on after a cell that did not pass (always so)"},
};

static const struct cmd_usage usage = {
	"run", "[options] PATH...",
	"Run the scenarios at or below PATH on every kernel and architecture named, each in a\n"
	"machine of its own, and judge them. Exit code: 0 every expectation met, 1 one failed,\n"
	"2 usage or a bad file, 3 a machine was lost, 130 interrupted."};

static int parse_dump(struct run_args *a, struct err *err)
{
	int form = a->dump ? dump_form_parse(a->dump) : DUMP_KDUMP;

	if (form < 0)
		return err_set(err, EINVAL, "'%.40s' is none of kdump, elf, off", a->dump);
	a->options.dump = form;
	for (size_t i = 0; i < a->dump_on.n; i++) {
		int on = dump_on_parse(a->dump_on.items[i]);

		if (on < 0)
			return err_set(err, EINVAL, "'%.40s' is none of pass, fail, crash, hang",
				       a->dump_on.items[i]);
		a->options.dump_on |= on;
	}
	if (!a->dump_on.n)
		a->options.dump_on = DUMP_ON_DEFAULT;
	return 0;
}

/* Returns -1 to go on, else the exit code. */
static int parse_args(struct run_args *a, int argc, char **argv, int *operands)
{
	struct err err = {0};
	int code = cmd_options(&usage, options, array_len(options), argc, argv, a, operands);

	if (code >= 0)
		return code;
	if (a->repeat < 1 || a->repeat > 10000)
		err_set(&err, EINVAL, "--repeat: %u is not between 1 and 10000", a->repeat);
	else if (parse_dump(a, &err) < 0)
		err_wrap(&err, "--dump%s", a->dump && dump_form_parse(a->dump) < 0 ? "" : "-on");
	else
		guest_accel(a->accel, &a->options.accel, &err);
	if (!err.code && a->options.connect && virt_check_uri(a->options.connect, &err) < 0)
		err_wrap(&err, "--connect");
	return err.code ? cmd_fail(EXIT_USAGE, &err) : -1;
}

static int parse_archs(struct run_args *a, enum arch *ret, size_t *n, struct err *err)
{
	if (!a->archs.n)
		strv_add(&a->archs, arch_name(arch_native()));
	*n = 0;
	for (size_t i = 0; i < a->archs.n; i++) {
		bool all = str_eq(a->archs.items[i], "all");
		int one = all ? 0 : arch_parse(a->archs.items[i]);

		if (one < 0)
			return err_set(err, EINVAL,
				       "unknown architecture '%.40s' (there are amd64, arm64, all)",
				       a->archs.items[i]);
		for (int k = all ? 0 : one; k <= (all ? ARCH_COUNT - 1 : one); k++) {
			size_t seen;

			for (seen = 0; seen < *n && ret[seen] != (enum arch)k; seen++)
				;
			if (seen == *n)
				ret[(*n)++] = k;
		}
	}
	return 0;
}

struct kernel_set {
	struct kernel *items;
	size_t n;
};

static void kernel_set_deinit(struct kernel_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		kernel_deinit(&set->items[i]);
	free(set->items);
}
DEFINE_CLEANUP(kernel_set, kernel_set_deinit)

/* The kernels asked for in one flavour, "all" and the default spelled out. */
static int kernel_specs(const struct run_args *a, const char *flavour, const enum arch *archs,
			size_t n_archs, struct strv *specs, struct err *err)
{
	int r = 0;

	if (!a->kernels.n) {
		char *name = NULL;

		r = kernel_default(&name, err);
		if (r == 0)
			strv_take(specs, name);
	}
	for (size_t i = 0; r == 0 && i < a->kernels.n; i++) {
		if (str_eq(a->kernels.items[i], "all"))
			r = kernel_all(flavour, archs, n_archs, specs, err);
		else
			strv_add(specs, a->kernels.items[i]);
	}
	return r;
}

/* Take k over, unless it is there: by another spelling, or named twice. */
static int add_kernel(struct kernel_set *set, struct kernel *k, struct err *err)
{
	for (size_t i = 0; i < set->n; i++) {
		const struct kernel *other = &set->items[i];

		if (other->arch != k->arch || !str_eq(other->name, k->name))
			continue;
		if (k->image && other->image && !str_eq(k->image, other->image))
			return err_set(err, EINVAL,
				       "%.200s and %.200s would both be kernel %s of the run: "
				       "rename one",
				       other->image, k->image, k->name);
		return 0;
	}
	set->items = xreallocarray(set->items, set->n + 1, sizeof(*set->items));
	set->items[set->n++] = *k;
	*k = (struct kernel){0};
	return 0;
}

/* One kernel, of a flavour, on one architecture. */
static int resolve(const struct run_args *a, const char *spec, enum arch arch,
		   const struct kernel_want *want, struct kernel_set *set, struct err *err)
{
	auto_cleanup(kernel) k = {0};
	int r = a->dry_run ? kernel_describe(spec, arch, want->flavour, &k, err)
			   : kernel_resolve(spec, arch, want, &k, err);

	if (r == 0)
		r = add_kernel(set, &k, err);
	return r == 0 && run_cancelled() ? err_set(err, EINTR, "interrupted") : r;
}

static int resolve_kernels(struct run_args *a, struct progress *progress, struct kernel_set *set,
			   struct err *err)
{
	enum arch archs[ARCH_COUNT];
	struct kernel_want want = {.offline = a->options.offline,
				   .no_build = a->no_build,
				   .cache_from = a->cache_from,
				   .mirror = a->mirror,
				   .progress = progress_fetch,
				   .building = progress_build,
				   .data = progress,
				   .cancel = run_cancel_flag()};
	size_t n_archs;
	int r = parse_archs(a, archs, &n_archs, err);

	if (!a->flavours.n)
		strv_add(&a->flavours, "default");
	for (size_t f = 0; r == 0 && f < a->flavours.n; f++) {
		auto_cleanup(strv) specs = {0};

		want.flavour = a->flavours.items[f];
		r = kernel_specs(a, want.flavour, archs, n_archs, &specs, err);
		for (size_t k = 0; k < specs.n; k++)
			for (size_t i = 0; r == 0 && i < n_archs; i++)
				r = resolve(a, specs.items[k], archs[i], &want, set, err);
	}
	return r;
}

/* A file of known crashes; what has ended is told. */
static int add_known(const char *path, struct known_list *ret, struct err *err)
{
	auto_cleanup(buf) text = {0};
	size_t before = ret->n;
	time_t now = time(NULL);
	char today[16];
	struct tm tm;
	int r = io_read_file(AT_FDCWD, path, YAML_MAX_BYTES, &text, err);

	if (r < 0)
		return r;
	strftime(today, sizeof(today), "%F", gmtime_r(&now, &tm));
	r = known_parse(path, text.data ? text.data : "", text.len, today, ret, err);
	for (size_t i = before; r == 0 && i < ret->n; i++) {
		const struct known *k = &ret->items[i];
		auto_cleanup(buf) title = {0};

		str_printable(&title, k->title, strlen(k->title), 200, false);
		if (k->over)
			fprintf(stderr, "lab: %s:%u: '%s' was known until %s: it counts again\n",
				path, k->line, title.data, k->until);
	}
	return r;
}

static int load_known(const struct run_args *a, char *const *paths, int n, struct known_list *ret,
		      struct err *err)
{
	int r = 0;

	if (a->known)
		return add_known(a->known, ret, err);
	for (int i = 0; i < n && r == 0; i++) {
		auto_free char *path = path_join(paths[i], KNOWN_FILE);

		if (io_exists(path))
			r = add_known(path, ret, err);
	}
	return r;
}

/* What hides nothing any more should go from its file; an interrupted run knows nothing of that. */
static void tell_unmatched(const struct known_list *known)
{
	auto_cleanup(buf) where = {0};

	known_add_unmatched(known, &where);
	if (where.len)
		fprintf(stderr, "lab: %s: matched nothing in this run\n", where.data);
}

static int print_plan(const struct plan *plan)
{
	json_t *j = plan_json(plan);

	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
	return EXIT_MET;
}

static int print_results(const char *dir, bool json)
{
	auto_cleanup(run_record) record = {0};
	struct totals totals;
	struct err err = {0};

	if (run_record_load(dir, &record, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
	cmd_print_record(&record, json);
	report_count(&record, &totals);
	return report_exit_code(&totals);
}

/* A package that is not pinned is a mistake in the scenario: told before anything boots. */
static int check_packages(const struct scenario *s, enum arch arch, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->packages.n; i++) {
		struct deb *debs = NULL;
		size_t n = 0;

		r = deb_locked_closure(s->packages.items[i], arch, &debs, &n, err);
		for (size_t k = 0; k < n; k++)
			deb_deinit(&debs[k]);
		free(debs);
	}
	return r < 0 ? err_wrap(err, "%s: packages", s->path) : 0;
}

static int check_plan(const struct plan *plan, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->n; i++) {
		const struct cell *c = &plan->cells[i], *last = i ? c - 1 : NULL;

		/* cells come target by target: look once for each architecture in a row */
		if (!c->skip && (!last || last->scenario != c->scenario))
			r = check_packages(c->scenario, c->kernel->arch, err);
	}
	return r;
}

static int execute(struct run_args *a, struct progress *progress, struct run *run, char **argv,
		   const struct scenario_set *scenarios, char **dir)
{
	auto_cleanup(kernel_set) kernels = {0};
	auto_cleanup(plan) plan = {0};
	struct err err = {0};
	int r = resolve_kernels(a, progress, &kernels, &err);

	if (r < 0) {
		progress_stop(progress);
		return cmd_fail(run_cancelled() ? EXIT_INTERRUPTED : cmd_exit_code(r), &err);
	}
	plan_build(kernels.items, kernels.n, scenarios->items, scenarios->n, a->repeat, &plan);
	if (check_plan(&plan, &err) < 0) {
		progress_stop(progress);
		return cmd_fail(EXIT_USAGE, &err);
	}
	if (a->dry_run) {
		progress_stop(progress);
		return print_plan(&plan);
	}
	for (size_t i = 0; i < plan.n; i++)
		if (!plan.cells[i].skip)
			known_concern(a->options.known, &plan.cells[i].kernel->kver,
				      plan.cells[i].kernel->arch);
	progress_plan(progress, plan.n);
	r = run_execute(run, &plan, argv, dir, &err);
	progress_stop(progress);
	/* A folder in use is the caller's mistake; what this host lacks or did is not. */
	if (r < 0)
		return cmd_fail(r == -EEXIST ? EXIT_USAGE : EXIT_LOST, &err);
	return EXIT_MET;
}

int cmd_run(int argc, char **argv)
{
	struct run_args a = {.repeat = 1, .options.max_dump_bytes = DUMP_BYTES};
	auto_cleanup(scenario_set) scenarios = {0};
	auto_cleanup(known_list) known = {0};
	auto_free char *dir = NULL;
	struct progress *progress;
	struct run_events events;
	struct run *run = NULL;
	struct err err = {0};
	int operands, code = parse_args(&a, argc, argv, &operands);

	if (code < 0)
		code = cmd_load_scenarios("run", argv + operands, argc - operands, a.filter,
					  &scenarios);
	if (code < 0 && load_known(&a, argv + operands, argc - operands, &known, &err) < 0)
		code = cmd_fail(EXIT_USAGE, &err);
	if (code >= 0)
		goto out;
	a.options.known = &known;
	a.cache_from = cmd_cache_from(a.cache_from);
	progress = progress_start(a.quiet || a.dry_run, &events);
	guest_catch_signals(); /* what was fetched and built so far is gone on with the next time */
	if (!a.dry_run && run_begin(&a.options, &events, &run, &err) < 0) {
		progress_stop(progress);
		code = cmd_fail(EXIT_LOST, &err);
		goto out;
	}
	code = execute(&a, progress, run, argv, &scenarios, &dir);
	run_end(run);
	if (dir) {
		int judged = print_results(dir, a.json);

		if (code == EXIT_MET)
			code = judged;
	}
	if (run_cancelled())
		code = EXIT_INTERRUPTED;
	else if (dir)
		tell_unmatched(&known);
out:
	strv_deinit(&a.kernels);
	strv_deinit(&a.flavours);
	strv_deinit(&a.archs);
	strv_deinit(&a.dump_on);
	return code;
}
