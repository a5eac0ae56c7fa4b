#include "lab/machine/control.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "jail/base/io.h"
#include "jail/base/str.h"

static int address(const char *path, struct sockaddr_un *ret, struct err *err)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path))
		return err_set(err, ENAMETOOLONG, "socket %s: its path is too long", path);
	memcpy(ret->sun_path, path, strlen(path) + 1);
	return 0;
}

static int watch(struct control *c, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(c->fd, EPOLL_CTL_ADD, fd, &ev);
}

int control_open(struct control *c, const char *path, struct err *err)
{
	struct sockaddr_un addr;
	auto_close int fd = -1, all = -1;
	int r = address(path, &addr, err);

	*c = (struct control){.fd = -1, .listener = -1};
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i] = -1;
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	all = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0 || all < 0)
		return err_errno(err, "socket %s", path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_errno(err, "socket %s", path);
	c->path = xstrdup(path);
	c->fd = take_fd(all);
	c->listener = take_fd(fd);
	if (listen(c->listener, CONTROL_CLIENTS) < 0 || watch(c, c->listener) < 0) {
		err_errno(err, "socket %s", path);
		control_close(c);
		return err ? -err->code : -EIO;
	}
	return 0;
}

static void take_client(struct control *c)
{
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int *place = &c->clients[c->next];

	if (fd < 0)
		return;
	cleanup_close(place);
	*place = fd;
	c->next = (c->next + 1) % CONTROL_CLIENTS;
	if (watch(c, fd) < 0) {
		close(fd);
		*place = -1;
	}
}

static int send_json(int fd, const json_t *j)
{
	auto_free char *text = json_dumps(j, JSON_COMPACT);

	if (!text || strlen(text) > CONTROL_MAX)
		return -E2BIG;
	return send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* A packet's object; NULL with errno: EAGAIN, 0 (the end), EPROTO. */
static json_t *receive_json(int fd)
{
	auto_free char *text = xmalloc(CONTROL_MAX);
	ssize_t n = recv(fd, text, CONTROL_MAX, MSG_DONTWAIT | MSG_TRUNC);
	json_t *j;

	if (n < 0)
		return NULL;
	j = n > CONTROL_MAX ? NULL : json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(j)) {
		json_decref(j);
		errno = n ? EPROTO : 0;
		return NULL;
	}
	return j;
}

/* Returns whether the client may stay. */
static bool answer_client(struct control *c, int fd, control_fn answer, void *data)
{
	json_t *request = receive_json(fd), *said = NULL;
	const char *op;
	int r;

	if (!request)
		return errno == EAGAIN || errno == EINTR;
	c->asking = fd;
	op = json_string_value(json_object_get(request, "op"));
	if (op)
		said = answer(data, op, request);
	if (!said)
		said = json_pack("{s:s}", "error", "this lab does not know what it is asked for");
	r = send_json(fd, said);
	json_decref(said);
	json_decref(request);
	return r == 0;
}

bool control_asker_left(const struct control *c)
{
	struct pollfd p = {.fd = c->asking};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

void control_serve(struct control *c, control_fn answer, void *data)
{
	struct epoll_event ready[CONTROL_CLIENTS + 1];
	int n = c->fd < 0 ? 0 : epoll_wait(c->fd, ready, CONTROL_CLIENTS + 1, 0);

	for (int k = 0; k < n; k++) {
		if (ready[k].data.fd == c->listener)
			continue;
		for (int i = 0; i < CONTROL_CLIENTS; i++) {
			if (c->clients[i] != ready[k].data.fd)
				continue;
			if (!answer_client(c, c->clients[i], answer, data))
				cleanup_close(&c->clients[i]), c->clients[i] = -1;
		}
	}
	/* last: a client that is taken may have the number of one that was closed just now */
	for (int k = 0; k < n; k++)
		if (ready[k].data.fd == c->listener)
			take_client(c);
}

void control_close(struct control *c)
{
	if (c->path) {
		unlink(c->path);
		for (int i = 0; i < CONTROL_CLIENTS; i++)
			cleanup_close(&c->clients[i]);
		cleanup_close(&c->listener);
		cleanup_close(&c->fd);
	}
	free(c->path);
	*c = (struct control){.fd = -1, .listener = -1};
}

int control_connect(const char *path, struct err *err)
{
	struct sockaddr_un addr;
	int r = address(path, &addr, err);
	auto_close int fd = r < 0 ? -1 : socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (r < 0)
		return r;
	if (fd < 0)
		return err_errno(err, "socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return take_fd(fd);
	if (errno == ENOENT || errno == ECONNREFUSED)
		return err_set(err, ESRCH, "nobody listens on %s", path);
	return err_errno(err, "connect to %s", path);
}

int control_ask(int fd, const json_t *request, int timeout_ms, json_t **answer, struct err *err)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	json_t *said;
	const char *wrong;
	int r = send_json(fd, request);

	if (r == -EPIPE || r == -ECONNRESET)
		return err_set(err, ESRCH, "it has just ended");
	if (r < 0)
		return err_set(err, -r, "ask: %s", strerror(-r));
	if (poll(&p, 1, timeout_ms) <= 0)
		return err_set(err, ETIMEDOUT, "no answer within %d ms", timeout_ms);
	said = receive_json(fd);
	if (!said && (errno == 0 || errno == ECONNRESET))
		return err_set(err, ESRCH, "it has just ended");
	if (!said)
		return err_set(err, EPROTO, "an answer that is none");
	wrong = json_string_value(json_object_get(said, "error"));
	if (wrong) {
		err_set(err, EIO, "%s", wrong);
		json_decref(said);
		return -EIO;
	}
	*answer = said;
	return 0;
}

int control_wait_end(int fd, int timeout_ms)
{
	int64_t until = io_now_ms() + timeout_ms, left;

	while ((left = until - io_now_ms()) > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char rest[64];

		if (poll(&p, 1, (int)left) > 0 && recv(fd, rest, sizeof(rest), MSG_DONTWAIT) <= 0)
			return 0;
	}
	return -ETIMEDOUT;
}
