#include "jail/system/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 65536, SIGNAL_CHECK_MS = 100 };

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

/* --- the copier --- */

struct copier {
	struct pollfd from[2];
	int to[2];
	uint64_t left;
};

/* All of it, however long it takes: stdout may be set not to block, by who else has it open. */
static bool write_out(int fd, const char *data, size_t size)
{
	struct pollfd out = {.fd = fd, .events = POLLOUT};

	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0 && errno == EAGAIN)
			poll(&out, 1, -1);
		else if (n < 0 && errno != EINTR)
			return false;
		data += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Returns false once the limit is passed. */
static bool copy(struct copier *c, size_t i)
{
	static char chunk[CHUNK];
	ssize_t n = read(c->from[i].fd, chunk, sizeof(chunk));
	size_t len;

	if (n < 0 && errno == EINTR)
		return true;
	len = n > 0 ? (size_t)n : 0;
	if (len > c->left)
		len = c->left;
	c->left -= len;
	/* a reader that is gone is the command's to notice, as it would without us */
	if (n <= 0 || !write_out(c->to[i], chunk, len)) {
		close(c->from[i].fd);
		c->from[i].fd = -1;
	}
	return n <= 0 || (size_t)n == len;
}

static void run_copier(struct copier *c, int event_fd)
{
	/* no filter holds us: the command must not take hold of us */
	prctl(PR_SET_DUMPABLE, 0);
	/* what was written shall arrive, however the command ends */
	for (size_t i = 0; i < array_len(ending); i++)
		signal(ending[i], SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	close(STDIN_FILENO);
	while (c->from[0].fd >= 0 || c->from[1].fd >= 0) {
		if (poll(c->from, 2, -1) < 0)
			continue;
		for (size_t i = 0; i < 2; i++) {
			if (c->from[i].fd < 0 || !c->from[i].revents || copy(c, i))
				continue;
			if (write(event_fd, "L", 1) < 0)
				_exit(1);
			_exit(0);
		}
	}
	_exit(0);
}

/* --- jail's side --- */

static bool is_one_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static int make_pipe(int *read_fd, int *write_fd, struct err *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(err, "make a pipe for the output");
	*read_fd = fds[0];
	*write_fd = fds[1];
	return 0;
}

int output_start(uint64_t limit, struct output *ret, struct err *err)
{
	auto_close int out = -1, out_end = -1, errs = -1, err_end = -1, event = -1, event_end = -1;
	pid_t pid;
	int r = make_pipe(&out, &out_end, err);

	if (r >= 0 && !is_one_file(STDOUT_FILENO, STDERR_FILENO))
		r = make_pipe(&errs, &err_end, err);
	if (r >= 0)
		r = make_pipe(&event, &event_end, err);
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return err_errno(err, "start what copies the output");
	if (pid == 0) {
		struct copier c = {
			.from = {{.fd = out, .events = POLLIN}, {.fd = errs, .events = POLLIN}},
			.to = {STDOUT_FILENO, STDERR_FILENO},
			.left = limit,
		};

		close(take_fd(out_end));
		if (err_end >= 0)
			close(take_fd(err_end));
		close(take_fd(event));
		run_copier(&c, event_end);
	}
	*ret = (struct output){take_fd(out_end), take_fd(err_end), take_fd(event), pid, false};
	return 0;
}

int output_use(const struct output *output, struct err *err)
{
	int errs = output->err_fd >= 0 ? output->err_fd : output->out_fd;

	if (output->out_fd < 0)
		return 0;
	if (dup2(output->out_fd, STDOUT_FILENO) < 0 || dup2(errs, STDERR_FILENO) < 0)
		return err_set(err, errno, "%s", strerror(errno));
	return 0;
}

void output_started(struct output *output)
{
	cleanup_close(&output->out_fd);
	cleanup_close(&output->err_fd);
	output->out_fd = output->err_fd = -1;
}

/* Returns whether the copier is done, one way or the other. */
static bool look(struct output *output, int wait_ms)
{
	struct pollfd fd = {.fd = output->event_fd, .events = POLLIN};
	char c;

	if (output->event_fd < 0)
		return true;
	if (poll(&fd, 1, wait_ms) <= 0)
		return false;
	output->is_over_limit = read(output->event_fd, &c, 1) == 1;
	close(take_fd(output->event_fd));
	while (waitpid(output->pid, NULL, 0) < 0 && errno == EINTR)
		;
	return true;
}

bool output_over_limit(struct output *output)
{
	look(output, 0);
	return output->is_over_limit;
}

static bool shall_end(void)
{
	sigset_t set;

	sigpending(&set);
	for (size_t i = 0; i < array_len(ending); i++)
		if (sigismember(&set, ending[i]))
			return true;
	return false;
}

void output_finish(struct output *output)
{
	output_started(output);
	while (!look(output, SIGNAL_CHECK_MS) && !shall_end())
		;
	output_deinit(output);
}

void output_deinit(struct output *output)
{
	output_started(output);
	/* without an end seen on event_fd the copier has not ended: the pid is its own */
	if (!look(output, 0)) {
		kill(output->pid, SIGKILL);
		look(output, -1);
	}
}
