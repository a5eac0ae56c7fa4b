#include "lab/debug/debug.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/kernel/elf.h"

enum {
	NAMES_MAX = 64 << 20, /* of a vmlinux's .debug_str */
	END_MS = 2000,	      /* for gdb to end when it is asked to */
	LOOK_US = 20000,
};

/* --- break points --- */

/* Whether the debug information has the name: of an inlined function, which is no symbol. */
static bool is_in_debug_info(const char *vmlinux, const char *name)
{
	auto_cleanup(buf) names = {0}, whole = {0};

	buf_add(&whole, "", 1);
	buf_add(&whole, name, strlen(name) + 1);
	return elf_file_section(vmlinux, ".debug_str", NAMES_MAX, &names, NULL) == 0 &&
	       memmem(names.data, names.len, whole.data, whole.len);
}

int debug_check_breaks(const struct symbols *symbols, const char *kernel, char *const *breaks,
		       struct strv *notes, struct err *err)
{
	for (size_t i = 0; breaks && breaks[i]; i++) {
		auto_free char *name = xstrndup(breaks[i], strcspn(breaks[i], ":")), *near = NULL;
		int n;

		if (*name == '*' || str_ends(name, ".c") || str_ends(name, ".h"))
			continue; /* an address or a line: gdb knows whether there is one */
		if (!*name)
			return err_set(err, EINVAL, "--break '%.100s': no function is named",
				       breaks[i]);
		n = symbols_count(symbols, name, &near, err);
		if (n < 0)
			return n;
		if (n > 1)
			strv_addf(notes, "%.100s: %d functions of %s have that name; each stops",
				  name, n, kernel);
		if (n ||
		    (symbols->kind == SYMBOLS_FULL && is_in_debug_info(symbols->vmlinux, name)))
			continue;
		return err_set(err, EINVAL, "no function '%.100s' in %s%s%s%s", name, kernel,
			       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
	}
	return 0;
}

/* --- gdb beside the run --- */

struct debug {
	const struct kernel *kernel;
	const struct symbols *symbols;
	const struct debug_options *options;
	char *gdb;
	pid_t pid; /* -1: not started, or reaped */
	int status;
	bool started, ready, left;
	bool has_terminal;
	struct termios terminal;
	struct sigaction interrupt, quit; /* as they were */
};

static void ignore_keys(struct debug *d)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGINT, &ignore, &d->interrupt);
	sigaction(SIGQUIT, &ignore, &d->quit);
}

/* gdb ended: keys and terminal are ours again. */
static void take_back(struct debug *d)
{
	sigset_t ttou, old;

	if (!d->options->how.batch) {
		sigaction(SIGINT, &d->interrupt, NULL);
		sigaction(SIGQUIT, &d->quit, NULL);
	}
	if (!d->has_terminal)
		return;
	/* In the background that would stop us; then the terminal is somebody else's anyway. */
	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	sigprocmask(SIG_BLOCK, &ttou, &old);
	if (tcgetpgrp(STDIN_FILENO) == getpgrp())
		tcsetattr(STDIN_FILENO, TCSADRAIN, &d->terminal);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static int start_gdb(void *data, const char *address, struct err *err)
{
	struct debug *d = data;
	struct gdb_how how = d->options->how;
	auto_free char *what = str_printf("%s %s", d->kernel->name, arch_name(d->kernel->arch));
	auto_cleanup(strv) argv = {0};
	int r;

	if (d->options->listen)
		return 0;
	how.address = address;
	how.kernel = what;
	r = gdb_command(d->gdb, d->kernel->arch, d->symbols, &how, &argv, err);
	if (r < 0)
		return r;
	if (d->options->foreground)
		d->options->foreground(d->options->data);
	d->has_terminal = tcgetattr(STDIN_FILENO, &d->terminal) == 0;
	if (!how.batch)
		ignore_keys(d);
	d->pid = proc_spawn(argv.items, how.batch ? -1 : STDIN_FILENO, -1, -1, err);
	d->started = d->pid > 0;
	if (d->started)
		return 0;
	take_back(d);
	return d->pid;
}

static int on_ready(void *data, const char *address, struct err *err)
{
	struct debug *d = data;

	(void)err;
	d->ready = true;
	if (d->options->listen && d->options->listening)
		d->options->listening(d->options->data, address);
	return 0;
}

static bool has_ended(struct debug *d)
{
	int status;

	if (d->pid > 0 && waitpid(d->pid, &status, WNOHANG) == d->pid) {
		d->pid = -1;
		d->status = proc_exit_code(status);
		take_back(d);
	}
	return d->started && d->pid < 0;
}

static bool is_over(void *data)
{
	struct debug *d = data;

	d->left = d->left || has_ended(d);
	return d->left;
}

int debug_create(const struct kernel *kernel, const struct symbols *symbols,
		 const struct debug_options *options, struct debug **ret, struct job_debug *job,
		 struct err *err)
{
	char *gdb = options->listen ? NULL : gdb_find(kernel->arch, &options->how, err);
	struct debug *d;

	if (!gdb && !options->listen)
		return -err->code;
	d = xcalloc(1, sizeof(*d));
	*d = (struct debug){
		.kernel = kernel, .symbols = symbols, .options = options, .gdb = gdb, .pid = -1};
	*job = (struct job_debug){.wait_at_start = options->wait_at_start,
				  .hold = true,
				  .listen = options->listen,
				  .starting = start_gdb,
				  .ready = on_ready,
				  .over = is_over,
				  .data = d};
	*ret = d;
	return 0;
}

static void end_gdb(struct debug *d)
{
	int64_t limit = io_now_ms() + END_MS;

	kill(d->pid, SIGTERM);
	while (!has_ended(d)) {
		if (io_now_ms() > limit)
			kill(d->pid, SIGKILL);
		usleep(LOOK_US);
	}
}

enum debug_end debug_finish(struct debug *d, int *exit_code)
{
	while (!has_ended(d) && d->started) {
		if (!d->ready || *d->options->cancel)
			end_gdb(d);
		else
			usleep(LOOK_US);
	}
	*exit_code = d->status;
	if (d->left)
		return DEBUG_LEFT;
	return d->started || d->ready ? DEBUG_GUEST_FIRST : DEBUG_NOT_STARTED;
}

void debug_destroy(struct debug *d)
{
	if (!d)
		return;
	if (d->pid > 0)
		end_gdb(d);
	free(d->gdb);
	free(d);
}
