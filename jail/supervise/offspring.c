#include "jail/supervise/offspring.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "jail/base/io.h"
#include "jail/base/str.h"

enum {
	STAT_MAX = 512,
	CHILDREN_MAX = 1 << 20,
	PAUSE_NS = 2000000,
	PASSES_KILL = 2,
	MANY = 16,
	BEST_NICE = -20
};

void offspring_adopt(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

struct process {
	pid_t pid, parent;
	unsigned long long start; /* in ticks since the boot: with the pid, who it is */
	char state;		  /* proc_pid_stat(5) */
	bool is_ours;
};

struct processes {
	struct process *all;
	size_t n, cap;
};

static void processes_deinit(struct processes *processes)
{
	free(processes->all);
}
DEFINE_CLEANUP(processes, processes_deinit)

/* Returns whether it is there. */
static bool look_at(int proc, pid_t pid, struct process *ret)
{
	char path[64], text[STAT_MAX];
	auto_close int fd = -1;
	const char *after_comm;
	ssize_t n;

	snprintf(path, sizeof(path), "%d/stat", (int)pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	after_comm = strrchr(text, ')'); /* the name may hold anything */
	*ret = (struct process){.pid = pid};
	return after_comm &&
	       sscanf(after_comm + 1,
		      " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		      "%llu",
		      &ret->state, &ret->parent, &ret->start) == 3;
}

static struct process *next_place(struct processes *list)
{
	if (list->n == list->cap) {
		list->cap = list->cap ? 2 * list->cap : 64;
		list->all = xreallocarray(list->all, list->cap, sizeof(*list->all));
	}
	return &list->all[list->n];
}

/*
 * Where /proc is mounted with hidepid, an ordinary user does not see a process that made itself
 * undumpable. As children the kernel names them to us, and that is what they become one by one.
 */
static void list_hidden(int proc, struct processes *ret)
{
	auto_cleanup(buf) text = {0};
	struct process seen;

	if (io_read_file(proc, "thread-self/children", CHILDREN_MAX, &text, NULL) < 0)
		return;
	for (char *p = text.data, *end; p && *p; p = end) {
		pid_t pid = (pid_t)strtol(p, &end, 10);

		if (end == p)
			break;
		/* 'T': nobody can say, so it is not waited for to stop */
		if (!look_at(proc, pid, &seen)) {
			*next_place(ret) = (struct process){pid, getpid(), 0, 'T', false};
			ret->n++;
		}
		end += *end == ' ';
	}
}

static void list(DIR *proc, struct processes *ret)
{
	struct dirent *entry;

	rewinddir(proc);
	ret->n = 0;
	while ((entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			ret->n += look_at(dirfd(proc), atoi(entry->d_name), next_place(ret));
	list_hidden(dirfd(proc), ret);
}

static int by_pid(const void *a, const void *b)
{
	const struct process *p = a, *q = b;

	return (p->pid > q->pid) - (p->pid < q->pid);
}

/* Mark who descends from us, but not from `spare`. */
static void mark(const struct processes *list, pid_t spare)
{
	pid_t self = getpid();
	bool has_changed = true;

	qsort(list->all, list->n, sizeof(*list->all), by_pid);
	while (has_changed) {
		has_changed = false;
		for (struct process *p = list->all; p < list->all + list->n; p++) {
			struct process key = {.pid = p->parent};
			const struct process *parent;

			if (p->is_ours || p->pid == spare)
				continue;
			parent = bsearch(&key, list->all, list->n, sizeof(key), by_pid);
			p->is_ours = p->parent == self || (parent && parent->is_ours);
			has_changed |= p->is_ours;
		}
	}
}

/* A child's id is its own until we reap it; another's may be somebody else's by now. */
static void send_signal(int proc, const struct process *process, int sig)
{
	auto_close int pidfd = -1;
	struct process now;

	if (process->parent == getpid()) {
		kill(process->pid, sig);
		return;
	}
	pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	if (pidfd >= 0 && look_at(proc, process->pid, &now) && now.start == process->start)
		syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

/*
 * One pass. Those who fork as fast as they can get a place for each that is killed, and leave us
 * little processor time: so many, or who is still there at the third pass, are stopped first, which
 * holds their places, and killed once none runs. Returns how many there are; what has ended and is
 * not reaped counts.
 */
static size_t end_all(DIR *proc, struct processes *seen, pid_t spare, unsigned int pass)
{
	size_t n = 0, running = 0;
	int sig = SIGKILL;

	list(proc, seen);
	mark(seen, spare);
	for (size_t i = 0; i < seen->n; i++) {
		n += seen->all[i].is_ours;
		running += seen->all[i].is_ours && !strchr("TtZX", seen->all[i].state);
	}
	if (running && (running > MANY || pass >= PASSES_KILL))
		sig = SIGSTOP;
	for (size_t i = 0; i < seen->n; i++)
		if (seen->all[i].is_ours)
			send_signal(dirfd(proc), &seen->all[i], sig);
	return n;
}

/* Returns whether there is a child left. What a traced one stops for is not done any more. */
static bool reap(void (*ended)(void *context, pid_t pid, int status), void *context)
{
	int status;
	pid_t pid;

	do {
		pid = waitpid(-1, &status, WNOHANG | __WALL);
		if (pid > 0 && ended && !WIFSTOPPED(status))
			ended(context, pid, status);
	} while (pid > 0 || (pid < 0 && errno == EINTR));
	return pid == 0;
}

bool offspring_end(int64_t timeout_ms, pid_t spare,
		   void (*ended)(void *context, pid_t pid, int status), void *context)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	int64_t give_up = io_now_ms() + timeout_ms;
	auto_cleanup(processes) seen = {0};
	auto_closedir DIR *proc = NULL;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (unsigned int pass = 0; reap(ended, context); pass++) {
		if (!proc) {
			setpriority(PRIO_PROCESS, 0, BEST_NICE); /* root may */
			proc = opendir("/proc");
		}
		if (proc && end_all(proc, &seen, spare, pass) == 0 && spare)
			break;
		if (io_now_ms() > give_up)
			return false;
		sigtimedwait(&child, NULL, &pause);
	}
	return true;
}
