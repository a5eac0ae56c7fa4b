#include "lab/machine/machine.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>

#include "jail/base/io.h"
#include "lab/machine/attach.h"
#include "lab/machine/channel.h"
#include "lab/machine/console-file.h"
#include "lab/machine/evidence.h"
#include "lab/machine/presence.h"
#include "lab/machine/terminal.h"

enum {
	BOOT_TCG_MS = 60000,
	BOOT_KVM_MS = 30000,
	BOOT_CHECKED = 3,	/* times as long */
	NO_PROGRESS_MS = 20000, /* the agent ticks every second while it gets to run */
	PAYLOAD_MS = 600000,	/* when the job has no limit of its own */
	GRACE_MS = 10000,	/* for the agent to end the payload and to say so */
	FLOW_MS = 60000,	/* further, while output still flows */
	FLOWING_MS = 2000,	/* silence that ends a flow */
	PANIC_MS = 2000,	/* for a panic's report to get to its end */
	PANIC_QUIET_MS = 300,	/* after "end Kernel panic", or pvpanic's word */
	HANG_UP_MS = 1000,	/* from the channel's end to QEMU's */
	POLL_MS = 50,
	CONNECT_MS = 5, /* until QEMU listens */
	SPACE_MS = 1000,
	BASE_FDS = 4,	    /* of what a session waits for, without a terminal */
	CONSOLE_FLOODS = 8, /* limits' worth of console where the file cannot be bounded */
};

struct session {
	const struct job *job;
	const char *dir, *run_dir;
	struct outcome *o;
	struct virt_machine *m;
	struct evidence evidence;
	struct console_file console;
	struct channel channel; /* fd -1: not connected yet */
	struct presence presence;
	struct attach attach;
	char *socket, *tty;		       /* tty: the console's, under a daemon; or NULL */
	int64_t now, start, up, greeted, sent; /* -1: not yet */
	int64_t life, flow;		       /* last byte of any kind; last that is no tick */
	int64_t panic, hung_up, space;
	int64_t debugged_ms; /* with a debugger attached: no limit counts */
	int64_t boot_ms;     /* it may take that long to its first word */
	uint64_t frames, taken, progress;
	bool debugged;
	bool over, begun, silent; /* begun: the terminal; silent: told so */
};

static void phase(const struct session *s, const char *what)
{
	if (s->job->phase)
		s->job->phase(s->job->data, what);
}

static void end(struct session *s, enum ending ending, char *detail)
{
	if (s->over) {
		free(detail);
		return;
	}
	s->over = true;
	s->o->ending = ending;
	if (detail) {
		free(s->o->detail);
		s->o->detail = detail;
	}
}

/* "TEXT; the console ends: LINE" */
static char *with_console(const struct session *s, char *text)
{
	auto_free char *owned = text, *line = console_file_last_line(&s->console);

	return line ? str_printf("%s; the console ends: %s", text, line)
		    : str_printf("%s; the console is empty", text);
}

/* Whether the kernel looks at each of its accesses to memory, or at each lock. */
static bool checks_itself(const struct kernel *kernel)
{
	static const char *const options[] = {"KASAN", "KCSAN", "PROVE_LOCKING"};

	for (size_t i = 0; i < array_len(options); i++)
		if (kernel_config_option(kernel, options[i]) == 'y')
			return true;
	return false;
}

static int64_t boot_limit(const struct job *job)
{
	if (job->boot_timeout_ms)
		return job->boot_timeout_ms;
	return (job->kvm ? BOOT_KVM_MS : BOOT_TCG_MS) *
	       (checks_itself(job->kernel) ? BOOT_CHECKED : 1);
}

/* --- what goes on --- */

/* QEMU listens from its start on, or (another libvirt) a little later. */
static int try_connect(struct session *s, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_errno(err, "socket");
	memcpy(addr.sun_path, s->socket, strlen(s->socket) + 1);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return 0;
	return channel_init(&s->channel, take_fd(fd), s->job, &s->evidence, err);
}

