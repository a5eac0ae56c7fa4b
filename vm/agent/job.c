#include "vm/agent/job.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "jail/base/io.h"
#include "vm/agent/files.h"
#include "vm/agent/kmsg.h"
#include "vm/agent/setup.h"
#include "vm/agent/spawn.h"

enum {
	LIMIT_BYTES = 8 << 20,
	DRAIN_MS = 60000,
	HOLD_MS = 20000,  /* for the payload's own process to come to its command */
	ENDING_MS = 1000, /* for strace to write its last lines; then for the killed to be gone */
};

void job_init(struct job *job)
{
	static const enum proto_type types[JOB_STREAMS] = {PROTO_STDOUT, PROTO_STDERR,
							   PROTO_STRACE};

	*job = (struct job){.cwd_fd = -1,
			    .pid = -1,
			    .limit_bytes = LIMIT_BYTES,
			    .input = {.fd = -1, .slave = -1}};
	for (int i = 0; i < JOB_STREAMS; i++)
		job->streams[i] = (struct job_stream){.fd = -1, .type = types[i]};
}

static void job_deinit(struct job *job)
{
	strv_deinit(&job->argv);
	strv_deinit(&job->env);
	strv_deinit(&job->artefacts);
	strv_deinit(&job->notes);
	free(job->cwd);
	free(job->seed);
	cleanup_close(&job->cwd_fd);
	input_close(&job->input);
	for (int i = 0; i < JOB_STREAMS; i++)
		cleanup_close(&job->streams[i].fd);
	job_init(job);
}

static int parse_number(const char *key, const char *value, uint64_t max, uint64_t *ret,
			struct err *err)
{
	if (str_to_u64(value, 0, max, ret) < 0)
		return err_set(err, EPROTO, "job: %s is not a number", key);
	return 0;
}

static int parse_bool(const char *key, const char *value, bool *ret, struct err *err)
{
	uint64_t n = 0;
	int r = parse_number(key, value, 1, &n, err);

	*ret = n;
	return r;
}

static int parse_word(struct job *job, const char *key, const char *value, struct err *err)
{
	uint64_t n = 0;
	int r = 0;

	if (str_eq(key, "argv")) {
		strv_add(&job->argv, value);
	} else if (str_eq(key, "env")) {
		strv_add(&job->env, value);
	} else if (str_eq(key, "artefact")) {
		strv_add(&job->artefacts, value);
	} else if (str_eq(key, "cwd")) {
		free(job->cwd);
		job->cwd = xstrdup(value);
	} else if (str_eq(key, "seed")) {
		free(job->seed);
		job->seed = xstrdup(value);
	} else if (str_eq(key, "trace")) {
		r = parse_bool(key, value, &job->trace, err);
	} else if (str_eq(key, "hold")) {
		r = parse_bool(key, value, &job->hold, err);
	} else if (str_eq(key, "tty")) {
		r = parse_bool(key, value, &job->tty, err);
	} else if (str_eq(key, "stdin")) {
		r = parse_bool(key, value, &job->has_stdin, err);
	} else if (str_eq(key, "rows")) {
		r = parse_number(key, value, UINT16_MAX, &job->rows, err);
	} else if (str_eq(key, "columns")) {
		r = parse_number(key, value, UINT16_MAX, &job->columns, err);
	} else if (str_eq(key, "timeout_ms")) {
		r = parse_number(key, value, INT32_MAX, &n, err);
		job->timeout_ms = n;
	} else if (str_eq(key, "realtime_ms")) {
		r = parse_number(key, value, INT64_MAX, &n, err);
		job->realtime_ms = n;
	} else if (str_eq(key, "limit_bytes")) {
		r = parse_number(key, value, INT64_MAX, &n, err);
		job->limit_bytes = n;
	} else {
		return err_set(err, EPROTO, "job: unknown word %s", key);
	}
	return r;
}

static int parse(struct job *job, const uint8_t *words, size_t len, struct err *err)
{
	const char *key, *value;
	size_t pos = 0;
	int r;

	while ((r = proto_next_word(words, len, &pos, &key, &value)) > 0)
		if (parse_word(job, key, value, err) < 0)
			return -EPROTO;
	if (r < 0)
		return err_set(err, EPROTO, "job: malformed words");
	if (!job->argv.n)
		return err_set(err, EPROTO, "job: nothing to run");
	return 0;
}

