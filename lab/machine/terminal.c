#include "lab/machine/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#include "jail/base/io.h"

enum {
	CHUNK = 16 << 10,
	PIECE = 4096, /* what a pipe takes without waiting once it is ready for any */
	KEY_MS = 1000,
	LOOK_MS = 50,
};

/* For the handler of SIGTSTP, and for whatever ends this process. */
static struct termios cooked, raw;
static volatile sig_atomic_t is_raw;

static void set_mode(const struct termios *mode)
{
	while (tcsetattr(STDIN_FILENO, TCSADRAIN, mode) < 0 && errno == EINTR)
		;
}

/* Stopped by kill(1), say: the shell gets its terminal back, and we ours when we go on. */
static void on_stop(int sig)
{
	int saved = errno;
	bool was = is_raw;

	(void)sig;
	if (was)
		tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
	raise(SIGSTOP);
	if (was)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	errno = saved;
}

/*
 * Another description of the same file, which can be made non-blocking without the shell's becoming
 * so. A plain file has a position, and never blocks; where there is none (a socket, another user's
 * terminal) writing may wait, after poll(2) had said that it would not.
 */
static int reopen(int fd)
{
	auto_free char *path = str_printf("/proc/self/fd/%d", fd);
	struct stat st;

	if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd >= 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void look_at_size(struct terminal *t)
{
	struct winsize size;

	if (!t->tty || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return;
	t->rows = size.ws_row;
	t->columns = size.ws_col;
}

void terminal_open(struct terminal *t)
{
	*t = (struct terminal){.tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)};
	t->out[0] = reopen(STDOUT_FILENO);
	t->out[1] = reopen(STDERR_FILENO);
	look_at_size(t);
	t->told_rows = t->rows;
	t->told_columns = t->columns;
}

void terminal_begin(struct terminal *t)
{
	struct sigaction sa = {.sa_handler = on_stop, .sa_flags = SA_RESTART};

	if (!t->tty || t->raw || tcgetattr(STDIN_FILENO, &cooked) < 0)
		return;
	raw = cooked;
	cfmakeraw(&raw);
	sigaction(SIGTSTP, &sa, NULL);
	is_raw = 1;
	t->raw = true;
	set_mode(&raw);
}

void terminal_restore(struct terminal *t)
{
	if (!t->raw)
		return;
	set_mode(&cooked);
	is_raw = 0;
	t->raw = false;
	signal(SIGTSTP, SIG_DFL);
}

void terminal_close(struct terminal *t)
{
	terminal_restore(t);
	for (int i = 0; i < 2; i++) {
		cleanup_close(&t->out[i]);
		buf_deinit(&t->shown[i]);
		t->out[i] = -1;
	}
	buf_deinit(&t->typed);
}

/* --- the user's side --- */

static size_t waiting(const struct terminal *t, int i)
{
	return t->shown[i].len - t->written[i];
}

void terminal_poll(const struct terminal *t, struct pollfd *fds)
{
	size_t most = t->tty ? TERMINAL_TYPED : TERMINAL_PIPED;
	bool room = t->typed.len - t->taken < most;

	fds[0] = (struct pollfd){.fd = room && !t->in_ended ? STDIN_FILENO : -1, .events = POLLIN};
	for (int i = 0; i < 2; i++)
		fds[1 + i] =
			(struct pollfd){.fd = waiting(t, i) ? t->out[i] : -1, .events = POLLOUT};
}

/* Forget what is gone, now and then. */
static void compact(struct buf *b, size_t *gone)
{
	if (*gone < b->len && *gone < CHUNK)
		return;
	memmove(b->data, b->data + *gone, b->len - *gone);
	b->len -= *gone;
	*gone = 0;
}

static void look_for_key(struct terminal *t, const char *data, size_t len)
{
	int64_t now = io_now_ms();

	for (size_t i = 0; i < len; i++) {
		bool key = data[i] == TERMINAL_KEY;

		if (key && t->key_ms && now - t->key_ms <= KEY_MS)
			t->ended = true;
		t->key_ms = key ? now : 0;
	}
}

static void read_typed(struct terminal *t)
{
	ssize_t n;

	if (t->taken)
		compact(&t->typed, &t->taken);
	buf_reserve(&t->typed, CHUNK);
	n = read(STDIN_FILENO, t->typed.data + t->typed.len, CHUNK);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		t->in_ended = true;
		t->ended = t->tty; /* it hung up */
		return;
	}
	if (t->tty)
		look_for_key(t, t->typed.data + t->typed.len, n);
	t->typed.len += n;
}

static void write_shown(struct terminal *t, int i)
{
	size_t len = waiting(t, i) < PIECE ? waiting(t, i) : PIECE;
	ssize_t n = write(t->out[i], t->shown[i].data + t->written[i], len);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		t->deaf = t->deaf || i == 0;
		n = waiting(t, i);
	}
	t->written[i] += n;
	compact(&t->shown[i], &t->written[i]);
}

void terminal_serve(struct terminal *t, const struct pollfd *fds)
{
	look_at_size(t);
	if (fds[0].fd >= 0 && fds[0].revents)
		read_typed(t);
	for (int i = 0; i < 2; i++)
		if (fds[1 + i].fd >= 0 && fds[1 + i].revents)
			write_shown(t, i);
}

void terminal_drain(struct terminal *t, const volatile int *cancel)
{
	struct pollfd fds[TERMINAL_FDS];

	while ((waiting(t, 0) || waiting(t, 1)) && !t->deaf && !*cancel) {
		terminal_poll(t, fds);
		fds[0].fd = -1;
		poll(fds, TERMINAL_FDS, LOOK_MS);
		terminal_serve(t, fds);
	}
}

/* --- the guest's --- */

void terminal_show(struct terminal *t, int which, const void *data, size_t len)
{
	if (!t->deaf)
		buf_add(&t->shown[which], data, len);
}

bool terminal_full(const struct terminal *t)
{
	return waiting(t, 0) + waiting(t, 1) >= TERMINAL_SHOWN;
}

size_t terminal_typed(const struct terminal *t, const char **ret, size_t max)
{
	size_t len = t->typed.len - t->taken;

	*ret = t->typed.data + t->taken;
	return len < max ? len : max;
}

void terminal_take(struct terminal *t, size_t n)
{
	t->taken += n;
	if (t->taken == t->typed.len)
		compact(&t->typed, &t->taken);
}

bool terminal_at_end(const struct terminal *t)
{
	return t->in_ended && !t->end_told && t->taken == t->typed.len;
}

bool terminal_resized(const struct terminal *t)
{
	return t->rows != t->told_rows || t->columns != t->told_columns;
}
