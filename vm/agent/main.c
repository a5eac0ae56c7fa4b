/* The guest's PID 1: sets the machine up, says HELLO to the host, runs the jobs it is given. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

#include "jail/base/io.h"
#include "vm/agent/channel.h"
#include "vm/agent/disk.h"
#include "vm/agent/files.h"
#include "vm/agent/job.h"
#include "vm/agent/kmsg.h"
#include "vm/agent/setup.h"

enum { GOODBYE_MS = 1000, NICE = -10, ASK_TASKS_MAX = 300 };

struct agent {
	struct channel channel;
	struct incoming incoming;
	struct job job;
	int kmsg, sigchld;
	bool used; /* WORK_DIR has seen a job */
};

static void say_hello(struct buf *out)
{
	auto_cleanup(buf) body = {0};
	struct utsname u = {0};
	struct timespec up = {0};

	uname(&u);
	clock_gettime(CLOCK_BOOTTIME, &up);
	proto_add_number(&body, "version", PROTO_VERSION);
	proto_add_word(&body, "release", u.release);
	proto_add_word(&body, "machine", u.machine);
	proto_add_number(&body, "uptime_ms", (int64_t)up.tv_sec * 1000 + up.tv_nsec / 1000000);
	proto_add_frame(out, PROTO_HELLO, body.data, body.len);
}

