#include "jail/base/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

enum { OUT_MAX = 64 << 20, ERR_MAX = 64 << 10 };

extern char **environ;

pid_t proc_spawn(char *const argv[], int in, int out, int errfd, struct err *err)
{
	return proc_spawn_how(argv, in, out, errfd, &(struct proc_how){0}, err);
}

pid_t proc_spawn_how(char *const argv[], int in, int out, int errfd, const struct proc_how *how,
		     struct err *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, all;
	pid_t pid = -1;
	int r;

	if (how->own_group)
		flags |= POSIX_SPAWN_SETPGROUP; /* group 0, the default: its own */

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	if (in >= 0)
		posix_spawn_file_actions_adddup2(&actions, in, 0);
	else
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&actions, out, 1);
	if (errfd >= 0)
		posix_spawn_file_actions_adddup2(&actions, errfd, 2);
	if (how->dir)
		posix_spawn_file_actions_addchdir_np(&actions, how->dir);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, flags);
	r = posix_spawnp(&pid, argv[0], &actions, &attr, argv,
			 how->env ? (char **)how->env : environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (r)
		return err_set(err, r, "start %s: %s", argv[0], strerror(r));
	return pid;
}

int proc_exit_code(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return 128 + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

/* Drain one pipe; beyond max the rest is read and dropped. Returns 1 at end of file. */
static int drain(int fd, struct buf *to, size_t max)
{
	char chunk[16384];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : 1;
	if (n == 0)
		return 1;
	if (to && to->len < max)
		buf_add(to, chunk, (size_t)n < max - to->len ? (size_t)n : max - to->len);
	return 0;
}

int proc_run(char *const argv[], struct buf *out, struct buf *errout, struct err *err)
{
	auto_close int or = -1, ow = -1, er = -1, ew = -1;
	struct pollfd fds[2];
	int p[2], status;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno(err, "pipe");
	or = p[0], ow = p[1];
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno(err, "pipe");
	er = p[0], ew = p[1];
	pid = proc_spawn(argv, -1, ow, ew, err);
	if (pid < 0)
		return pid;
	close(take_fd(ow));
	close(take_fd(ew));
	fds[0] = (struct pollfd){.fd = or, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = er, .events = POLLIN};
	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents && drain(or, out, OUT_MAX))
			fds[0].fd = -1;
		if (fds[1].revents && drain(er, errout, ERR_MAX))
			fds[1].fd = -1;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, "wait for %s", argv[0]);
	if (out && out->len >= OUT_MAX)
		return err_set(err, EFBIG, "%s printed more than %d MiB", argv[0], OUT_MAX >> 20);
	return proc_exit_code(status);
}

char *proc_find(const char *program)
{
	const char *path = getenv("PATH");
	auto_cleanup(strv) dirs = {0};

	strv_split(&dirs, path ? path : "/usr/local/bin:/usr/bin:/bin", ':');
	for (size_t i = 0; i < dirs.n; i++) {
		auto_free char *file = path_join(dirs.items[i], program);

		if (file[0] == '/' && access(file, X_OK) == 0)
			return take_ptr(file);
	}
	return NULL;
}
