#include "jail/supervise/events.h"

#include <poll.h>
#include <time.h>

#include "jail/base/io.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000 };

/* Returns whether it was written. A descriptor without a reader is given up. */
static bool put(int *fd, bool *is_stuck, const struct buf *line)
{
	struct pollfd out = {.fd = *fd, .events = POLLOUT};

	/* wait once: a reader that does not keep up must not cost the command a second a line */
	if (poll(&out, 1, *is_stuck ? 0 : EVENTS_WAIT_MS) <= 0) {
		*is_stuck = true;
		return false;
	}
	*is_stuck = false;
	if (io_write_all(*fd, line->data, line->len) < 0)
		*fd = -1;
	return true;
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
	bool is_whole = true;

	if (e->lost)
		json_add_u64(object, "lost", e->lost);
	buf_adds(object, "}\n");
	if (e->log_fd >= 0)
		is_whole &= put(&e->log_fd, &e->is_log_stuck, object);
	if (e->status_fd >= 0)
		is_whole &= put(&e->status_fd, &e->is_status_stuck, object);
	e->lost = is_whole ? 0 : e->lost + 1;
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
