#include "vm/agent/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "jail/base/io.h"

#define STRACE "/usr/bin/strace"
#define STRACE_FIFO "/run/lab-strace"
enum { PIPE_BYTES = 256 << 10 };

extern char **environ;

/*
 * -DD: the tracer is the one that forks off, so that the payload stays our child, with its own
 * status and resource use. A fifo carries the log: a pipe's descriptor would leak into the payload.
 */
static const char *const strace_argv[] = {
	STRACE, "-DD", "-f", "-q", "-ttt", "-T", "-y", "-s", "128", "-o", STRACE_FIFO, "--",
};

static const char *const default_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/root",
	"LANG=C.UTF-8",
};

static bool env_has(const struct strv *env, const char *entry)
{
	size_t key = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < env->n; i++)
		if (strncmp(env->items[i], entry, key) == 0)
			return true;
	return false;
}

static int open_pipe(int *read_end, int *write_end, struct err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno(err, "pipe");
	*read_end = p[0];
	*write_end = p[1];
	fcntl(p[0], F_SETFL,
	      O_NONBLOCK); /* the write end is another description: it still blocks */
	fcntl(p[1], F_SETPIPE_SZ, PIPE_BYTES);
	return 0;
}

static int open_fifo(int *read_end, struct err *err)
{
	unlink(STRACE_FIFO);
	if (mkfifo(STRACE_FIFO, 0600) < 0)
		return err_errno(err, "create " STRACE_FIFO);
	*read_end = open(STRACE_FIFO, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return *read_end < 0 ? err_errno(err, "open " STRACE_FIFO) : 0;
}

/* 0 when execvp(3) would find name, else what a shell would exit with. strace would say 1 for both.
 */
static int not_runnable(const char *name)
{
	const char *path = getenv("PATH");
	struct stat st;
	int best = 127;

	if (strchr(name, '/') || !path)
		return access(name, X_OK) == 0 ? 0 : errno == EACCES ? 126 : 127;
	for (const char *next; path; path = next) {
		char full[PATH_MAX];
		size_t n = strcspn(path, ":");

		next = path[n] ? path + n + 1 : NULL;
		if (snprintf(full, sizeof(full), "%.*s/%s", (int)n, n ? path : ".", name) >=
			    PATH_MAX ||
		    stat(full, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (access(full, X_OK) == 0)
			return 0;
		best = 126;
	}
	return best;
}

static void say(const char *what, const char *why)
{
	dprintf(STDERR_FILENO, "lab-agent: %s: %s\n", what, why);
}

static void reset_process(void)
{
	sigset_t none;
	int fd;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpriority(PRIO_PROCESS, 0, 0);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		io_write_all(fd, "0", 1);
		close(fd);
	}
}

static void run_child(const struct job *job, char *const *argv, int in, int out, int err_fd)
{
	int code;

	setsid();
	if (job->tty)
		ioctl(in, TIOCSCTTY, 0);
	reset_process();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err_fd, 2);
	environ = job->env.items;
	if (fchdir(job->cwd_fd) < 0) {
		say("working folder", strerror(errno));
		_exit(126);
	}
	code = not_runnable(job->argv.items[0]);
	if (code) {
		say(job->argv.items[0], code == 127 ? "not found" : "not executable");
		_exit(code);
	}
	if (job->hold)
		raise(SIGSTOP);
	execvp(argv[0], argv);
	say(argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int open_terminal(struct job *job, int *in, int *out, int *err_fd, struct err *err)
{
	struct input *input = &job->input;
	int r = input_open_terminal(input, job->rows, job->columns, err);

	if (r < 0)
		return r;
	job->streams[0].fd = fcntl(input->fd, F_DUPFD_CLOEXEC, 0);
	*in = fcntl(input->slave, F_DUPFD_CLOEXEC, 0);
	*out = fcntl(input->slave, F_DUPFD_CLOEXEC, 0);
	*err_fd = fcntl(input->slave, F_DUPFD_CLOEXEC, 0);
	return *err_fd < 0 ? err_errno(err, "open a terminal") : 0;
}

/* What the payload gets as 0, 1 and 2. */
static int open_standard(struct job *job, int *in, int *out, int *err_fd, struct err *err)
{
	int r;

	if (job->tty)
		return open_terminal(job, in, out, err_fd, err);
	if (job->has_stdin) {
		r = input_open_pipe(&job->input, in, err);
	} else {
		*in = open("/dev/null", O_RDONLY | O_CLOEXEC);
		r = *in < 0 ? err_errno(err, "open /dev/null") : 0;
	}
	if (r == 0)
		r = open_pipe(&job->streams[0].fd, out, err);
	return r < 0 ? r : open_pipe(&job->streams[1].fd, err_fd, err);
}

int spawn_payload(struct job *job, struct err *err)
{
	auto_close int in = -1, out = -1, err_fd = -1;
	auto_cleanup(strv) argv = {0};

	for (size_t i = 0; i < array_len(default_env); i++)
		if (!env_has(&job->env, default_env[i]))
			strv_add(&job->env, default_env[i]);
	for (size_t i = 0; job->trace && i < array_len(strace_argv); i++)
		strv_add(&argv, strace_argv[i]);
	for (size_t i = 0; i < job->argv.n; i++)
		strv_add(&argv, job->argv.items[i]);
	if (open_standard(job, &in, &out, &err_fd, err) < 0 ||
	    (job->trace && open_fifo(&job->streams[2].fd, err) < 0))
		return -err->code;
	job->pid = fork();
	if (job->pid < 0)
		return err_errno(err, "fork");
	if (job->pid == 0)
		run_child(job, argv.items, in, out, err_fd);
	return 0;
}

void spawn_kill_all(bool but_strace)
{
	auto_closedir DIR *d = but_strace ? opendir("/proc") : NULL;
	struct dirent *e;

	if (!d) {
		kill(-1, SIGKILL);
		return;
	}
	while ((e = readdir(d))) {
		char link[32], exe[sizeof(STRACE) + 1];
		int pid = atoi(e->d_name);
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/%d/exe", pid);
		n = pid > 1 ? readlink(link, exe, sizeof(exe)) : -1;
		if (n < 0) /* a thread of the kernel, or a zombie */
			continue;
		if (n != sizeof(STRACE) - 1 || memcmp(exe, STRACE, n) != 0)
			kill(pid, SIGKILL);
	}
}
