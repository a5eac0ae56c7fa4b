#include <stdio.h>

#include "lab/cmd-debugger.h"
#include "lab/cmd-guest.h"
#include "lab/debug/debug.h"
#include "lab/run/report.h"
#include "lab/run/run.h"

struct debug_args {
	struct guest_args guest;
	struct debugger_args gdb;
	const char *out, *connect;
	int64_t timeout_ms, boot_timeout_ms;
	bool wait_at_start, no_kaslr, quiet;
};

#define ARG(member) offsetof(struct debug_args, member)

static const struct opt options[] = {
	GUEST_OPTIONS(struct debug_args),
	DEBUGGER_OPTIONS(struct debug_args, "stop there, from when the scenario's command runs on"),
	DEBUGGER_LISTEN_OPTION(struct debug_args),
	{0, "wait-at-start", NULL, OPT_FLAG, ARG(wait_at_start),
	 "stop the machine at its first instruction, too"},
	{0, "no-kaslr", NULL, OPT_FLAG, ARG(no_kaslr),
	 "the kernel stays where it was linked (symbols are right without, too)"},
	{'t', "timeout", "TIME", OPT_MS, ARG(timeout_ms),
	 "of the scenario, instead of its own; time with a debugger attached\ndoes not count"},
	{0, "boot-timeout", "TIME", OPT_MS, ARG(boot_timeout_ms),
	 "for the guest to boot, after which it is lost"},
	{'o', "out", "DIR", OPT_STRING, ARG(out),
	 "the run's folder (default: a new one below " RESULTS_DIR "/)"},
	{'c', "connect", "URI", OPT_STRING, ARG(connect),
	 "a libvirt daemon of this host (default: libvirt's embedded driver)"},
	{'q', "quiet", NULL, OPT_FLAG, ARG(quiet), "no progress"},
};

static const struct cmd_usage usage = {
	"debug", "[options] SCENARIO",
	"Run one scenario on one kernel, stopped just before its command, with gdb attached to\n"
	"the guest's kernel: symbols, modules and source are where KASLR put them. The guest\n"
	"ends when gdb does. Exit code: 0, or as of lab run when the scenario came to its end;\n"
	"1 a script failed, 2 usage or a bad file, 3 the machine was lost, 130 interrupted."};

/* Everything that one session is made of. */
struct session {
	struct debug_args *args;
	struct progress *progress;
	struct run_options run;
	struct debugger debugger;
	struct kernel kernel;
	struct symbols symbols;
	struct scenario_set scenarios;
	struct plan plan;
	struct job_debug job;
	struct debug_options how;
	struct debug *debug;
	char *dir; /* the run's; NULL: it did not come to that */
};

static void session_deinit(struct session *s)
{
	debug_destroy(s->debug);
	plan_deinit(&s->plan);
	scenario_set_deinit(&s->scenarios);
	symbols_deinit(&s->symbols);
	kernel_deinit(&s->kernel);
	debugger_deinit(&s->debugger);
	free(s->dir);
}
DEFINE_CLEANUP(session, session_deinit)

static void on_foreground(void *data)
{
	struct session *s = data;

	progress_silence(s->progress);
	if (!s->args->quiet && !s->args->gdb.batch)
		fprintf(stderr, "booting %s %s; gdb attaches when %s is about to run\n",
			s->kernel.name, arch_name(s->kernel.arch), s->scenarios.items[0].name);
}

static void on_listening(void *data, const char *address)
{
	struct session *s = data;
	auto_free char *about =
		str_printf("waits before the command of %s", s->scenarios.items[0].name);

	progress_silence(s->progress);
	debugger_say_how(&s->kernel, &s->symbols, about, address);
	printf("Ctrl-C ends the guest.\n");
	fflush(stdout);
}

/* Kernel, plan, gdb and symbols: what is cheap to find missing comes first. */
static int prepare(struct session *s, struct err *err)
{
	const struct debug_args *a = s->args;
	struct kernel_want want = guest_want(&a->guest, s->progress);
	int r = guest_kernel(&a->guest, &want, &s->kernel, err);

	if (r < 0)
		return r;
	plan_build(&s->kernel, 1, s->scenarios.items, 1, 1, &s->plan);
	if (s->plan.cells[0].skip)
		return err_set(err, EINVAL, "%s does not run on %s %s: %s",
			       s->scenarios.items[0].name, s->kernel.name,
			       arch_name(s->kernel.arch), s->plan.cells[0].skip);
	r = debug_create(&s->kernel, &s->symbols, &s->how, &s->debug, &s->job, err);
	if (r == 0)
		r = debugger_symbols(&s->debugger, &s->kernel, &want, a->quiet, &s->symbols, err);
	return r;
}

