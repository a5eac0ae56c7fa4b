#include "lab/machine/channel.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/machine/terminal.h"
#include "vm/proto.h"

enum {
	INPUT_FRAME = 16 << 10,
	CHUNK = 64 << 10,      /* of a file that is sent, and of each read */
	READ_BUDGET = 2 << 20, /* of one call: the caller has other things to look at */
	RELEASE_MAX = 100,
	ERROR_MAX = 300,
	GUEST_NOTES_MAX = 16,
	SEED_BYTES = 32,
};

int channel_init(struct channel *c, int fd, const struct job *job, struct evidence *evidence,
		 struct err *err)
{
	int flags = fcntl(fd, F_GETFL);

	*c = (struct channel){.fd = fd, .job = job, .evidence = evidence, .file = -1};
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_errno(err, "channel");
	return 0;
}

void channel_deinit(struct channel *c)
{
	cleanup_close(&c->fd);
	cleanup_close(&c->file);
	buf_deinit(&c->in);
	buf_deinit(&c->out);
	c->fd = c->file = -1;
}

/* --- to the guest --- */

static void add_words(struct buf *body, const char *key, char *const *values)
{
	for (; values && *values; values++)
		proto_add_word(body, key, *values);
}

/* A fresh guest has no entropy of its own; under TCG it would wait for some. */
static void add_seed(struct buf *body)
{
	unsigned char seed[SEED_BYTES];
	char hex[2 * SEED_BYTES + 1];

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return;
	for (size_t i = 0; i < sizeof(seed); i++)
		snprintf(hex + 2 * i, 3, "%02x", seed[i]);
	proto_add_word(body, "seed", hex);
}

static void add_size(struct buf *body, struct terminal *t)
{
	proto_add_number(body, "rows", t->rows);
	proto_add_number(body, "columns", t->columns);
	t->told_rows = t->rows;
	t->told_columns = t->columns;
}

static void add_terminal(struct buf *body, struct terminal *t)
{
	if (!t)
		return;
	proto_add_number(body, "tty", t->tty);
	proto_add_number(body, "stdin", !t->tty);
	if (t->tty)
		add_size(body, t);
}

static int add_job(struct channel *c, struct err *err)
{
	const struct job *job = c->job;
	auto_cleanup(buf) body = {0};

	add_words(&body, "argv", job->argv);
	add_words(&body, "env", job->env);
	add_words(&body, "artefact", job->artefacts);
	proto_add_number(&body, "timeout_ms", job->timeout_ms);
	proto_add_number(&body, "trace", job->trace);
	proto_add_number(&body, "hold", job->debug && job->debug->hold);
	proto_add_number(&body, "limit_bytes",
			 job->terminal ? INT64_MAX : (int64_t)c->evidence->limit);
	add_terminal(&body, job->terminal);
	add_seed(&body);
	if (body.len > PROTO_MAX_BODY)
		return err_set(err, E2BIG, "the command, environment and artefacts are over %d KiB",
			       PROTO_MAX_BODY >> 10);
	proto_add_frame(&c->out, PROTO_JOB, body.data, body.len);
	c->job_sent = true;
	return 0;
}

static int begin_file(struct channel *c, struct err *err)
{
	const struct job_file *f = &c->job->files[c->next_file];
	auto_cleanup(buf) body = {0};
	char mode[16];
	struct stat st;

	c->file = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (c->file < 0 || fstat(c->file, &st) < 0)
		return err_errno(err, "file for the guest: %s", f->path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "file for the guest: %s is no regular file", f->path);
	snprintf(mode, sizeof(mode), "%o", st.st_mode & 0777);
	proto_add_word(&body, "path", f->name);
	proto_add_word(&body, "mode", mode);
	proto_add_number(&body, "size", st.st_size);
	proto_add_frame(&c->out, PROTO_FILE, body.data, body.len);
	return 0;
}

static int continue_file(struct channel *c, struct err *err)
{
	uint8_t *frame;
	ssize_t n;

	buf_reserve(&c->out, PROTO_HEADER + CHUNK);
	frame = (uint8_t *)c->out.data + c->out.len;
	do
		n = read(c->file, frame + PROTO_HEADER, CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, "file for the guest: %s", c->job->files[c->next_file].path);
	proto_put_header(frame, n ? PROTO_DATA : PROTO_FILE_END, n);
	c->out.len += PROTO_HEADER + n;
	if (n)
		return 0;
	close(take_fd(c->file));
	c->next_file++;
	return 0;
}

static bool has_input(const struct channel *c)
{
	const struct terminal *t = c->job->terminal;
	const char *typed;

	return t && c->state == CHANNEL_RUNNING &&
	       (terminal_resized(t) || terminal_typed(t, &typed, 1) || terminal_at_end(t));
}

static void add_input(struct channel *c)
{
	struct terminal *t = c->job->terminal;
	auto_cleanup(buf) size = {0};
	const char *typed;
	size_t n;

	if (terminal_resized(t)) {
		add_size(&size, t);
		proto_add_frame(&c->out, PROTO_WINSIZE, size.data, size.len);
		return;
	}
	n = terminal_typed(t, &typed, INPUT_FRAME);
	proto_add_frame(&c->out, PROTO_STDIN, typed, n);
	terminal_take(t, n);
	t->end_told = !n;
}

