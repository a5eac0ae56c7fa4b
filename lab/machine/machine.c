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
#include "lab/machine/session.h"

enum {
	BOOT_TCG_MS = 60000,
	BOOT_KVM_MS = 30000,
	BOOT_CHECKED = 3, /* times as long */
	POLL_MS = 50,
	REPORT_POLL_MS = 5, /* while a report is looked at */
	CONNECT_MS = 5,	    /* until QEMU listens */
	SPACE_MS = 1000,
	BASE_FDS = 4,	    /* of what a session waits for, without a terminal */
	CONSOLE_FLOODS = 8, /* limits' worth of console where the file cannot be bounded */
};

void session_phase(const struct session *s, const char *what)
{
	if (s->job->phase)
		s->job->phase(s->job->data, what);
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
	if (s->evidence.dmesg.seen != s->logged)
		s->printed = s->now;
	s->logged = s->evidence.dmesg.seen;
	s->frames = s->channel.frames;
	s->taken = s->channel.taken;
	s->progress = s->channel.progress;
	if (s->greeted < 0 && s->channel.state != CHANNEL_SILENT) {
		s->greeted = s->now;
		s->o->boot_ms = s->now - s->start;
		session_phase(s, "running");
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
		session_end(s, END_BROKEN, xstrdup(said.msg));
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
		s->life = s->printed = s->now;
	if (s->console.unbounded && s->console.size > CONSOLE_FLOODS * s->console.limit)
		session_end(s, END_BROKEN,
			    str_printf("the console passed %" PRIu64
				       " bytes, and this file system has no "
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
	int64_t *const marks[] = {&s->up,      &s->greeted, &s->sent,  &s->life,   &s->flow,
				  &s->printed, &s->report,  &s->asked, &s->hung_up};

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
	poll(fds, t ? array_len(fds) : BASE_FDS,
	     s->channel.fd < 0 ? CONNECT_MS
	     : s->report >= 0  ? REPORT_POLL_MS
			       : POLL_MS);
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
		session_phase(s, now ? "in gdb" : s->greeted < 0 ? "booting" : "running");
	s->debugged = now;
}

/* What other labs ask. For a dump the guest stands, and that time is not its own. */
static void serve_askers(struct session *s)
{
	int64_t before = io_now_ms(), took;

	if (presence_serve(&s->presence))
		session_end(s, END_GONE, xstrdup("stopped by 'lab vm stop'"));
	took = io_now_ms() - before;
	if (took > POLL_MS)
		pass_over(s, took);
}

/* Who sits before it, if anybody does. */
static void serve_terminal(struct session *s)
{
	struct terminal *t = s->job->terminal;

	if (!t)
		return;
	if (!s->begun && s->channel.state == CHANNEL_RUNNING) {
		s->begun = true;
		session_phase(s, "started");
		terminal_begin(t);
	}
	if (channel_blocked(&s->channel))
		s->life = s->now;
	if (t->ended)
		session_end(s, END_GONE, xstrdup("ended at its terminal"));
	else if (t->deaf)
		session_end(s, END_GONE, xstrdup("nobody reads what it says"));
}

/* What debuggers do and want. */
static int serve_debugger(struct session *s, struct err *err)
{
	int r = attach_advance(&s->attach, s->channel.state == CHANNEL_RUNNING, err);
	const char *why;

	if (r > 0)
		channel_signal(&s->channel, SIGCONT);
	if (s->console.watch.panic_over)
		attach_panic(&s->attach);
	/* A debugger that ends because QEMU did is not why. */
	why = virt_machine_state(s->m) == VIRT_OFF ? NULL : attach_end(&s->attach);
	if (why)
		session_end(s, END_GONE, xstrdup(why));
	return r < 0 ? r : 0;
}

static int run_loop(struct session *s, struct err *err)
{
	int r = 0;

	while (r == 0 && !s->over) {
		wait_for_something(s);
		if (s->job->cancel && *s->job->cancel) {
			session_end(s, END_GONE, xstrdup("interrupted"));
			break;
		}
		serve_askers(s);
		r = serve_channel(s, err);
		serve_terminal(s);
		if (r == 0)
			r = serve_console(s, err);
		if (r == 0)
			r = check_space(s, err);
		session_check_job(s);
		session_check_gone(s);
		if (r == 0)
			r = serve_debugger(s, err);
		tell_debugger(s);
		if (attach_stands(&s->attach))
			continue;
		session_check_reports(s);
		session_check_time(s);
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
	/* A kernel that stops at an oops leaves it on the stack that is dumped. */
	if (job->oops_continue)
		spec.cmdline = job->nokaslr ? "nokaslr" : NULL;
	else
		spec.cmdline = job->nokaslr ? "nokaslr oops=panic" : "oops=panic";
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
	session_phase(s, "booting");
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
		.report = -1,
		.asked = -1,
		.printed = -1,
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
	return session_finish(&s, run_session(&s, v, err), err);
}
