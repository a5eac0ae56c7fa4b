#include <signal.h>
#include <string.h>

#include "lab/cmd-guest.h"
#include "lab/run/guest.h"
#include "lab/run/run.h"

enum { DEFAULT_MEMORY = 256 << 20 };

struct shell_args {
	struct guest_args guest;
	struct strv packages;
	uint64_t memory;
	const char *connect, *out;
	bool no_kaslr;
};

#define ARG(member) offsetof(struct shell_args, member)

static const struct opt options[] = {
	GUEST_OPTIONS(struct shell_args),
	{'p', "package", "P[,P...]", OPT_STRV, ARG(packages),
	 "packages for the guest, of those that are pinned (bash, gdb, ...)"},
	{'m', "memory", "SIZE", OPT_BYTES, ARG(memory), "of the guest (default: 256M)"},
	{0, "no-kaslr", NULL, OPT_FLAG, ARG(no_kaslr), "the kernel stays where it was linked"},
	{'c', "connect", "URI", OPT_STRING, ARG(connect),
	 "a libvirt daemon of this host: qemu:///session, qemu:///system\n(default: libvirt's "
	 "embedded driver; no daemon)"},
	{'o', "out", "DIR", OPT_STRING, ARG(out),
	 "keep console.log, dmesg.log and the output in DIR (default: nothing\nis kept, but for a "
	 "guest that crashes)"},
};

static const struct cmd_usage usage = {
	"shell", "[options] [-- COMMAND [ARG...]]",
	"A guest to work in: a root shell, or COMMAND, in a machine that ends with it. On a\n"
	"terminal it has one of its own, and Ctrl-] twice ends a guest that hangs; with a pipe\n"
	"bytes go in and out as they are. 'lab gdb' attaches to it meanwhile. Exit code: the\n"
	"command's, 128+n for a signal; 2 usage, 3 the machine was lost, 130 interrupted."};

/* The best shell there is: bash when that package was asked for. */
static char *const default_command[] = {
	"/bin/sh", "-c",
	"command -v bash >/dev/null && exec bash --login; exec /usr/bin/busybox sh -l", NULL};

struct display {
	struct terminal *terminal;
	const struct kernel *kernel;
	struct progress *progress;
};

/* While its terminal is raw a line has to be ended by hand. */
static void on_phase(void *data, const char *what, const char *detail)
{
	struct display *d = data;
	const struct kernel *k = d->kernel;

	if (!d->terminal->tty)
		return;
	progress_stop(take_ptr(d->progress));
	if (str_eq(what, "booting"))
		fprintf(stderr, "%s %s boots, %s\n", k->name, arch_name(k->arch), detail);
	else if (str_eq(what, "started"))
		fprintf(stderr, "machine %s; Ctrl-] twice ends it\n", detail);
	else if (str_eq(what, "silent"))
		fprintf(stderr,
			"\r\nlab: no sign of life from the guest: Ctrl-] twice ends it, 'lab gdb "
			"%s' elsewhere looks at it\r\n",
			detail);
}

static void on_fetch(void *data, const char *what, uint64_t done, uint64_t total)
{
	struct display *d = data;

	if (d->progress)
		progress_fetch(d->progress, what, done, total);
}

static int check(const struct shell_args *a, struct guest_options *o, struct err *err)
{
	uint64_t least = (uint64_t)SCENARIO_MIN_MEMORY_MIB << 20;
	uint64_t most = (uint64_t)SCENARIO_MAX_MEMORY_MIB << 20;
	int r = guest_accel(a->guest.accel, &o->accel, err);

	if (r == 0 && a->connect && virt_check_uri(a->connect, err) < 0)
		r = err_wrap(err, "--connect");
	if (r == 0 && (a->memory < least || a->memory > most))
		r = err_set(err, EINVAL, "--memory: a size from %dM to %dM",
			    SCENARIO_MIN_MEMORY_MIB, SCENARIO_MAX_MEMORY_MIB);
	return r;
}

/* How the guest went, as an exit code. */
static int judge(const struct outcome *o, const struct terminal *t)
{
	struct err err = {0};

	if (o->ending == END_EXITED)
		return o->signal ? 128 + o->signal : o->exit_code;
	if (run_cancelled() || t->ended)
		return EXIT_INTERRUPTED;
	if (t->deaf)
		return 128 + SIGPIPE;
	err_set(&err, EIO, "the guest is lost: %s", o->detail ? o->detail : ending_name(o->ending));
	return cmd_fail(EXIT_LOST, &err);
}

static void environment(const struct kernel *k, const struct terminal *t, struct strv *env)
{
	const char *term = getenv("TERM");

	if (!t->tty)
		return;
	strv_addf(env, "TERM=%s", term && *term ? term : "linux");
	strv_addf(env, "PS1=%s %s:\\w# ", k->name, arch_name(k->arch));
}

static int run(const struct shell_args *a, struct guest_options *o, struct terminal *t)
{
	auto_cleanup(kernel) kernel = {0};
	auto_cleanup(outcome) outcome = {0};
	auto_cleanup(strv) env = {0};
	auto_free char *kept = NULL;
	struct display d = {.terminal = t, .kernel = &kernel};
	struct run_events events;
	struct kernel_want want;
	struct err err = {0};
	int r, code;

	d.progress = progress_start(!t->tty, &events);
	want = guest_want(&a->guest, d.progress);
	guest_catch_signals();
	r = guest_kernel(&a->guest, &want, &kernel, &err);
	if (r == 0) {
		environment(&kernel, t, &env);
		o->kernel = &kernel;
		o->packages = &a->packages;
		o->memory_mib = a->memory >> 20;
		o->env = env.items;
		o->terminal = t;
		o->fetch = on_fetch;
		o->phase = on_phase;
		o->data = &d;
		o->cancel = run_cancel_flag();
		r = guest_run(o, &outcome, &kept, &err);
	}
	progress_stop(d.progress);
	terminal_drain(t, run_cancel_flag());
	terminal_restore(t);
	if (r < 0)
		return cmd_fail(run_cancelled() ? EXIT_INTERRUPTED
				: r == -EEXIST	? EXIT_USAGE
						: cmd_exit_code(r),
				&err);
	code = judge(&outcome, t);
	if (kept)
		fprintf(stderr, "lab: its memory and its console are in %s/\n", kept);
	return run_cancelled() ? EXIT_INTERRUPTED : code;
}

int cmd_shell(int argc, char **argv)
{
	struct shell_args a = {.memory = DEFAULT_MEMORY};
	struct guest_options o = {0};
	struct terminal terminal;
	struct err err = {0};
	int operands,
		code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &operands);

	if (code >= 0)
		goto out;
	if (check(&a, &o, &err) < 0) {
		code = cmd_fail(EXIT_USAGE, &err);
		goto out;
	}
	o.connect = a.connect;
	o.out = a.out;
	o.offline = a.guest.offline;
	o.nokaslr = a.no_kaslr;
	o.argv = operands < argc ? argv + operands : default_command;
	terminal_open(&terminal);
	code = run(&a, &o, &terminal);
	terminal_close(&terminal);
out:
	guest_args_deinit(&a.guest);
	strv_deinit(&a.packages);
	return code;
}
