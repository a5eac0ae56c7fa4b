#include "jail/supervise/offspring.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "jail/base/cleanup.h"
#include "jail/base/io.h"

enum { STAT_MAX = 256, PAUSE_NS = 20000000 };

void offspring_adopt(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* The parent of a process, -1 when it is gone. */
static pid_t parent_of(int proc, const char *pid)
{
	char path[64], text[STAT_MAX];
	auto_close int fd = -1;
	const char *after_comm;
	ssize_t n;
	char state;
	int parent;

	snprintf(path, sizeof(path), "%.32s/stat", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	after_comm = strrchr(text, ')'); /* the name may hold anything */
	if (!after_comm || sscanf(after_comm + 1, " %c %d", &state, &parent) != 2)
		return -1;
	return parent;
}

/* Returns how many others than `spare` there are; what has ended and is not reaped counts. */
static size_t kill_children(pid_t spare)
{
	auto_closedir DIR *proc = opendir("/proc");
	pid_t self = getpid();
	struct dirent *entry;
	size_t n = 0;

	while (proc && (entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		/* our own child: its id is not given to another before we reap it */
		if (parent_of(dirfd(proc), entry->d_name) != self || atoi(entry->d_name) == spare)
			continue;
		kill(atoi(entry->d_name), SIGKILL);
		n++;
	}
	return n;
}

/* Returns whether there is a child left. */
static bool reap(void)
{
	pid_t pid;

	do
		pid = waitpid(-1, NULL, WNOHANG);
	while (pid > 0 || (pid < 0 && errno == EINTR));
	return pid == 0;
}

bool offspring_end(int64_t timeout_ms, pid_t spare)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	int64_t give_up = io_now_ms() + timeout_ms;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (reap()) {
		if ((kill_children(spare) == 0 && spare) || !reap())
			break;
		if (io_now_ms() > give_up)
			return false;
		sigtimedwait(&child, NULL, &pause);
	}
	return true;
}
