#include "jail/supervise/events.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

#include "jail/base/io.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000 };

/* Up to PIPE_BUF bytes, for which a pipe has room when poll(2) says that it has some. */
static int put_part(int fd, bool is_stuck, const char *data, size_t size)
{
	struct pollfd out = {.fd = fd, .events = POLLOUT};

	/* wait once: a reader that does not keep up must not cost the command a second a line */
	if (poll(&out, 1, is_stuck ? 0 : EVENTS_WAIT_MS) <= 0)
		return -EAGAIN;
	/* before SIGPIPE is blocked a write would be the end */
	return out.revents & POLLERR ? -EPIPE : io_write_all(fd, data, size);
}

/*
 * Returns 0, -EAGAIN when there was no room, or another negative errno: then the descriptor was
 * given up, as it is after half a line.
 */
static int put(int *fd, bool *is_stuck, const struct buf *line)
{
	int r = 0;

	for (size_t at = 0, n; r == 0 && at < line->len; at += n) {
		n = line->len - at < PIPE_BUF ? line->len - at : PIPE_BUF;
		r = put_part(*fd, *is_stuck, line->data + at, n);
		*is_stuck = r == -EAGAIN;
		if (r < 0 && (at > 0 || r != -EAGAIN))
			*fd = -1;
	}
	return r;
}

void events_begin(struct buf *object, const char *event)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	buf_addf(object, "{\"event\": \"%s\", \"time\": %lld.%03ld", event, (long long)now.tv_sec,
		 now.tv_nsec / NS_PER_MS);
}

void events_end(struct events *e, struct buf *object)
{
	int log = 0, status = 0;

	if (e->lost)
		json_add_u64(object, "lost", e->lost);
	buf_adds(object, "}\n");
	if (e->log_fd >= 0)
		log = put(&e->log_fd, &e->is_log_stuck, object);
	if (e->status_fd >= 0)
		status = put(&e->status_fd, &e->is_status_stuck, object);
	e->lost = log == -EAGAIN || status == -EAGAIN ? e->lost + 1 : 0;
	e->log_error = log && e->log_fd < 0 ? -log : e->log_error;
}

void events_add_time(struct buf *line)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	buf_addf(line, "%02d:%02d:%02d.%03ld ", tm.tm_hour, tm.tm_min, tm.tm_sec,
		 now.tv_nsec / NS_PER_MS);
}

void events_show(struct events *e, struct buf *line)
{
	buf_adds(line, "\n");
	if (e->show_fd >= 0)
		put(&e->show_fd, &e->is_show_stuck, line);
}
