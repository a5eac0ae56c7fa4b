#include <stdio.h>

#include "lab/cmd-guest.h"
#include "lab/run/report.h"
#include "lab/run/run.h"

struct record_args {
	struct guest_args guest;
	const char *out;
	int64_t timeout_ms, boot_timeout_ms;
	bool json, quiet;
};

#define ARG(member) offsetof(struct record_args, member)

static const struct opt options[] = {
	GUEST_OPTIONS(struct record_args),
	{'t', "timeout", "TIME", OPT_MS, ARG(timeout_ms),
	 "of each scenario, instead of its own; in the guest's time"},
	{0, "boot-timeout", "TIME", OPT_MS, ARG(boot_timeout_ms),
	 "for the guest to boot, after which it is lost (default: 3m)"},
	{'o', "out", "DIR", OPT_STRING, ARG(out),
	 "the run's folder (default: a new one below " RESULTS_DIR "/)"},
	{0, "json", NULL, OPT_FLAG, ARG(json), "print the results as JSON"},
	{'q', "quiet", NULL, OPT_FLAG, ARG(quiet), "no progress; only the results"},
};

static const struct cmd_usage usage = {
	"record", "[options] PATH...",
	"Run the scenarios at or below PATH on one kernel, as lab run does, in machines that are\n"
	"recorded: lab replay CELL runs them again, instruction for instruction. Exit code: as of\n"
	"lab run."};

struct recorder {
	const struct record_args *args;
	struct run_options run;
	struct progress *progress;
	struct kernel kernel;
	struct scenario_set scenarios;
	struct plan plan;
	char *dir;
};

static void recorder_deinit(struct recorder *r)
{
	plan_deinit(&r->plan);
	scenario_set_deinit(&r->scenarios);
	kernel_deinit(&r->kernel);
	free(r->dir);
}
DEFINE_CLEANUP(recorder, recorder_deinit)

static int execute(struct recorder *r, struct run *run, char **argv)
{
	struct kernel_want want = guest_want(&r->args->guest, r->progress);
	struct err err = {0};
	int ret = guest_kernel(&r->args->guest, &want, &r->kernel, &err);

	if (ret < 0) {
		progress_stop(take_ptr(r->progress));
		return cmd_fail(run_cancelled() ? EXIT_INTERRUPTED : cmd_exit_code(ret), &err);
	}
	plan_build(&r->kernel, 1, r->scenarios.items, r->scenarios.n, 1, &r->plan);
	progress_plan(r->progress, r->plan.n);
	ret = run_execute(run, &r->plan, argv, &r->dir, &err);
	progress_stop(take_ptr(r->progress));
	if (ret < 0)
		return cmd_fail(ret == -EEXIST ? EXIT_USAGE : EXIT_LOST, &err);
	return EXIT_MET;
}

static void say_how_to_replay(const struct recorder *r)
{
	for (size_t i = 0; i < r->plan.n; i++) {
		auto_free char *file =
			str_printf("%s/%s/replay/recording.json", r->dir, r->plan.cells[i].dir);

		if (access(file, F_OK) == 0)
			printf("lab replay %s/%s\n", r->dir, r->plan.cells[i].dir);
	}
}

/* The verdicts, and what to type next. */
static int conclude(const struct recorder *r)
{
	auto_cleanup(run_record) record = {0};
	struct totals totals;
	struct err err = {0};

	if (run_record_load(r->dir, &record, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
	cmd_print_record(&record, r->args->json);
	if (!r->args->json)
		say_how_to_replay(r);
	report_count(&record, &totals);
	return report_exit_code(&totals);
}

static int record(struct record_args *a, char **argv, int first, int n)
{
	auto_cleanup(recorder) r = {.args = a};
	struct run_events events;
	struct run *run = NULL;
	struct err err = {0};
	int code = cmd_load_scenarios("record", argv + first, n, NULL, &r.scenarios);

	if (code >= 0)
		return code;
	if (guest_accel(a->guest.accel, &r.run.accel, &err) == 0 && r.run.accel == ACCEL_KVM)
		err_set(&err, EINVAL, "--accel kvm: only TCG can record");
	if (err.code)
		return cmd_fail(EXIT_USAGE, &err);
	r.run = (struct run_options){.timeout_ms = a->timeout_ms,
				     .boot_timeout_ms = a->boot_timeout_ms,
				     .out = a->out,
				     .offline = a->guest.offline,
				     .accel = ACCEL_TCG,
				     .record = true};
	r.progress = progress_start(a->quiet, &events);
	guest_catch_signals();
	if (run_begin(&r.run, &events, &run, &err) < 0) {
		code = cmd_fail(EXIT_LOST, &err);
	} else {
		code = execute(&r, run, argv);
		run_end(run);
	}
	progress_stop(r.progress); /* NULL: gone already */
	if (code == EXIT_MET)
		code = conclude(&r);
	return run_cancelled() ? EXIT_INTERRUPTED : code;
}

int cmd_record(int argc, char **argv)
{
	struct record_args a = {0};
	int first, code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &first);

	if (code < 0)
		code = record(&a, argv, first, argc - first);
	guest_args_deinit(&a.guest);
	return code;
}
