#include <inttypes.h>
#include <stdio.h>

#include "lab/cmd-debugger.h"
#include "lab/debug/debug.h"
#include "lab/machine/virt-root.h"
#include "lab/progress.h"
#include "lab/replay/replay.h"

struct replay_args {
	struct debugger_args gdb;
	int64_t to;
	bool check, offline, quiet;
};

#define ARG(member) offsetof(struct replay_args, member)

static const struct opt options[] = {
	{0, "check", NULL, OPT_FLAG, ARG(check),
	 "no gdb: run it to its end and compare (default without a terminal)"},
	{0, "to", "N", OPT_INT64, ARG(to),
	 "gdb begins N instructions after the start of the machine (default:\nnear the end, ten "
	 "thousand before the last)"},
	DEBUGGER_OPTIONS(struct replay_args, "stop there, in both directions"),
	DEBUGGER_LISTEN_OPTION(struct replay_args),
	{0, "offline", NULL, OPT_FLAG, ARG(offline), "fetch nothing"},
	{'q', "quiet", NULL, OPT_FLAG, ARG(quiet), "no progress"},
};

static const struct cmd_usage usage = {
	"replay", "[options] CELL|DIR",
	"Run a cell that lab record made again: the same instructions, with gdb attached near its\n"
	"end, where reverse-continue, reverse-step and reverse-finish go back from. CELL is one "
	"of\n"
	"the newest run, DIR its folder. Exit code: 0 the same as recorded (--check), or gdb's; 1\n"
	"it differs, or a script failed; 2 usage, no such recording, or one that cannot be\n"
	"replayed here; 3 the machine was lost; 130 interrupted."};

struct session {
	const struct replay_args *args;
	struct debugger debugger;
	struct recording rec;
	struct replay_want want;
	struct progress *progress;
	struct virt_root root;
	struct kernel kernel;
	struct symbols symbols;
	struct debug *debug;
	struct job_debug job;
	struct debug_options how;
};

static void session_deinit(struct session *s)
{
	debug_destroy(s->debug);
	symbols_deinit(&s->symbols);
	kernel_deinit(&s->kernel);
	virt_root_close(&s->root);
	recording_deinit(&s->rec);
	debugger_deinit(&s->debugger);
}
DEFINE_CLEANUP(session, session_deinit)

static void on_progress(void *data, int64_t done, int64_t total)
{
	struct session *s = data;

	progress_build(s->progress, "replaying (million instructions)", done / 1000000,
		       total / 1000000 + 1);
}

static void on_foreground(void *data)
{
	struct session *s = data;

	progress_silence(s->progress);
}

static void on_listening(void *data, const char *address)
{
	struct session *s = data;

	progress_silence(s->progress);
	debugger_say_how(&s->kernel, &s->symbols, "stands where it was recorded", address);
	printf("Ctrl-C ends it.\n");
	fflush(stdout);
}

/* What a failure of a replay exits with. */
static int fail(struct session *s, int r, const struct err *err)
{
	progress_silence(s->progress);
	if (*s->want.cancel)
		return EXIT_INTERRUPTED;
	return cmd_fail(r == -ENOENT || r == -EINVAL || r == -ESTALE || r == -ENODATA ||
					r == -EBADMSG || r == -EADDRINUSE || r == -ENOTSUP
				? EXIT_USAGE
				: EXIT_LOST,
			err);
}

/* --- without gdb --- */

static int print_report(const struct recording *rec, const struct replay_report *report)
{
	bool same = report->icount == rec->icount && report->differs < 0;

	printf("%s: %" PRId64 " instructions, %" PRId64 " bytes of console",
	       same ? "the same" : "not the same", report->icount, report->serial_bytes);
	if (report->icount != rec->icount)
		printf("; recorded: %" PRId64 " instructions", rec->icount);
	if (report->differs >= 0)
		printf("; the console differs from byte %" PRId64 " on", report->differs);
	putchar('\n');
	return same ? EXIT_MET : EXIT_UNMET;
}