/* Put the next frame for the guest into out, which is empty. */
static int fill(struct channel *c, struct err *err)
{
	if (c->job_sent) {
		add_input(c);
		return 0;
	}
	if (c->file >= 0)
		return continue_file(c, err);
	if (c->next_file < c->job->n_files)
		return begin_file(c, err);
	return add_job(c, err);
}

void channel_signal(struct channel *c, int signal)
{
	auto_cleanup(buf) body = {0};

	proto_add_number(&body, "signal", signal);
	proto_add_frame(&c->out, PROTO_SIGNAL, body.data, body.len);
}

void channel_ask(struct channel *c)
{
	if (c->asked)
		return;
	c->asked = true;
	c->answered = false;
	if (c->sent == c->out.len) {
		c->sent = 0;
		buf_reset(&c->out);
	}
	proto_add_frame(&c->out, PROTO_ASK, NULL, 0);
}

bool channel_wants_write(const struct channel *c)
{
	if (c->ended || c->state == CHANNEL_SILENT)
		return false;
	if (c->state == CHANNEL_OVER)
		return c->asked && c->sent < c->out.len;
	return c->sent < c->out.len || !c->job_sent || has_input(c);
}

int channel_write(struct channel *c, struct err *err)
{
	while (channel_wants_write(c)) {
		ssize_t n;

		if (c->sent == c->out.len) {
			int r;

			c->sent = 0;
			buf_reset(&c->out);
			r = fill(c, err);
			if (r < 0)
				return r;
		}
		n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n < 0) {
			c->ended = true; /* QEMU is gone; what it sent before is still read */
			return 0;
		}
		c->sent += n;
		c->taken += n;
	}
	return 0;
}

int channel_write_job(const struct job *job, uint64_t stream_limit, int fd, struct err *err)
{
	struct evidence limits = {.limit = stream_limit};
	auto_cleanup(channel) c = {.fd = -1, .file = -1, .job = job, .evidence = &limits};

	while (!c.job_sent) {
		int r;

		buf_reset(&c.out);
		r = fill(&c, err);
		if (r < 0)
			return r;
		r = io_write_all(fd, c.out.data, c.out.len);
		if (r < 0)
			return err_set(err, -r, "write the job: %s", strerror(-r));
	}
	return 0;
}

/* --- from the guest --- */

static int broken(struct err *err, const char *what)
{
	return err_set(err, EPROTO, "the guest broke the protocol: %s", what);
}

static int on_hello(struct channel *c, const uint8_t *body, size_t len, struct err *err)
{
	auto_cleanup(buf) release = {0};
	const char *key, *value;
	uint64_t version = 0;
	size_t pos = 0;
	int r;

	if (c->state != CHANNEL_SILENT)
		return broken(err, "a second greeting");
	while ((r = proto_next_word(body, len, &pos, &key, &value)) > 0) {
		if (str_eq(key, "version"))
			str_to_u64(value, 0, UINT32_MAX, &version);
		else if (str_eq(key, "release") && !release.len)
			str_printable(&release, value, strlen(value), RELEASE_MAX, false);
	}
	if (r < 0)
		return broken(err, "a malformed greeting");
	if (version != PROTO_VERSION)
		return err_set(err, EPROTO,
			       "the guest's agent speaks version %" PRIu64
			       " of the protocol, not %d",
			       version, PROTO_VERSION);
	free(c->evidence->outcome->release);
	c->evidence->outcome->release = take_ptr(release.data);
	c->state = CHANNEL_SENDING;
	return 0;
}

struct exit_words {
	uint64_t code, signal, timeout;
	bool has_code, has_signal;
	int notes;
};

static int exit_word(struct channel *c, struct exit_words *w, const char *key, const char *value)
{
	static const char *const seen[] = {"stdout_seen", "stderr_seen", "strace_seen"};
	uint64_t n;

	if (str_eq(key, "exit")) {
		w->has_code = true;
		return str_to_u64(value, 0, 255, &w->code);
	}
	if (str_eq(key, "signal")) {
		w->has_signal = true;
		return str_to_u64(value, 1, 64, &w->signal);
	}
	if (str_eq(key, "timeout"))
		return str_to_u64(value, 0, 1, &w->timeout);
	if (str_eq(key, "note")) {
		if (w->notes++ < GUEST_NOTES_MAX)
			evidence_note(c->evidence, "guest: %s", value);
		return 0;
	}
	for (size_t i = 0; i < array_len(seen); i++) {
		if (!str_eq(key, seen[i]))
			continue;
		if (str_to_u64(value, 0, INT64_MAX, &n) < 0)
			return -EINVAL;
		evidence_count(c->evidence, EVIDENCE_STDOUT + i, n);
	}
	return 0;
}

