#include "lab/replay/qmp.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "jail/base/io.h"

enum { CHUNK = 16 << 10, LINE_MAX_BYTES = 4 << 20, CONNECT_MS = 20000, LOOK_MS = 20 };

/* Returns the fd, or -1. */
static int try_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	return take_fd(fd);
}

void qmp_close(struct qmp *q)
{
	cleanup_close(&q->fd);
	buf_deinit(&q->in);
	*q = (struct qmp){.fd = -1};
}

/* Wait for a whole line: *len with its newline, 0 when there is none by then. */
static int next_line(struct qmp *q, int64_t until, size_t *len, struct err *err)
{
	for (;;) {
		const char *end = q->in.len ? memchr(q->in.data, '\n', q->in.len) : NULL;
		struct pollfd p = {.fd = q->fd, .events = POLLIN};
		int64_t left = until - io_now_ms();
		ssize_t n;

		*len = end ? end + 1 - q->in.data : 0;
		if (end)
			return 0;
		if (q->in.len > LINE_MAX_BYTES)
			return err_set(err, EPROTO, "QEMU's monitor: a line over %d MiB",
				       LINE_MAX_BYTES >> 20);
		n = poll(&p, 1, left > 0 ? (int)left : 0);
		if (n == 0 || (n < 0 && errno == EINTR && left <= 0))
			return 0;
		if (n < 0)
			continue;
		buf_reserve(&q->in, CHUNK);
		n = read(q->fd, q->in.data + q->in.len, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			q->ended = true;
			return err_set(err, EPIPE, "QEMU has ended");
		}
		q->in.len += n;
	}
}

static void on_event(struct qmp *q, const char *name)
{
	q->stops += str_eq(name, "STOP");
	q->off |= str_eq(name, "SHUTDOWN");
}

/* One message: 1 and *ret an answer, 0 an event or nothing by then. */
static int next_message(struct qmp *q, int64_t until, json_t **ret, struct err *err)
{
	const char *event;
	json_error_t e;
	json_t *j;
	size_t len = 0;
	int r = next_line(q, until, &len, err);

	if (r < 0 || !len)
		return r;
	j = json_loadb(q->in.data, len, 0, &e);
	memmove(q->in.data, q->in.data + len, q->in.len - len);
	q->in.len -= len;
	if (!j)
		return err_set(err, EPROTO, "QEMU's monitor: %s", e.text);
	event = json_string_value(json_object_get(j, "event"));
	if (event)
		on_event(q, event);
	if (json_object_get(j, "return") || json_object_get(j, "error")) {
		*ret = j;
		return 1;
	}
	json_decref(j);
	return 0;
}

int qmp_wait(struct qmp *q, int timeout_ms, struct err *err)
{
	int64_t until = io_now_ms() + timeout_ms;
	unsigned int stops = q->stops;
	bool off = q->off;
	int r;

	do {
		json_t *late = NULL;

		r = next_message(q, until, &late, err);
		json_decref(late);
	} while (r >= 0 && q->stops == stops && q->off == off && io_now_ms() < until);
	return r < 0 ? r : 0;
}

int qmp_command(struct qmp *q, const char *command, json_t *arguments, json_t **ret,
		struct err *err)
{
	int64_t until = io_now_ms() + QMP_MS;
	json_t *j = json_pack("{s:s}", "execute", command), *answer = NULL, *said;
	auto_free char *text = NULL;
	int r;

	if (arguments)
		json_object_set_new(j, "arguments", arguments);
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	if (send(q->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text) ||
	    send(q->fd, "\n", 1, MSG_NOSIGNAL) != 1) {
		q->ended = true;
		return err_set(err, EPIPE, "QEMU has ended");
	}
	do
		r = next_message(q, until, &answer, err);
	while (r == 0 && io_now_ms() < until);
	if (r < 0)
		return err_wrap(err, "%s", command);
	if (r == 0) {
		q->ended = true; /* as good as: what it says later would be the next one's answer */
		return err_set(err, ETIMEDOUT, "%s: QEMU did not answer within %d s", command,
			       QMP_MS / 1000);
	}
	said = json_object_get(json_object_get(answer, "error"), "desc");
	if (said)
		r = err_set(err, EPROTO, "%s: QEMU: %.300s", command, json_string_value(said));
	else if (ret)
		*ret = json_incref(json_object_get(answer, "return"));
	json_decref(answer);
	return r < 0 ? r : 0;
}

int qmp_monitor(struct qmp *q, const char *command, struct buf *out, struct err *err)
{
	json_t *said = NULL;
	int r = qmp_command(q, "human-monitor-command", json_pack("{s:s}", "command-line", command),
			    &said, err);

	if (r == 0 && out && json_is_string(said))
		buf_add(out, json_string_value(said), json_string_length(said));
	json_decref(said);
	return r;
}

int qmp_icount(struct qmp *q, int64_t *ret, struct err *err)
{
	json_t *j = NULL;
	int r = qmp_command(q, "query-replay", NULL, &j, err);

	if (r == 0)
		*ret = json_integer_value(json_object_get(j, "icount"));
	json_decref(j);
	return r;
}

int qmp_connect(struct qmp *q, const char *path, const volatile int *cancel, struct err *err)
{
	int64_t until = io_now_ms() + CONNECT_MS;

	*q = (struct qmp){.fd = -1};
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(err, ENAMETOOLONG, "too long for a socket: %s", path);
	while ((q->fd = try_connect(path)) < 0) {
		if (cancel && *cancel)
			return err_set(err, EINTR, "interrupted");
		if (io_now_ms() > until)
			return err_set(err, ETIMEDOUT, "QEMU does not listen on %s", path);
		usleep(LOOK_MS * 1000);
	}
	return qmp_command(q, "qmp_capabilities", NULL, NULL, err);
}