static void note_progress(struct session *s)
{
	if (s->channel.frames != s->frames || s->channel.taken != s->taken)
		s->life = s->now;
	if (s->channel.progress != s->progress)
		s->flow = s->now;
	s->frames = s->channel.frames;
	s->taken = s->channel.taken;
	s->progress = s->channel.progress;
	if (s->greeted < 0 && s->channel.state != CHANNEL_SILENT) {
		s->greeted = s->now;
		s->o->boot_ms = s->now - s->start;
		phase(s, "running");
	}
	if (s->sent < 0 && s->channel.job_sent)
		s->sent = s->now;
	if (s->channel.state == CHANNEL_OVER && s->sent >= 0)
		s->o->run_ms = s->now - s->sent;
}

/* Returns 0 or a failure of the host; a failure of the guest's ends the session. */
static int serve_channel(struct session *s, struct err *err)
{
	struct err said = {0};
	int r = 0;

	if (s->channel.fd < 0)
		return try_connect(s, err);
	if (!s->channel.ended)
		r = channel_read(&s->channel, &said);
	if (r == 0)
		r = channel_write(&s->channel, &said);
	note_progress(s);
	if (s->channel.ended && s->hung_up < 0)
		s->hung_up = s->now;
	if (r == -EPROTO) {
		end(s, END_BROKEN, xstrdup(said.msg));
		return 0;
	}
	if (r < 0 && err)
		*err = said;
	return r;
}

static int serve_console(struct session *s, struct err *err)
{
	ssize_t n = console_file_poll(&s->console, err);

	if (n < 0)
		return (int)n;
	if (n > 0)
		s->life = s->now;
	if (s->panic < 0 && s->console.panic)
		s->panic = s->now;
	if (s->console.unbounded && s->console.size > CONSOLE_FLOODS * s->console.limit)
		end(s, END_BROKEN,
		    str_printf("the console passed %" PRIu64 " bytes, and this file system has no "
			       "way to bound it",
			       s->console.size));
	return 0;
}

/* QEMU ignores a full disk when it writes the console: look ourselves. */
static int check_space(struct session *s, struct err *err)
{
	struct statvfs fs;

	if (s->now - s->space < SPACE_MS)
		return 0;
	s->space = s->now;
	if (statvfs(s->dir, &fs) < 0 || !fs.f_blocks || fs.f_bavail || (!geteuid() && fs.f_bfree))
		return 0;
	return err_set(err, ENOSPC, "no space left in %s", s->dir);
}

/* Time that is a debugger's does not count. */
static void pass_over(struct session *s, int64_t ms)
{
	int64_t *const marks[] = {&s->up,   &s->greeted, &s->sent,   &s->life,
				  &s->flow, &s->panic,	 &s->hung_up};

	for (size_t i = 0; i < array_len(marks); i++)
		if (*marks[i] >= 0)
			*marks[i] += ms;
}

static void wait_for_something(struct session *s)
{
	struct terminal *t = s->begun ? s->job->terminal : NULL;
	struct pollfd fds[BASE_FDS + TERMINAL_FDS] = {
		{.fd = virt_machine_event_fd(s->m), .events = POLLIN},
		{.fd = s->channel.ended || channel_blocked(&s->channel) ? -1 : s->channel.fd,
		 .events = POLLIN},
		{.fd = s->presence.control.fd, .events = POLLIN},
		{.fd = attach_event_fd(&s->attach), .events = POLLIN},
	};
	eventfd_t ignored;
	int64_t before = s->now;

	if (channel_wants_write(&s->channel))
		fds[1].events |= POLLOUT;
	if (t)
		terminal_poll(t, fds + BASE_FDS);
	poll(fds, t ? array_len(fds) : BASE_FDS, s->channel.fd < 0 ? CONNECT_MS : POLL_MS);
	if (t)
		terminal_serve(t, fds + BASE_FDS);
	if (fds[0].revents)
		eventfd_read(fds[0].fd, &ignored);
	s->now = io_now_ms();
	if (attach_stands(&s->attach)) {
		pass_over(s, s->now - before);
		s->debugged_ms += s->now - before;
	}
}

/* Whoever waits for this cell, and for its limits, is told why they do not count. */
static void tell_debugger(struct session *s)
{
	bool now = attach_stands(&s->attach);

	if (now != s->debugged)
		phase(s, now ? "in gdb" : s->greeted < 0 ? "booting" : "running");
	s->debugged = now;
}