static int watch_children(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int set_up(struct agent *a, struct err *err)
{
	auto_cleanup(buf) hello = {0};
	auto_close int uevents = -1;
	auto_close int oom = -1;
	int r;

	r = setup_root(err);
	if (r < 0)
		return r;
	/* the last member of the initramfs: the kernel goes on with what it could unpack */
	if (access("/workspace", F_OK) < 0)
		return err_set(err, ENOSPC,
			       "the image is not whole: the machine has too little memory for it");
	uevents = channel_listen(NULL); /* without it the wait is coarser */
	setup_modules(false);
	say_hello(&hello);
	r = channel_open_serial(&a->channel, &hello, err);
	if (r == 0)
		r = channel_open(&a->channel, uevents, &hello, err);
	if (r < 0)
		return r;
	setup_modules(true);
	setup_system();
	r = disk_mount(err);
	if (r < 0)
		return r;
	a->kmsg = kmsg_open();
	a->sigchld = watch_children();
	if (a->sigchld < 0)
		return err_errno(err, "signalfd");
	/* ahead of the payload's ordinary processes; a real-time loop still shows as a hang */
	setpriority(PRIO_PROCESS, 0, NICE);
	oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (oom >= 0)
		io_write_all(oom, "-1000", 5);
	return files_reset(err);
}

/* A new job gets a working folder that no earlier one has touched. */
static int prepare_work(struct agent *a, struct err *err)
{
	if (a->job.state != JOB_NONE)
		return err_set(err, EPROTO, "a job runs");
	if (!a->used)
		return 0;
	a->used = false;
	return files_reset(err);
}

static void forward_log(struct agent *a)
{
	auto_cleanup(buf) log = {0};

	if (kmsg_read(a->kmsg, &log, CHANNEL_CHUNK))
		channel_send(&a->channel, PROTO_KMSG, log.data, log.len);
}

/*
 * What a payload that does not end waits for: by the kernel's own word, tasks that cannot be
 * interrupted, then what each processor does, then all tasks. The log has no room for everything
 * at once, nor for more tasks than that: a fork bomb is ended instead.
 */
static void ask_kernel(struct agent *a)
{
	struct sysinfo info = {0};

	sysinfo(&info);
	for (const char *key = info.procs > ASK_TASKS_MAX ? "l" : "wlt"; *key; key++) {
		setup_sysrq(*key);
		forward_log(a);
		if (channel_drain(&a->channel, CHANNEL_OUT_HIGH, GOODBYE_MS) < 0)
			return;
	}
}

static int obey(struct agent *a, enum proto_type type, const uint8_t *body, size_t len,
		struct err *err)
{
	int r;

	switch (type) {
	case PROTO_FILE:
		r = prepare_work(a, err);
		return r < 0 ? r : files_begin(&a->incoming, body, len, err);
	case PROTO_DATA:
		return files_data(&a->incoming, body, len, err);
	case PROTO_FILE_END:
		return files_end(&a->incoming, err);
	case PROTO_JOB:
		if (a->incoming.fd >= 0)
			return err_set(err, EPROTO, "job: file %s is not at its end",
				       a->incoming.path);
		r = prepare_work(a, err);
		return r < 0 ? r : job_start(&a->job, &a->channel, body, len, err);
	case PROTO_SIGNAL:
		return job_signal(&a->job, body, len, err);
	case PROTO_STDIN: /* on its way when the job ended: for nobody */
		input_add(&a->job.input, body, len);
		return 0;
	case PROTO_WINSIZE:
		return input_resize(&a->job.input, body, len, err);
	case PROTO_ASK:
		forward_log(a);
		channel_send(&a->channel, PROTO_HERE, NULL, 0);
		return 0;
	case PROTO_POWEROFF:
		power_off();
	default:
		return err_set(err, EPROTO, "a frame of type %d is not for a guest", type);
	}
}

/* Tell the host what went wrong. After a broken frame nothing that follows can be trusted. */
static void complain(struct agent *a, const struct err *err)
{
	channel_send(&a->channel, PROTO_ERROR, err->msg, strlen(err->msg));
	files_drop(&a->incoming);
	a->used = true;
	if (err->code != EPROTO && err->code != EMSGSIZE)
		return;
	channel_drain(&a->channel, 0, GOODBYE_MS);
	power_off();
}

static void obey_frames(struct agent *a)
{
	enum proto_type type;
	const uint8_t *body;
	struct err err = {0};
	size_t len;
	ssize_t n;

	while ((n = channel_next(&a->channel, &type, &body, &len, &err)) > 0) {
		if (obey(a, type, body, len, &err) < 0)
			complain(a, &err);
		channel_consume(&a->channel, n);
	}
	if (n < 0)
		complain(a, &err);
}

enum { FD_CHANNEL, FD_SIGCHLD, FD_KMSG, FD_INPUT, FD_STREAMS, FD_COUNT = FD_STREAMS + JOB_STREAMS };

static void serve(struct agent *a)
{
	struct signalfd_siginfo si;
	struct pollfd fds[FD_COUNT];
	struct channel *c = &a->channel;
	struct input *in = &a->job.input;

	channel_flush(c);
	fds[FD_CHANNEL] = (struct pollfd){.fd = c->serial ? -1 : c->fd,
					  .events = (input_waiting(in) < INPUT_HIGH ? POLLIN : 0) |
						    (channel_waiting(c) ? POLLOUT : 0)};
	fds[FD_INPUT] = (struct pollfd){.fd = input_waiting(in) ? in->fd : -1, .events = POLLOUT};
	fds[FD_SIGCHLD] = (struct pollfd){.fd = a->sigchld, .events = POLLIN};
	fds[FD_KMSG] = (struct pollfd){.fd = channel_waiting(c) < CHANNEL_OUT_HIGH ? a->kmsg : -1,
				       .events = POLLIN};
	job_poll(&a->job, c, fds + FD_STREAMS);
	if (poll(fds, FD_COUNT, job_wait_ms(&a->job)) < 0)
		return;
	if (fds[FD_CHANNEL].revents & (POLLHUP | POLLERR))
		power_off();
	if (fds[FD_SIGCHLD].revents)
		while (read(a->sigchld, &si, sizeof(si)) > 0)
			;
	if (fds[FD_INPUT].revents)
		input_flush(in);
	for (int i = 0; i < JOB_STREAMS; i++)
		if (fds[FD_STREAMS + i].revents)
			job_read(&a->job, c, i);
	if (fds[FD_KMSG].revents)
		forward_log(a);
	if (job_is_late(&a->job))
		ask_kernel(a);
	if (job_advance(&a->job, c)) {
		job_finish(&a->job, c, a->kmsg);
		a->used = true;
	}
	if (fds[FD_CHANNEL].revents & POLLIN) {
		channel_receive(c);
		obey_frames(a);
	}
}

/* The one job of a machine without a port, to its end. */
static void __attribute__((noreturn)) serve_serial(struct agent *a)
{
	struct err err = {0};

	obey_frames(a);
	if (a->job.state == JOB_NONE && !a->used) {
		err_set(&err, EPROTO, CHANNEL_JOB " is not whole");
		complain(a, &err);
	}
	while (a->job.state != JOB_NONE)
		serve(a);
	channel_flush(&a->channel);
	power_off();
}

int main(void)
{
	static struct agent a = {.channel.fd = -1, .incoming.fd = -1, .kmsg = -1, .sigchld = -1};
	struct err err = {0};

	if (getpid() != 1) {
		fprintf(stderr,
			"lab-agent: this is PID 1 of lab's guests, nothing to run by hand\n");
		return 2;
	}
	job_init(&a.job);
	if (set_up(&a, &err) < 0) {
		klog("%s", err.msg);
		power_off();
	}
	if (a.channel.serial)
		serve_serial(&a);
	for (;;)
		serve(&a);
}