static int start(struct job *job, struct err *err)
{
	const char *cwd = job->cwd ? job->cwd : WORK_DIR;

	if (job->seed)
		setup_seed(job->seed);
	if (job->realtime_ms)
		setup_clock(job->realtime_ms);
	job->cwd_fd = open(cwd, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (job->cwd_fd < 0)
		return err_errno(err, "working folder %s", cwd);
	return spawn_payload(job, err);
}

/*
 * Until the payload has stopped itself, or ended: a SIGCONT that came before would be lost. Whether
 * it ended is for reap() to see.
 */
static int wait_until_held(struct job *job, struct err *err)
{
	int64_t limit = io_now_ms() + HOLD_MS;
	siginfo_t info = {0};

	do {
		if (waitid(P_PID, job->pid, &info, WSTOPPED | WEXITED | WNOWAIT | WNOHANG) < 0)
			return err_errno(err, "wait for the payload to be held");
		if (info.si_pid)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	} while (io_now_ms() < limit);
	return err_set(err, ETIMEDOUT, "the payload did not come to where it is held");
}

int job_start(struct job *job, struct channel *c, const uint8_t *words, size_t len, struct err *err)
{
	auto_cleanup(buf) body = {0};
	int r;

	if (job->state != JOB_NONE)
		return err_set(err, EPROTO, "job: another one runs");
	r = parse(job, words, len, err);
	if (r == 0)
		r = start(job, err);
	if (r == 0 && job->hold)
		r = wait_until_held(job, err);
	if (r < 0) {
		if (job->pid > 0)
			kill(job->pid, SIGKILL);
		job_deinit(job);
		return r;
	}
	job->state = JOB_RUNNING;
	job->started_ms = io_now_ms();
	job->tick_ms = job->started_ms + PROTO_TICK_MS;
	proto_add_number(&body, "pid", job->pid);
	channel_send(c, PROTO_STARTED, body.data, body.len);
	return 0;
}

int job_signal(struct job *job, const uint8_t *words, size_t len, struct err *err)
{
	const char *key, *value;
	uint64_t n = 0;
	size_t pos = 0;

	if (proto_next_word(words, len, &pos, &key, &value) <= 0 || !str_eq(key, "signal") ||
	    str_to_u64(value, 1, SIGRTMAX, &n) < 0)
		return err_set(err, EPROTO, "signal: not a signal's number");
	if (job->state != JOB_RUNNING || job->pid < 0)
		return 0;
	/* its time begins when it is let go */
	if (job->hold && n == SIGCONT) {
		job->hold = false;
		job->started_ms = io_now_ms();
	}
	kill(-job->pid, (int)n); /* it leads a group of its own; gone already: nothing to do */
	return 0;
}

static bool within_limit(const struct job *job, const struct job_stream *s)
{
	return s->seen < job->limit_bytes;
}

void job_poll(const struct job *job, const struct channel *c, struct pollfd *fds)
{
	bool room = channel_waiting(c) < CHANNEL_OUT_HIGH;

	for (int i = 0; i < JOB_STREAMS; i++) {
		const struct job_stream *s = &job->streams[i];

		/* what is only counted is read even while the host is slow */
		fds[i] = (struct pollfd){.fd = room || !within_limit(job, s) ? s->fd : -1,
					 .events = POLLIN};
	}
}

/* Read without keeping: spliced away, no byte is copied. */
static ssize_t discard(int fd)
{
	static int null = -1;
	ssize_t n;

	if (null < 0)
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	n = splice(fd, NULL, null, NULL, 1 << 20, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	return n < 0 ? -errno : n;
}

/* Returns the bytes read, 0 at the end, or -errno. */
static ssize_t read_stream(struct job *job, struct channel *c, struct job_stream *s)
{
	ssize_t n;

	if (within_limit(job, s))
		n = channel_send_from(c, s->type, s->fd, job->limit_bytes - s->seen);
	else
		n = discard(s->fd);
	if (n > 0)
		s->seen += n;
	return n;
}

void job_read(struct job *job, struct channel *c, int i)
{
	struct job_stream *s = &job->streams[i];
	ssize_t n = read_stream(job, c, s);

	if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR))
		close(take_fd(s->fd));
}

int job_wait_ms(const struct job *job)
{
	int64_t next, now = io_now_ms();

	if (job->state == JOB_NONE)
		return -1;
	next = job->tick_ms;
	if (job->state == JOB_ENDING && job->kill_ms < next)
		next = job->kill_ms;
	if (job->state == JOB_RUNNING && job->timeout_ms && !job->hold &&
	    job->started_ms + job->timeout_ms < next)
		next = job->started_ms + job->timeout_ms;
	return next > now ? (int)(next - now) : 0;
}

