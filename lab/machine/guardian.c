#include "lab/machine/guardian.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "jail/base/str.h"

#define MARK "--emulator" /* argv[1] when started as a wrapper's interpreter */

enum {
	ADOPT_MS = 5000,  /* until a daemonised QEMU must have become the guardian's child */
	END_MS = 5000,	  /* until killed processes must be gone */
	STOP_LOOKS = 250, /* of 2 ms: until the worker must have stopped */
};

static pid_t guardian;

pid_t guardian_pid(void)
{
	return guardian;
}

/* The parent of a process, or -1. The name field may hold anything, blanks and ')' too. */
static pid_t parent_of(const char *pid)
{
	auto_fclose FILE *f = NULL;
	auto_free char *path = str_printf("/proc/%s/stat", pid);
	char line[512], *end;
	int parent;

	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		return -1;
	end = strrchr(line, ')');
	if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
		return -1;
	return parent;
}

/* Kill every child there is now. Children of the killed become ours: the caller comes again. */
static void kill_children(void)
{
	auto_closedir DIR *proc = opendir("/proc");
	struct dirent *d;
	pid_t self = getpid();

	while (proc && (d = readdir(proc)))
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9' && parent_of(d->d_name) == self)
			kill(atoi(d->d_name), SIGKILL);
}

static void end_what_is_left(void)
{
	int64_t limit = io_now_ms() + END_MS;
	pid_t pid;

	do {
		kill_children();
		do
			pid = waitpid(-1, NULL, WNOHANG);
		while (pid > 0);
		if (pid < 0)
			return;
		usleep(2000);
	} while (io_now_ms() < limit);
}

/* End as the worker did, so that a shell sees the same. */
static void __attribute__((noreturn)) end_like(int status)
{
	if (WIFSIGNALED(status)) {
		struct rlimit none = {0};
		sigset_t set;

		setrlimit(RLIMIT_CORE, &none);
		signal(WTERMSIG(status), SIG_DFL);
		sigemptyset(&set);
		sigaddset(&set, WTERMSIG(status));
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		kill(getpid(), WTERMSIG(status));
	}
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void watched_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGQUIT);
	sigaddset(set, SIGTSTP);
}

/*
 * Stop with the worker, which gives the terminal back first (terminal.h), and go on with it: a
 * shell sees and continues this process.
 */
static void stop_with(pid_t worker, bool told)
{
	struct timespec pause = {.tv_nsec = 2000000};
	siginfo_t info = {0};
	sigset_t stop;

	if (!told)
		kill(worker, SIGTSTP);
	for (int i = 0; i < STOP_LOOKS && !info.si_pid; i++) {
		nanosleep(&pause, NULL);
		waitid(P_PID, worker, &info, WSTOPPED | WNOHANG | WNOWAIT);
	}
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL); /* here it stops */
	sigprocmask(SIG_BLOCK, &stop, NULL);
	kill(worker, SIGCONT);
}

/* The worker was killed and could not give the terminal back as it was. */
static void restore_terminal(const struct termios *mode)
{
	signal(SIGTTOU, SIG_IGN);
	tcsetattr(STDIN_FILENO, TCSANOW, mode);
}

static void __attribute__((noreturn)) guard(pid_t worker, const sigset_t *set)
{
	struct termios mode;
	bool terminal = tcgetattr(STDIN_FILENO, &mode) == 0;
	int status, worker_status = 0;
	bool ended = false;
	siginfo_t info;
	pid_t pid;

	while (!ended) {
		if (sigwaitinfo(set, &info) < 0)
			continue;
		if (info.si_signo == SIGTSTP) {
			stop_with(worker, info.si_code == SI_KERNEL);
			continue;
		}
		if (info.si_signo != SIGCHLD) {
			/* The terminal has told the worker itself. */
			if (info.si_code != SI_KERNEL)
				kill(worker, info.si_signo);
			continue;
		}
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid != worker)
				continue;
			ended = true;
			worker_status = status;
		}
	}
	if (terminal && WIFSIGNALED(worker_status) && tcgetpgrp(STDIN_FILENO) == getpgrp())
		restore_terminal(&mode);
	end_what_is_left();
	end_like(worker_status);
}