static int check(struct session *s)
{
	struct replay_report report;
	struct err err = {0};
	int r = replay_run(&s->rec, &s->want, false, &report, &err);

	if (r < 0)
		return fail(s, r, &err);
	progress_silence(s->progress);
	return print_report(&s->rec, &report);
}

/* --- with gdb --- */

static int find_symbols(struct session *s, struct err *err)
{
	const struct replay_args *a = s->args;
	struct kernel_want want = {.offline = a->offline,
				   .no_build = true,
				   .progress = progress_fetch,
				   .data = s->progress,
				   .cancel = s->want.cancel};
	int r;

	r = kernel_resolve(s->rec.kernel, s->rec.arch, &want, &s->kernel, err);
	if (r < 0)
		return r;
	if (!s->kernel.sha256 || !str_eq(s->kernel.sha256, s->rec.image_sha256))
		return err_set(err, ESTALE, "kernel %s is not the one that was recorded any more",
			       s->rec.kernel);
	r = debug_create(&s->kernel, &s->symbols, &s->how, &s->debug, &s->job, err);
	if (r == 0)
		r = debugger_symbols(&s->debugger, &s->kernel, &want, a->quiet, &s->symbols, err);
	return r;
}

static int debug(struct session *s)
{
	int64_t to = s->args->to < 0 ? s->rec.icount : s->args->to;
	struct replay_report report;
	struct err err = {0};
	int gdb_code = 0, r;

	if (to > s->rec.icount)
		r = err_set(&err, EINVAL, "--to %" PRId64 ": it has %" PRId64 " instructions", to,
			    s->rec.icount);
	else
		r = find_symbols(s, &err);
	if (r == 0)
		r = replay_run(&s->rec, &s->want, true, &report, &err);
	if (r < 0)
		return fail(s, r, &err);
	if (report.icount != s->rec.icount || report.differs >= 0)
		print_report(&s->rec, &report);
	r = replay_debug(&s->rec, &s->want, &s->kernel, to, &s->job, &err);
	debug_finish(s->debug, &gdb_code);
	if (r < 0)
		return fail(s, r, &err);
	return gdb_code > 128 ? EXIT_LOST : gdb_code ? EXIT_UNMET : EXIT_MET;
}

static bool wants_gdb(const struct replay_args *a)
{
	const struct debugger_args *g = &a->gdb;

	return g->breaks.n || g->scripts.n || g->program || g->pwndbg || g->listen || a->to >= 0 ||
	       (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
}

static int replay(const struct replay_args *a, const char *cell)
{
	auto_cleanup(session) s = {.args = a, .root = {.lock = -1}};
	struct run_events events;
	struct err err = {0};
	int code, r = debugger_parse(&a->gdb, &s.debugger, &err);

	if (r == 0)
		r = recording_load(cell, &s.rec, &err);
	if (r < 0)
		return cmd_fail(r == -ENOMEM ? EXIT_LOST : EXIT_USAGE, &err);
	s.want = (struct replay_want){
		.cancel = cmd_catch_signals(), .progress = on_progress, .data = &s};
	r = virt_root_open(&s.root, &err);
	if (r < 0)
		return cmd_fail(EXIT_LOST, &err);
	s.want.run_dir = s.root.dir;
	s.how = (struct debug_options){.how = s.debugger.how,
				       .listen = s.debugger.listen,
				       .cancel = s.want.cancel,
				       .data = &s,
				       .foreground = on_foreground,
				       .listening = on_listening};
	s.progress = progress_start(a->quiet, &events);
	code = wants_gdb(a) && !a->check ? debug(&s) : check(&s);
	progress_stop(s.progress);
	return code;
}

int cmd_replay(int argc, char **argv)
{
	struct replay_args a = {.to = -1};
	int first, code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &first);

	if (code < 0 && argc - first != 1)
		code = cmd_misused(&usage, "name one recorded cell");
	if (code < 0)
		code = replay(&a, argv[first]);
	debugger_args_deinit(&a.gdb);
	return code;
}