static int on_exit_frame(struct channel *c, const uint8_t *body, size_t len, struct err *err)
{
	struct outcome *o = c->evidence->outcome;
	struct exit_words w = {0};
	const char *key, *value;
	size_t pos = 0;
	int r;

	while ((r = proto_next_word(body, len, &pos, &key, &value)) > 0)
		if (exit_word(c, &w, key, value) < 0)
			return broken(err, "an exit with a number that is none");
	if (r < 0 || w.has_code == w.has_signal)
		return broken(err, "an exit without a code or a signal");
	o->ending = w.timeout ? END_TIMEOUT : END_EXITED;
	o->exit_code = w.has_code && !w.timeout ? (int)w.code : -1;
	o->signal = w.has_signal ? (int)w.signal : 0;
	c->state = CHANNEL_OVER;
	return 0;
}

static int on_error(struct channel *c, const uint8_t *body, size_t len)
{
	auto_cleanup(buf) text = {0};

	str_printable(&text, (const char *)body, len, ERROR_MAX, false);
	free(c->evidence->outcome->detail);
	c->evidence->outcome->detail =
		str_printf("the guest's agent: %s", text.data ? text.data : "?");
	c->failed = true;
	c->state = CHANNEL_OVER;
	return 0;
}

static int on_file(struct channel *c, const uint8_t *body, size_t len, struct err *err)
{
	const char *key, *value, *path = NULL;
	size_t pos = 0;
	int r;

	while ((r = proto_next_word(body, len, &pos, &key, &value)) > 0)
		if (str_eq(key, "path"))
			path = value;
	if (r < 0 || !path)
		return broken(err, "a file without a path");
	return evidence_file_begin(c->evidence, path, err);
}

static int on_output(struct channel *c, int which, const uint8_t *body, size_t len, struct err *err)
{
	if (c->job->terminal)
		terminal_show(c->job->terminal, which, body, len);
	return evidence_append(c->evidence, EVIDENCE_STDOUT + which, body, len, err);
}

static int on_frame(struct channel *c, enum proto_type type, const uint8_t *body, size_t len,
		    struct err *err)
{
	if (type == PROTO_HELLO)
		return on_hello(c, body, len, err);
	if (c->state == CHANNEL_SILENT)
		return broken(err, "it spoke before its greeting");
	/* The agent may fail, and the kernel log something, at any time. */
	if (type == PROTO_KMSG) {
		crash_watch_feed(&c->log, (const char *)body, len);
		return evidence_append(c->evidence, EVIDENCE_DMESG, body, len, err);
	}
	if (type == PROTO_HERE) {
		c->answered = c->asked;
		c->asked = false;
		return 0;
	}
	if (type == PROTO_ERROR)
		return on_error(c, body, len);
	if (type == PROTO_STARTED) {
		if (c->state != CHANNEL_SENDING || !c->job_sent)
			return broken(err, "it started what it was not given");
		c->state = CHANNEL_RUNNING;
		return 0;
	}
	if (c->state != CHANNEL_RUNNING)
		return broken(err, "output of a job that it did not start");
	switch (type) {
	case PROTO_STDOUT:
	case PROTO_STDERR:
		return on_output(c, type - PROTO_STDOUT, body, len, err);
	case PROTO_STRACE:
		return evidence_append(c->evidence, EVIDENCE_STRACE, body, len, err);
	case PROTO_TICK:
		return 0;
	case PROTO_FILE:
		return on_file(c, body, len, err);
	case PROTO_DATA:
		return evidence_file_data(c->evidence, body, len, err);
	case PROTO_FILE_END:
		return evidence_file_end(c->evidence, err);
	case PROTO_EXIT:
		return on_exit_frame(c, body, len, err);
	default:
		return broken(err, "a frame that only the host sends");
	}
}

/* Handle the whole frames there are; what is left of one stays at the start of in. */
static int take_frames(struct channel *c, struct err *err)
{
	const uint8_t *data = (const uint8_t *)c->in.data, *body;
	enum proto_type type;
	size_t used = 0, len;
	ssize_t n = 0;
	int r = 0;

	while (r == 0 && (c->state != CHANNEL_OVER || c->asked)) {
		n = proto_next_frame(data + used, c->in.len - used, &type, &body, &len, err);
		if (n <= 0)
			break;
		used += n;
		c->frames++;
		c->progress += type != PROTO_TICK;
		r = on_frame(c, type, body, len, err);
	}
	memmove(c->in.data, c->in.data + used, c->in.len - used);
	c->in.len -= used;
	if (n < 0) {
		err_wrap(err, "the guest broke the protocol");
		return -EPROTO;
	}
	return r;
}

bool channel_blocked(const struct channel *c)
{
	return c->job && c->job->terminal && terminal_full(c->job->terminal);
}

int channel_read(struct channel *c, struct err *err)
{
	size_t budget = READ_BUDGET;
	ssize_t n;
	int r;

	while (budget && (c->state != CHANNEL_OVER || c->asked) && !channel_blocked(c)) {
		buf_reserve(&c->in, CHUNK);
		n = read(c->fd, c->in.data + c->in.len, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0) {
			c->ended = true;
			return 0;
		}
		c->in.len += n;
		budget -= (size_t)n < budget ? (size_t)n : budget;
		r = take_frames(c, err);
		if (r < 0)
			return r;
	}
	return 0;
}