/* Who sits before it, if anybody does. */
static void serve_terminal(struct session *s)
{
	struct terminal *t = s->job->terminal;

	if (!t)
		return;
	if (!s->begun && s->channel.state == CHANNEL_RUNNING) {
		s->begun = true;
		phase(s, "started");
		terminal_begin(t);
	}
	if (channel_blocked(&s->channel))
		s->life = s->now;
	if (t->ended)
		end(s, END_GONE, xstrdup("ended at its terminal"));
	else if (t->deaf)
		end(s, END_GONE, xstrdup("nobody reads what it says"));
}

/* --- how it ends --- */

static void check_job(struct session *s)
{
	if (s->channel.state != CHANNEL_OVER)
		return;
	if (s->channel.failed)
		end(s, END_BROKEN, NULL);
	else if (s->o->ending == END_TIMEOUT)
		end(s, END_TIMEOUT,
		    str_printf("not done within its timeout, %g s", s->job->timeout_ms / 1e3));
	else
		end(s, END_EXITED, NULL);
}

/*
 * A panicked guest says nothing more on the channel. pvpanic stops the machine, after the report;
 * without it the console's text tells, and the report gets time to come to its end.
 */
static void check_panic(struct session *s)
{
	bool stopped = virt_machine_state(s->m) == VIRT_CRASHED;
	int64_t since, quiet;

	if (stopped && s->panic < 0)
		s->panic = s->now;
	if (s->panic < 0)
		return;
	since = s->life > s->panic ? s->life : s->panic;
	quiet = s->now - since;
	if (quiet >= PANIC_MS || ((stopped || s->console.panic_over) && quiet >= PANIC_QUIET_MS))
		end(s, END_PANIC, console_file_panic_line(&s->console));
}

/* Whether the job's own time and all graces are over. */
static bool past_limit(const struct session *s)
{
	int64_t timeout = s->job->timeout_ms ? s->job->timeout_ms : PAYLOAD_MS;
	bool unlimited = s->job->terminal && !s->job->timeout_ms;
	int64_t late = s->now - ((s->sent < 0 ? s->greeted : s->sent) + timeout + GRACE_MS);

	if (unlimited)
		return false;
	return late > FLOW_MS || (late > 0 && s->now - s->flow > FLOWING_MS);
}

/* The agent never spoke: what with a likely reason. Takes what. */
static char *no_boot(const struct session *s, char *what)
{
	auto_free char *text = what;

	if (s->job->kernel->modules_dir)
		return with_console(s, take_ptr(text));
	return with_console(
		s, str_printf("%s; no modules are known for this kernel: give its .deb, "
			      "or put lib/modules/%s beside the image",
			      text, s->job->kernel->release ? s->job->kernel->release : "RELEASE"));
}

/* A person may want to see what hangs, or look at it in gdb. */
static void tell_silence(struct session *s)
{
	if (!s->silent)
		phase(s, "silent");
	s->silent = true;
}

static void check_time(struct session *s)
{
	int64_t no_progress = s->job->no_progress_ms ? s->job->no_progress_ms : NO_PROGRESS_MS;

	if (s->greeted < 0) {
		if (s->now - s->up > s->boot_ms)
			end(s, END_NO_BOOT,
			    no_boot(s, str_printf("no word from the guest's agent within "
						  "%" PRId64 " s",
						  s->boot_ms / 1000)));
		return;
	}
	if (s->now - s->life <= no_progress)
		s->silent = false;
	else if (s->job->terminal && s->job->terminal->tty)
		tell_silence(s);
	else
		end(s, END_HUNG,
		    with_console(s, str_printf("no sign of life for %" PRId64 " s",
					       no_progress / 1000)));
	if (past_limit(s))
		end(s, END_HUNG,
		    with_console(s, str_printf("the agent did not end the payload within its "
					       "%" PRId64 " ms and %d s of grace",
					       s->job->timeout_ms, GRACE_MS / 1000)));
}

/* "QEMU ended in mid-run: what it said" */
static char *qemu_ended(const struct session *s, const char *what)
{
	auto_free char *said = virt_machine_last_words(s->m);

	return str_printf("QEMU ended %s%s%s", what, said ? ": " : "", said ? said : "");
}