static void begin_ending(struct job *job)
{
	int64_t now = io_now_ms();

	job->state = JOB_ENDING;
	if (!job->ended_ms)
		job->ended_ms = now;
	job->kill_ms = now + ENDING_MS;
	job->killed_all = !job->trace;
	spawn_kill_all(job->trace);
}

/* Returns whether no process is left. */
static bool reap(struct job *job)
{
	struct rusage usage;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		if (pid != job->pid)
			continue;
		job->pid = -1;
		job->status = status;
		job->usage = usage;
		job->ended_ms = io_now_ms();
	}
	return pid < 0 && errno == ECHILD;
}

bool job_is_late(const struct job *job)
{
	return job->state == JOB_RUNNING && job->pid > 0 && job->timeout_ms && !job->hold &&
	       io_now_ms() >= job->started_ms + job->timeout_ms;
}

bool job_advance(struct job *job, struct channel *c)
{
	bool nobody_left = reap(job);
	int64_t now = io_now_ms();

	if (job->state == JOB_NONE)
		return false;
	if (now >= job->tick_ms) {
		/* a host that does not read gets no more of them */
		if (channel_waiting(c) < CHANNEL_OUT_HIGH)
			channel_send(c, PROTO_TICK, NULL, 0);
		job->tick_ms = now + PROTO_TICK_MS;
	}
	if (job_is_late(job)) {
		job->timed_out = true;
		job->status = SIGKILL;
		begin_ending(job);
	} else if (job->state == JOB_RUNNING && job->pid < 0) {
		begin_ending(job);
		nobody_left = reap(job);
	}
	if (job->state != JOB_ENDING)
		return false;
	if (nobody_left)
		return true;
	if (now < job->kill_ms)
		return false;
	if (job->killed_all) {
		strv_add(&job->notes, "some of the payload's processes could not be killed");
		return true;
	}
	job->killed_all = true;
	job->kill_ms = now + ENDING_MS;
	spawn_kill_all(false);
	return false;
}

static void send_exit(const struct job *job, struct channel *c)
{
	static const char *const seen[JOB_STREAMS] = {"stdout_seen", "stderr_seen", "strace_seen"};
	const struct timeval *user = &job->usage.ru_utime, *sys = &job->usage.ru_stime;
	auto_cleanup(buf) body = {0};

	if (WIFEXITED(job->status))
		proto_add_number(&body, "exit", WEXITSTATUS(job->status));
	else
		proto_add_number(&body, "signal", WTERMSIG(job->status));
	if (job->timed_out)
		proto_add_number(&body, "timeout", 1);
	proto_add_number(&body, "wall_ms", job->ended_ms - job->started_ms);
	proto_add_number(&body, "user_ms", (int64_t)user->tv_sec * 1000 + user->tv_usec / 1000);
	proto_add_number(&body, "system_ms", (int64_t)sys->tv_sec * 1000 + sys->tv_usec / 1000);
	proto_add_number(&body, "max_rss_kib", job->usage.ru_maxrss);
	for (int i = 0; i < JOB_STREAMS; i++)
		proto_add_number(&body, seen[i], (int64_t)job->streams[i].seen);
	for (size_t i = 0; i < job->notes.n && body.len < PROTO_MAX_BODY / 2; i++)
		proto_add_word(&body, "note", job->notes.items[i]);
	channel_send(c, PROTO_EXIT, body.data, body.len);
}

void job_finish(struct job *job, struct channel *c, int kmsg)
{
	auto_cleanup(buf) log = {0};

	for (int i = 0; i < JOB_STREAMS; i++)
		while (job->streams[i].fd >= 0 && read_stream(job, c, &job->streams[i]) > 0)
			if (channel_drain(c, CHANNEL_OUT_HIGH, DRAIN_MS) < 0)
				power_off();
	while (kmsg >= 0 && kmsg_read(kmsg, &log, CHANNEL_CHUNK)) {
		channel_send(c, PROTO_KMSG, log.data, log.len);
		buf_reset(&log);
		if (channel_drain(c, CHANNEL_OUT_HIGH, DRAIN_MS) < 0)
			power_off();
	}
	files_send(c, job->cwd_fd, &job->artefacts, &job->notes);
	send_exit(job, c);
	job_deinit(job);
}
