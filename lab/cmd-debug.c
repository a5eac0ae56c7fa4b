#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lab/cmd-guest.h"
#include "lab/debug/debug.h"
#include "lab/run/report.h"
#include "lab/run/run.h"

struct debug_args {
	struct guest_args guest;
	struct strv breaks, scripts;
	const char *program, *listen, *symbols, *vmlinux, *out, *connect;
	int64_t timeout_ms, boot_timeout_ms;
	bool wait_at_start, batch, pwndbg, no_kaslr, quiet;
};

#define ARG(member) offsetof(struct debug_args, member)

static const struct opt options[] = {
	GUEST_OPTIONS(struct debug_args),
	{'b', "break", "FUNC[:COND]", OPT_APPEND, ARG(breaks),
	 "stop there, from when the scenario's command runs on, if COND holds\n(a hardware break "
	 "point; may be repeated)"},
	{0, "wait-at-start", NULL, OPT_FLAG, ARG(wait_at_start),
	 "stop the machine at its first instruction, too"},
	{'x', "script", "FILE", OPT_APPEND, ARG(scripts),
	 "gdb's commands in FILE, once it is attached (may be repeated)"},
	{0, "batch", NULL, OPT_FLAG, ARG(batch),
	 "end after the scripts; the first command that fails ends them: exit\ncode 1"},
	{0, "pwndbg", NULL, OPT_FLAG, ARG(pwndbg), "with pwndbg, where that is installed"},
	{0, "gdb", "PROGRAM", OPT_STRING, ARG(program),
	 "another gdb (default: gdb, or gdb-multiarch for foreign guests)"},
	{0, "listen", "ADDRESS", OPT_STRING, ARG(listen),
	 "start no gdb; say how to attach one to ADDRESS: unix:PATH, or\n[HOST:]PORT (of loopback "
	 "unless HOST is said)"},
	{0, "no-kaslr", NULL, OPT_FLAG, ARG(no_kaslr),
	 "the kernel stays where it was linked (symbols are right without, too)"},
	{0, "symbols", "FROM", OPT_STRING, ARG(symbols),
	 "auto, package (types and lines: the pin's debug package, fetched when\nneeded, or the "
	 "vmlinux of the build), or image (names, and types\nwhere the kernel has BTF)"},
	{0, "vmlinux", "FILE", OPT_STRING, ARG(vmlinux),
	 "symbols from FILE, which has to be of the kernel's build"},
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

static int parse_symbols(const char *option, enum symbols_want *ret, struct err *err)
{
	if (!option || str_eq(option, "auto"))
		*ret = SYMBOLS_AUTO;
	else if (str_eq(option, "package"))
		*ret = SYMBOLS_PACKAGE;
	else if (str_eq(option, "image"))
		*ret = SYMBOLS_IMAGE;
	else
		return err_set(err, EINVAL, "--symbols: '%.40s' is not auto, package or image",
			       option);
	return 0;
}

/* unix:PATH as an absolute path; the rest is the relay's to understand. */
static int parse_listen(const char *option, char **ret, struct err *err)
{
	const char *path = option + strlen("unix:");
	char here[PATH_MAX];

	if (!str_starts(option, "unix:")) {
		*ret = xstrdup(option);
		return 0;
	}
	if (!*path)
		return err_set(err, EINVAL, "--listen %s: no path", option);
	if (*path != '/' && !getcwd(here, sizeof(here)))
		return err_errno(err, "find the present folder");
	*ret = *path == '/' ? xstrdup(path) : path_join(here, path);
	return 0;
}

/* What cannot go together, said before anything is looked for. */
static int check_args(const struct debug_args *a, struct err *err)
{
	if (a->batch && !a->scripts.n)
		return err_set(err, EINVAL, "--batch: no -x SCRIPT that says what to do");
	if (a->listen && (a->batch || a->scripts.n || a->breaks.n || a->program || a->pwndbg))
		return err_set(err, EINVAL,
			       "--listen starts no gdb: give its options to the one that attaches");
	if (a->program && a->pwndbg)
		return err_set(err, EINVAL, "--gdb and --pwndbg: which one?");
	if (a->batch && a->pwndbg)
		return err_set(err, EINVAL, "--batch and --pwndbg: pwndbg is for a person");
	for (size_t i = 0; i < a->scripts.n; i++)
		if (access(a->scripts.items[i], R_OK) < 0)
			return err_errno(err, "-x %.300s", a->scripts.items[i]);
	return 0;
}

/* Everything that one session is made of. */
struct session {
	struct debug_args *args;
	struct progress *progress;
	struct run_options run;
	enum symbols_want from;
	struct kernel kernel;
	struct symbols symbols;
	struct scenario_set scenarios;
	struct plan plan;
	struct job_debug job;
	struct debug_options how;
	struct debug *debug;
	char *listen; /* an absolute path, or [HOST:]PORT; NULL: gdb is started here */
	char *dir;    /* the run's; NULL: it did not come to that */
};

static void session_deinit(struct session *s)
{
	debug_destroy(s->debug);
	plan_deinit(&s->plan);
	scenario_set_deinit(&s->scenarios);
	symbols_deinit(&s->symbols);
	kernel_deinit(&s->kernel);
	free(s->listen);
	free(s->dir);
}
DEFINE_CLEANUP(session, session_deinit)

static void on_foreground(void *data)
{
	struct session *s = data;

	progress_silence(s->progress);
	if (!s->args->quiet && !s->args->batch)
		fprintf(stderr, "booting %s %s; gdb attaches when %s is about to run\n",
			s->kernel.name, arch_name(s->kernel.arch), s->scenarios.items[0].name);
}

/* Whether HOST:PORT can be reached from elsewhere. */
static bool is_beyond_loopback(const char *address)
{
	return address[0] != '/' && !str_starts(address, "127.") &&
	       !str_starts(address, "localhost:") && !str_starts(address, "[::1]:");
}

static void on_listening(void *data, const char *address)
{
	struct session *s = data;

	progress_silence(s->progress);
	printf("%s %s waits before the command of %s. To attach:\n"
	       "  %s %s -ex 'target remote %s'\n",
	       s->kernel.name, arch_name(s->kernel.arch), s->scenarios.items[0].name,
	       s->kernel.arch == arch_native() ? "gdb" : "gdb-multiarch", s->symbols.vmlinux,
	       address);
	if (is_beyond_loopback(address))
		printf("Whoever reaches %s from another host can attach, too.\n", address);
	printf("Ctrl-C ends the guest.\n");
	fflush(stdout);
}

static int check_breaks(const struct session *s, struct err *err)
{
	auto_free char *what = str_printf("%s %s", s->kernel.name, arch_name(s->kernel.arch));
	auto_cleanup(strv) notes = {0};
	int r = debug_check_breaks(&s->symbols, what, s->args->breaks.items, &notes, err);

	for (size_t i = 0; i < notes.n; i++)
		fprintf(stderr, "lab: --break %s\n", notes.items[i]);
	return r;
}

/* Kernel, plan, gdb and symbols: what is cheap to find missing comes first. */
static int prepare(struct session *s, struct err *err)
{
	const struct debug_args *a = s->args;
	struct kernel_want want = guest_want(&a->guest, s->progress);
	auto_free char *why = NULL;
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
		r = symbols_prepare(&s->kernel, s->from, a->vmlinux, &want, &s->symbols, &why, err);
	if (r < 0)
		return r;
	if (why && !a->quiet)
		fprintf(stderr, "lab: %s: %s\n", s->symbols.what, why);
	return check_breaks(s, err);
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
	return code == EXIT_MET && end == DEBUG_GUEST_FIRST && s->args->batch && gdb_code
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
	int r = check_args(a, err);

	if (r == 0)
		r = parse_symbols(a->symbols, &s->from, err);
	if (r == 0)
		r = guest_accel(a->guest.accel, &s->run.accel, err);
	if (r == 0 && a->connect && virt_check_uri(a->connect, err) < 0)
		r = err_wrap(err, "--connect");
	if (r == 0 && a->listen)
		r = parse_listen(a->listen, &s->listen, err);
	s->run.jobs = 1;
	s->run.timeout_ms = a->timeout_ms;
	s->run.boot_timeout_ms = a->boot_timeout_ms;
	s->run.out = a->out;
	s->run.connect = a->connect;
	s->run.offline = a->guest.offline;
	s->run.debug = &s->job;
	s->how = (struct debug_options){
		.how = {.program = a->program,
			.pwndbg = a->pwndbg,
			.batch = a->batch,
			.scripts = a->scripts.items,
			.breaks = a->breaks.items},
		.wait_at_start = a->wait_at_start,
		.nokaslr = a->no_kaslr,
		.listen = s->listen,
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
	strv_deinit(&a.breaks);
	strv_deinit(&a.scripts);
	return code;
}