static void check_gone(struct session *s)
{
	bool off = virt_machine_state(s->m) == VIRT_OFF;
	const char *what = s->greeted < 0 ? "while it booted" : "in mid-run";

	if (!off && (s->hung_up < 0 || s->now - s->hung_up < HANG_UP_MS))
		return;
	/* What it sent before is read first. */
	if (s->channel.fd >= 0 && !s->channel.ended && s->now - s->life < HANG_UP_MS)
		return;
	if (s->console.panic)
		end(s, END_PANIC, console_file_panic_line(&s->console));
	else if (off && !virt_machine_died(s->m) && s->greeted < 0)
		end(s, END_NO_BOOT,
		    no_boot(s, xstrdup("the guest powered off before its agent spoke")));
	else if (off && !virt_machine_died(s->m))
		end(s, END_GONE, with_console(s, str_printf("the guest powered off %s", what)));
	else
		end(s, END_GONE, qemu_ended(s, what));
}

/* What debuggers do and want. */
static int serve_debugger(struct session *s, struct err *err)
{
	int r = attach_advance(&s->attach, s->channel.state == CHANNEL_RUNNING, err);
	const char *why;

	if (r > 0)
		channel_signal(&s->channel, SIGCONT);
	if (s->console.panic_over)
		attach_panic(&s->attach);
	/* A debugger that ends because QEMU did is not why. */
	why = virt_machine_state(s->m) == VIRT_OFF ? NULL : attach_end(&s->attach);
	if (why)
		end(s, END_GONE, xstrdup(why));
	return r < 0 ? r : 0;
}

static int run_loop(struct session *s, struct err *err)
{
	int r = 0;

	while (r == 0 && !s->over) {
		wait_for_something(s);
		if (s->job->cancel && *s->job->cancel) {
			end(s, END_GONE, xstrdup("interrupted"));
			break;
		}
		if (presence_serve(&s->presence))
			end(s, END_GONE, xstrdup("stopped by 'lab vm stop'"));
		r = serve_channel(s, err);
		serve_terminal(s);
		if (r == 0)
			r = serve_console(s, err);
		if (r == 0)
			r = check_space(s, err);
		check_job(s);
		check_gone(s);
		if (r == 0)
			r = serve_debugger(s, err);
		tell_debugger(s);
		if (attach_stands(&s->attach))
			continue;
		check_panic(s);
		check_time(s);
	}
	return r;
}

/* --- start and finish --- */

static int start_machine(struct session *s, struct virt *v, struct err *err)
{
	auto_free char *console = path_join(s->dir, "console.log"), *kernel = NULL, *initrd = NULL;
	auto_free char *disk = NULL;
	const struct job *job = s->job;
	struct machine_spec spec = {
		.name = job->name,
		.arch = job->kernel->arch,
		.kvm = job->kvm,
		.memory_mib = job->memory_mib,
		.cpus = job->cpus,
		.console = console,
		.channel = s->socket,
	};

	/* libvirt and QEMU have another working folder. */
	kernel = realpath(job->kernel->image, NULL);
	if (!kernel)
		return err_errno(err, "kernel %s", job->kernel->image);
	initrd = realpath(job->image->initrd, NULL);
	if (!initrd)
		return err_errno(err, "guest image %s", job->image->initrd);
	if (image_fits(job->image, job->memory_mib, err) < 0)
		return -err->code;
	disk = job->image->disk ? realpath(job->image->disk, NULL) : NULL;
	if (job->image->disk && !disk)
		return err_errno(err, "guest image %s", job->image->disk);
	if (job->nokaslr)
		spec.cmdline = "nokaslr";
	spec.paused = job->debug && job->debug->wait_at_start;
	if (s->tty) {
		spec.console = s->tty;
		spec.console_socket = true;
	}
	spec.kernel = kernel;
	spec.disk = disk;
	spec.initrd = initrd;
	return virt_start(v, &spec, &s->m, err);
}