/* What came of it: prints, and returns the exit code. */
static int conclude(const struct session *s, enum debug_end end, int gdb_code)
{
	auto_cleanup(run_record) record = {0};
	struct totals totals;
	struct err err = {0};
	int code;

	if (!s->dir)
		return EXIT_LOST;
	if (end == DEBUG_LEFT) {
		printf("evidence: %s/%s/\n", s->dir, s->plan.cells[0].dir);
		if (gdb_code == EXIT_INTERRUPTED)
			return EXIT_INTERRUPTED;
		if (gdb_code > 128)
			return cmd_fail(EXIT_LOST, &(struct err){.msg = "gdb was killed"});
		return gdb_code ? EXIT_UNMET : EXIT_MET;
	}
	if (run_record_load(s->dir, &record, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
	if (record.n && str_eq(record.results[0].ending, "not started") &&
	    record.results[0].reasons.n) {
		err_set(&err, EIO, "%s", record.results[0].reasons.items[0]);
		return cmd_fail(EXIT_LOST, &err);
	}
	cmd_print_record(&record, false);
	report_count(&record, &totals);
	code = report_exit_code(&totals);
	return code == EXIT_MET && end == DEBUG_GUEST_FIRST && s->args->gdb.batch && gdb_code
		       ? EXIT_UNMET
		       : code;
}

static int run_session(struct session *s, struct run *run, char **argv)
{
	struct err err = {0};
	enum debug_end end;
	int r = prepare(s, &err), gdb_code = 0;

	if (r < 0) {
		progress_silence(s->progress);
		return cmd_fail(r == -EBADMSG || r == -ENODATA ? EXIT_USAGE : cmd_exit_code(r),
				&err);
	}
	r = run_execute(run, &s->plan, argv, &s->dir, &err);
	end = debug_finish(s->debug, &gdb_code);
	progress_silence(s->progress);
	if (r < 0)
		return cmd_fail(r == -EEXIST || r == -EADDRINUSE || r == -EINVAL ? EXIT_USAGE
										 : EXIT_LOST,
				&err);
	return run_cancelled() ? EXIT_INTERRUPTED : conclude(s, end, gdb_code);
}

/* What the options come to. */
static int fill_options(struct session *s, struct err *err)
{
	const struct debug_args *a = s->args;
	int r = debugger_parse(&a->gdb, &s->debugger, err);

	if (r == 0)
		r = guest_accel(a->guest.accel, &s->run.accel, err);
	if (r == 0 && a->connect && virt_check_uri(a->connect, err) < 0)
		r = err_wrap(err, "--connect");
	s->run.jobs = 1;
	s->run.timeout_ms = a->timeout_ms;
	s->run.boot_timeout_ms = a->boot_timeout_ms;
	s->run.out = a->out;
	s->run.connect = a->connect;
	s->run.offline = a->guest.offline;
	s->run.debug = &s->job;
	s->run.nokaslr = a->no_kaslr;
	s->run.dump_on = DUMP_ON_DEFAULT;
	s->run.max_dump_bytes = DUMP_BYTES;
	s->how = (struct debug_options){
		.how = s->debugger.how,
		.wait_at_start = a->wait_at_start,
		.listen = s->debugger.listen,
		.cancel = run_cancel_flag(),
		.data = s,
		.foreground = on_foreground,
		.listening = on_listening,
	};
	return r;
}

static int debug_scenario(struct debug_args *a, char **argv, int first, int n)
{
	auto_cleanup(session) s = {.args = a};
	struct run_events events;
	struct run *run = NULL;
	struct err err = {0};
	int code = cmd_load_scenarios("debug", argv + first, n, NULL, &s.scenarios);

	if (code >= 0)
		return code;
	if (s.scenarios.n > 1)
		err_set(&err, EINVAL, "%zu scenarios: lab debug takes one (%s is the first)",
			s.scenarios.n, s.scenarios.items[0].name);
	if (err.code || fill_options(&s, &err) < 0)
		return cmd_fail(EXIT_USAGE, &err);
	s.progress = progress_start(a->quiet, &events);
	guest_catch_signals();
	if (run_begin(&s.run, &events, &run, &err) < 0) {
		code = cmd_fail(EXIT_LOST, &err);
	} else {
		code = run_session(&s, run, argv);
		run_end(run);
	}
	progress_stop(s.progress);
	return run_cancelled() ? EXIT_INTERRUPTED : code;
}

int cmd_debug(int argc, char **argv)
{
	struct debug_args a = {0};
	int first, code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &first);

	if (code < 0)
		code = debug_scenario(&a, argv, first, argc - first);
	guest_args_deinit(&a.guest);
	debugger_args_deinit(&a.gdb);
	return code;
}
