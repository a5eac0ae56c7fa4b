#include "vm/agent/input.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vm/proto.h"

int input_open_pipe(struct input *in, int *read_end, struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno(err, "pipe");
	fcntl(p[1], F_SETFL, O_NONBLOCK);
	*read_end = p[0];
	in->fd = p[1];
	return 0;
}

static int set_size(int fd, uint64_t rows, uint64_t columns)
{
	struct winsize size = {.ws_row = rows, .ws_col = columns};

	return ioctl(fd, TIOCSWINSZ, &size);
}

int input_open_terminal(struct input *in, uint64_t rows, uint64_t columns, struct err *err)
{
	auto_close int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	char name[32];

	if (master < 0)
		return err_errno(err, "open a terminal (the kernel's UNIX98_PTYS): /dev/ptmx");
	if (unlockpt(master) < 0 || ptsname_r(master, name, sizeof(name)) != 0)
		return err_errno(err, "open a terminal");
	in->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (in->slave < 0)
		return err_errno(err, "open a terminal: %s", name);
	set_size(master, rows, columns);
	in->fd = take_fd(master);
	return 0;
}

void input_close(struct input *in)
{
	cleanup_close(&in->fd);
	cleanup_close(&in->slave);
	buf_deinit(&in->waiting);
	*in = (struct input){.fd = -1, .slave = -1};
}

static void reset(struct input *in)
{
	in->written = 0;
	buf_reset(&in->waiting);
}

void input_add(struct input *in, const uint8_t *data, size_t len)
{
	if (in->fd < 0 || in->ended)
		return;
	if (in->written >= INPUT_HIGH) {
		memmove(in->waiting.data, in->waiting.data + in->written, input_waiting(in));
		in->waiting.len -= in->written;
		in->written = 0;
	}
	buf_add(&in->waiting, data, len);
	in->ended = !len;
	input_flush(in);
}

int input_resize(struct input *in, const uint8_t *words, size_t len, struct err *err)
{
	uint64_t rows = 0, columns = 0;
	const char *key, *value;
	size_t pos = 0;
	int r;

	while ((r = proto_next_word(words, len, &pos, &key, &value)) > 0) {
		if (str_eq(key, "rows"))
			r = str_to_u64(value, 0, UINT16_MAX, &rows);
		else if (str_eq(key, "columns"))
			r = str_to_u64(value, 0, UINT16_MAX, &columns);
		if (r < 0)
			break;
	}
	if (r < 0)
		return err_set(err, EPROTO, "a terminal's size that is none");
	if (in->slave >= 0)
		set_size(in->fd, rows, columns);
	return 0;
}

void input_flush(struct input *in)
{
	while (in->fd >= 0 && input_waiting(in)) {
		ssize_t n = write(in->fd, in->waiting.data + in->written, input_waiting(in));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) { /* nobody reads it any more */
			cleanup_close(&in->fd);
			in->fd = -1;
			break;
		}
		in->written += n;
	}
	reset(in);
	/* a terminal has no end: who sits before it hangs up, and the machine goes */
	if (in->ended && in->slave < 0) {
		cleanup_close(&in->fd);
		in->fd = -1;
	}
}