static int run_session(struct session *s, struct virt *v, struct err *err)
{
	uint64_t limit =
		s->job->stream_limit_bytes ? s->job->stream_limit_bytes : MACHINE_STREAM_LIMIT;
	int r = evidence_open(&s->evidence, s->dir, limit, s->o, err);

	if (r == 0)
		r = console_file_open(&s->console, s->dir, limit, err);
	if (r < 0)
		return r;
	phase(s, "booting");
	s->start = s->life = s->flow = s->space = io_now_ms();
	r = attach_open(&s->attach, s->job, s->run_dir, err);
	if (r == 0)
		r = start_machine(s, v, err);
	if (r == 0 && s->tty) {
		r = console_file_connect(&s->console, s->tty, err);
		if (r == 0 && !(s->job->debug && s->job->debug->wait_at_start))
			r = virt_machine_resume(s->m, err);
	}
	/* A daemon that asks QEMU what it can do first takes its time: the guest's begins now. */
	s->up = s->life = s->now = io_now_ms();
	if (r == 0)
		r = attach_machine(&s->attach, s->m, err);
	if (r == 0)
		presence_open(&s->presence, s->job, s->dir, s->run_dir, s->m, &s->attach);
	return r < 0 ? r : run_loop(s, err);
}

/* QEMU first: then nobody writes to the files any more. */
static int finish(struct session *s, int r, struct err *err)
{
	if (r == 0 && (s->o->ending == END_EXITED || s->o->ending == END_TIMEOUT))
		attach_ended(&s->attach);
	if (r == 0 && s->job->dump != DUMP_OFF &&
	    (s->o->ending == END_PANIC || s->o->ending == END_HUNG)) {
		auto_free char *vmcore = path_join(s->dir, "vmcore");
		struct err why = {0};

		if (virt_machine_dump(s->m, vmcore, s->job->dump, &why) < 0)
			evidence_note(&s->evidence, "no dump: %s", why.msg);
	}
	/* A relay that waits for QEMU hears of its end; the machine itself stays until it is done.
	 */
	virt_machine_kill(s->m);
	attach_close(&s->attach);
	virt_machine_destroy(s->m);
	if (s->console.fd >= 0 && s->start >= 0) {
		int last = (int)console_file_poll(&s->console, NULL);
		int cut = console_file_finish(&s->console, &s->o->console, r < 0 ? NULL : err);

		if (r == 0 && (last < 0 || cut < 0))
			r = cut < 0 ? cut : last;
	}
	if (s->o->console.seen > s->o->console.kept)
		evidence_note(&s->evidence, "console.log: kept %" PRIu64 " of %" PRIu64 " bytes",
			      s->o->console.kept, s->o->console.seen);
	if (s->debugged_ms && !s->job->debug)
		evidence_note(&s->evidence,
			      "a debugger was attached for %" PRId64
			      " s in all, which no time limit counts",
			      s->debugged_ms / 1000);
	if (s->start >= 0)
		s->o->total_ms = io_now_ms() - s->start;
	presence_close(&s->presence);
	channel_deinit(&s->channel);
	console_file_close(&s->console);
	evidence_close(&s->evidence);
	unlink(s->socket);
	if (s->tty)
		unlink(s->tty);
	free(s->socket);
	free(s->tty);
	return r;
}

int machine_run(struct virt *v, const struct job *job, const char *dir, struct outcome *ret,
		struct err *err)
{
	auto_free char *real = realpath(dir, NULL);
	struct session s = {
		.job = job,
		.dir = real,
		.run_dir = virt_run_dir(v),
		.o = ret,
		.socket = str_printf("%s/%s", virt_run_dir(v), job->name),
		.tty = virt_is_embedded(v) ? NULL
					   : str_printf("%s/%s.tty", virt_run_dir(v), job->name),
		.console = {.fd = -1, .socket = -1},
		.channel = {.fd = -1, .file = -1},
		.presence = {.control = {.fd = -1}},
		.evidence = {.dirfd = -1, .file = -1},
		.boot_ms = boot_limit(job),
		.start = -1,
		.greeted = -1,
		.sent = -1,
		.panic = -1,
		.hung_up = -1,
	};

	*ret = (struct outcome){
		.ending = END_BROKEN, .exit_code = -1, .boot_ms = -1, .run_ms = -1, .total_ms = -1};
	for (int i = 0; i < EVIDENCE_STREAMS; i++)
		s.evidence.streams[i].fd = -1;
	if (!real) {
		free(s.socket);
		free(s.tty);
		return err_errno(err, "%s", dir);
	}
	return finish(&s, run_session(&s, v, err), err);
}