int guardian_start(struct err *err)
{
	pid_t self = getpid(), pid;
	sigset_t set, old;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return err_errno(err, "become the reaper of machines");
	signal(SIGCHLD,
	       SIG_DFL); /* ignored by whoever started us: the worker's end would be lost */
	/* Blocked before the fork: no child's end and no ^C may fall between. */
	watched_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		return err_errno(err, "fork the worker");
	}
	if (pid > 0)
		guard(pid, &set);
	guardian = self;
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (getppid() != self)
		raise(SIGTERM);
	return 0;
}

/* The text of a wrapper: hand over to this program, whatever characters its path has. */
static char *wrapper_text(struct err *err)
{
	auto_cleanup(buf) text = {0};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0) {
		err_errno(err, "find this program's own path");
		return NULL;
	}
	buf_adds(&text, "#!/bin/sh\nexec '");
	for (ssize_t i = 0; i < n; i++) {
		if (self[i] == '\'')
			buf_adds(&text, "'\\'");
		buf_add(&text, self + i, 1);
	}
	buf_adds(&text, "' " MARK " \"$0\" \"$@\"\n");
	return take_ptr(text.data);
}

/* Each program that wraps has a folder of its own: two builds must not take turns in one. */
static char *folder_for(const char *dir, const char *text)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3;
	return str_printf("%s/%016" PRIx64, dir, h);
}

static bool is_file_with(const char *path, const char *text)
{
	auto_cleanup(buf) have = {0};

	return io_read_file(AT_FDCWD, path, 2 * PATH_MAX, &have, NULL) == 0 && have.data &&
	       str_eq(have.data, text);
}

static bool is_link_to(const char *path, const char *target)
{
	char have[PATH_MAX];
	ssize_t n = readlink(path, have, sizeof(have) - 1);

	return n >= 0 && (size_t)n == strlen(target) && !memcmp(have, target, n);
}

static int replace_link(const char *target, const char *path, struct err *err)
{
	auto_free char *tmp = str_printf("%s.%d", path, (int)getpid());

	if (is_link_to(path, target))
		return 0;
	unlink(tmp);
	if (symlink(target, tmp) < 0 || rename(tmp, path) < 0)
		return err_errno(err, "create %s", path);
	return 0;
}

int guardian_wrap_qemu(const char *dir, const char *qemu, char **ret, struct err *err)
{
	const char *name = strrchr(qemu, '/');
	auto_free char *text = wrapper_text(err), *folder = NULL, *real = NULL, *path = NULL;
	int r;

	if (!text)
		return err ? -err->code : -EIO;
	folder = folder_for(dir, text);
	real = path_join(folder, "real");
	path = path_join(folder, name ? name + 1 : qemu);
	r = io_mkdirs(folder, 0700, err);
	if (r == 0)
		r = replace_link(qemu, real, err);
	if (r == 0 && !is_file_with(path, text))
		r = io_write_atomic(AT_FDCWD, path, text, strlen(text), 0700, err);
	if (r == 0)
		*ret = take_ptr(path);
	return r;
}

/* Wait until the guardian has adopted this process, then share its fate. */
static void tie_to(pid_t parent)
{
	int64_t limit = io_now_ms() + ADOPT_MS;
	struct timespec pause = {.tv_nsec = 200000};

	while (getppid() != parent && (kill(parent, 0) == 0 || errno == EPERM) &&
	       io_now_ms() < limit)
		nanosleep(&pause, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() == parent)
		return;
	dprintf(2, "lab: the guardian (process %d) is gone\n", (int)parent);
	_exit(126);
}

void guardian_exec_qemu(int argc, char **argv)
{
	const char *pid = getenv("LAB_GUARDIAN");
	auto_free char *real = NULL;
	char *slash, **args;
	uint64_t parent;

	if (argc < 3 || !str_eq(argv[1], MARK))
		return;
	args = argv + 2; /* the wrapper's path, then what libvirt gave it */
	slash = strrchr(args[0], '/');
	if (!slash)
		return;
	real = str_printf("%.*s/real", (int)(slash - args[0]), args[0]);
	if (pid && str_to_u64(pid, 1, INT_MAX, &parent) == 0) {
		unsetenv("LAB_GUARDIAN");
		tie_to(parent);
	}
	execv(real, args);
	dprintf(2, "lab: run %s: %s\n", real, strerror(errno));
	_exit(127);
}
