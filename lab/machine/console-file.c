#include "lab/machine/console-file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "jail/base/io.h"

enum {
	CHUNK = 64 << 10,
	POLL_BUDGET = 4 << 20, /* of one look; what is beyond waits for the next one */
	LINE_MAX_BYTES = 200,
};

int console_file_open(struct console_file *c, const char *dir, uint64_t limit, struct err *err)
{
	auto_free char *path = path_join(dir, "console.log");

	*c = (struct console_file){.socket = -1, .limit = limit, .freed = limit};
	c->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (c->fd < 0)
		return err_errno(err, "create %s", path);
	return 0;
}

int console_file_connect(struct console_file *c, const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "console: too long for a socket: %s", path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_errno(err, "connect to the console %s", path);
	c->socket = take_fd(fd);
	return 0;
}

void console_file_close(struct console_file *c)
{
	cleanup_close(&c->fd);
	cleanup_close(&c->socket);
	c->fd = c->socket = -1;
	buf_deinit(&c->tail);
}

static void keep_tail(struct console_file *c, const char *data, size_t len)
{
	if (c->tail.len + len > 2 * CONSOLE_TAIL) {
		size_t drop = c->tail.len + len - CONSOLE_TAIL;

		if (drop > c->tail.len)
			drop = c->tail.len;
		memmove(c->tail.data, c->tail.data + drop, c->tail.len - drop);
		c->tail.len -= drop;
	}
	buf_add(&c->tail, data, len);
}

/* Give back what lies between the head and the newest bytes, in whole MiB. */
static void free_middle(struct console_file *c)
{
	uint64_t end = c->size & ~((UINT64_C(1) << 20) - 1);

	if (c->unbounded || c->socket >= 0 || c->size <= c->limit || end <= c->freed + (1 << 20))
		return;
	end -= 1 << 20;
	if (end > c->freed && fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, c->freed,
					end - c->freed) < 0)
		c->unbounded = true;
	c->freed = end > c->freed ? end : c->freed;
}

/* From the socket: kept as far as finish() may want it. 0: nothing new, or its end. */
static ssize_t take_bytes(struct console_file *c, char *chunk, size_t len)
{
	ssize_t n = recv(c->socket, chunk, len, MSG_DONTWAIT);
	uint64_t most = c->limit + CONSOLE_TAIL, room = c->size < most ? most - c->size : 0;
	int r = 0;

	if (n < 0 && (errno == EAGAIN || errno == ECONNRESET))
		return 0;
	if (n > 0)
		r = io_write_all(c->fd, chunk, (uint64_t)n < room ? (uint64_t)n : room);
	if (r == 0)
		return n;
	errno = -r;
	return -1;
}

ssize_t console_file_poll(struct console_file *c, struct err *err)
{
	char chunk[CHUNK];
	ssize_t n, came = 0;

	while (came < POLL_BUDGET) {
		n = c->socket >= 0 ? take_bytes(c, chunk, sizeof(chunk))
				   : pread(c->fd, chunk, sizeof(chunk), (off_t)c->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "console.log");
		if (n == 0)
			break;
		c->size += n;
		came += n;
		keep_tail(c, chunk, n);
		crash_watch_feed(&c->watch, chunk, n);
	}
	free_middle(c);
	return came;
}

char *console_file_last_line(const struct console_file *c)
{
	const char *text = c->tail.data;
	auto_cleanup(buf) line = {0};
	size_t end = c->tail.len, start;

	while (end && strchr(" \t\r\n", text[end - 1]) && text[end - 1])
		end--;
	for (start = end; start && text[start - 1] != '\n'; start--)
		;
	if (start == end)
		return NULL;
	str_printable(&line, text + start, end - start, LINE_MAX_BYTES, false);
	return take_ptr(line.data);
}

char *console_file_behind(const struct console_file *c, char *text)
{
	auto_free char *owned = text, *line = console_file_last_line(c);

	return line ? str_printf("%s; the console ends: %s", text, line)
		    : str_printf("%s; the console is empty", text);
}

char *console_file_panic_line(const struct console_file *c)
{
	static const char mark[] = "Kernel panic - not syncing";
	const struct buf *tail = &c->tail;
	const char *at = tail->len ? memmem(tail->data, tail->len, mark, sizeof(mark) - 1) : NULL;
	auto_cleanup(buf) line = {0};
	const char *stop;

	if (!at)
		return xstrdup("the guest's kernel panicked");
	stop = memchr(at, '\n', tail->data + tail->len - at);
	str_printable(&line, at, (stop ? stop : tail->data + tail->len) - at, 200, false);
	return take_ptr(line.data);
}

int console_file_split(struct console_file *c, uint64_t from, struct buf *ret, struct err *err)
{
	char chunk[CHUNK];
	uint64_t at = from;
	ssize_t n;

	while ((n = pread(c->fd, chunk, sizeof(chunk), (off_t)at)) > 0) {
		buf_add(ret, chunk, n);
		at += n;
	}
	if (n < 0 || ftruncate(c->fd, (off_t)from) < 0 || lseek(c->fd, 0, SEEK_END) < 0)
		return err_errno(err, "cut console.log");
	c->size = from;
	return 0;
}

int console_file_finish(struct console_file *c, struct stream *ret, struct err *err)
{
	auto_free char *said = NULL;
	size_t tail = c->tail.len < CONSOLE_TAIL ? c->tail.len : CONSOLE_TAIL;
	int r = 0;

	*ret = (struct stream){.seen = c->size, .kept = c->size};
	if (c->size <= c->limit + CONSOLE_TAIL)
		return 0;
	said = str_printf("\n[%" PRIu64 " bytes left out here]\n", c->size - c->limit - tail);
	if (ftruncate(c->fd, (off_t)c->limit) < 0 || lseek(c->fd, 0, SEEK_END) < 0)
		return err_errno(err, "cut console.log");
	r = io_write_all(c->fd, said, strlen(said));
	if (r == 0)
		r = io_write_all(c->fd, c->tail.data + c->tail.len - tail, tail);
	if (r < 0)
		return err_set(err, -r, "write console.log: %s", strerror(-r));
	ret->kept = c->limit + tail;
	return 0;
}
