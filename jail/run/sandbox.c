#include "jail/run/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/base/cleanup.h"
#include "jail/base/io.h"
#include "jail/plan/env.h"
#include "jail/plan/namespace.h"
#include "jail/run/apply.h"
#include "jail/supervise/offspring.h"
#include "jail/system/userns.h"

static const int handled[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

enum { SURVIVORS_MS = 30000, SIGNALS_AT_ONCE = 8, SIGNAL_COUNT = 65, STATUSES_AT_ONCE = 64 };

struct run {
	const struct sandbox *box;
	struct sandbox_end *end;
	struct report *report; /* shared with the children */
	pid_t pid;	       /* the process that carries the plan on; 0: none left */
	bool is_between;       /* it is the one that STEP_FORK leaves */
	bool is_over;
	int status;    /* its wait status, when it is over; -1: there was no second one */
	bool has_more; /* statuses to be waited for */
	int jail_fd;   /* the socket to the children; -1: its end was seen */
	int signal_fd; /* handled */
	bool wants[SIGNAL_COUNT]; /* signals to hand on once the second child is known */
	int64_t kill_at_ms;	  /* 0: never */
	sigset_t saved;
};

/* Who hands on what the command has written: the last to go. */
static pid_t copier_of(const struct resources *resources)
{
	return resources ? resources->output.pid : 0;
}

static void survivor_ended(void *context, pid_t pid, int status)
{
	tracer_take(context, pid, status);
}

/* Leaving scope: whoever is left ends, the mask is as it was. */
static void run_deinit(struct run *run)
{
	sigset_t blocked = run->saved;

	if (run->pid > 0)
		kill(run->pid, SIGKILL);
	/* stderr may be the pipe that broke */
	sigaddset(&blocked, SIGPIPE);
	run->end->has_survivors =
		!offspring_end(SURVIVORS_MS, copier_of(run->box->resources),
			       run->box->tracer ? survivor_ended : NULL, run->box->tracer);
	if (run->box->resources && !run->end->has_survivors)
		output_finish(&run->box->resources->output);
	if (run->report)
		munmap(run->report, sizeof(*run->report));
	if (run->jail_fd >= 0)
		close(run->jail_fd);
	if (run->signal_fd >= 0)
		close(run->signal_fd);
	prctl(PR_SET_DUMPABLE, 1);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
}
DEFINE_CLEANUP(run, run_deinit)

static void handled_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < array_len(handled); i++)
		sigaddset(set, handled[i]);
}

static int run_init(struct run *run, struct err *err)
{
	sigset_t all, set;
	void *shared;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &run->saved);
	/* ignored, as some parents leave it, it would lose the exit status */
	signal(SIGCHLD, SIG_DFL);
	handled_set(&set);
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signal_fd < 0)
		return err_errno(err, "signalfd");
	shared = mmap(NULL, sizeof(*run->report), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return err_errno(err, "mmap");
	run->report = shared;
	for (size_t i = 0; i < run->box->plan->n; i++)
		run->is_between |= run->box->plan->steps[i].op == STEP_FORK;
	offspring_adopt();
	return 0;
}

/*
 * The other signals do what they do: a terminal's stop must stop jail as well. But a pipe without a
 * reader must not end the command.
 */
static void block_handled(const struct run *run)
{
	sigset_t set, blocked = run->saved;

	handled_set(&set);
	sigaddset(&set, SIGPIPE);
	sigorset(&blocked, &blocked, &set);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/*
 * The child; as the first process of its pid namespace when no user namespace has to be made before
 * and no clocks set after, which spares the process that STEP_FORK leaves. What the kernel refuses
 * here it will refuse there, under the step's name.
 */
static pid_t fork_child(const struct plan *plan, bool *is_first)
{
	long pid = -1;

	if ((plan->namespaces & (NS_PID | NS_USER | NS_TIME)) == NS_PID)
		pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	*is_first = pid >= 0;
	return pid >= 0 ? (pid_t)pid : fork();
}

static int start(struct run *run, struct err *err)
{
	const struct sandbox *box = run->box;
	char **env = box->plan->envp ? box->plan->envp : environ;
	auto_close int child_fd = -1;
	int fds[2], yes = 1;
	struct apply apply = {
		.plan = box->plan,
		.filter = box->filter,
		.plain = box->plain,
		.filter_flags = box->filter_flags,
		.cookie = box->cookie,
		.is_supervised = box->supervisor,
		.is_traced = box->tracer,
		.report = run->report,
		.signals = run->saved,
		.search_path = env_search_path(env),
		.resources = box->resources,
		.envp = env,
	};

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return err_errno(err, "socketpair");
	run->jail_fd = fds[0];
	child_fd = apply.jail_fd = fds[1];
	/* who sends the listener is the command: its process id, as seen from here */
	setsockopt(run->jail_fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes));
	/* without a pid namespace the command could take hold of us, who are under no filter */
	prctl(PR_SET_DUMPABLE, 0);
	run->pid = fork_child(box->plan, &apply.is_first);
	run->is_between &= !apply.is_first;
	if (run->pid < 0)
		return err_errno(err, "fork");
	if (run->pid == 0) {
		prctl(PR_SET_DUMPABLE, 1); /* jail has to write the maps below /proc */
		close(run->jail_fd);
		apply_run(&apply);
	}
	if (box->resources)
		resources_started(box->resources);
	block_handled(run);
	return 0;
}

static int failed(const struct run *run, struct err *err)
{
	struct err copy = run->report->err; /* shared memory: look once */
	auto_cleanup(buf) safe = {0};

	copy.msg[sizeof(copy.msg) - 1] = '\0';
	str_printable(&safe, copy.msg, strlen(copy.msg), sizeof(copy.msg) - 1, false);
	return err_set(err, copy.code > 0 ? copy.code : EIO, "%s", safe.data ? safe.data : "");
}

/* --- what the children say --- */

/* The child asks for its maps once it has its user namespace. */
static int serve_maps(const struct run *run, struct err *err)
{
	const struct plan *plan = run->box->plan;
	char c = 'u';
	int r = userns_write_maps(run->pid, plan->uid_map.data, plan->gid_map.data,
				  plan->deny_setgroups, err);

	if (r < 0)
		return r;
	/* a child that has died meanwhile is no reason to fail: its end says why */
	send(run->jail_fd, &c, 1, MSG_NOSIGNAL);
	return 0;
}

static int serve_tracing(const struct run *run, pid_t command, struct err *err)
{
	char c = 't';
	int r = tracer_seize(run->box->tracer, command, err);

	if (r < 0)
		return r;
	send(run->jail_fd, &c, 1, MSG_NOSIGNAL);
	return 0;
}

static int take_message(struct run *run, struct err *err)
{
	struct supervisor *s = run->box->supervisor;
	int listener, r;
	pid_t sender;

	r = notify_receive(run->jail_fd, &listener, &sender);
	if (r < 0) { /* all have closed it: the command runs, or is over */
		close(take_fd(run->jail_fd));
		return 0;
	}
	if (listener >= 0 && s && s->notify.fd < 0)
		return supervisor_start(s, listener, sender, err);
	if (listener >= 0)
		close(listener);
	if (r == 't' && run->box->tracer)
		return serve_tracing(run, sender, err);
	return r == 'u' ? serve_maps(run, err) : 0;
}

/* --- signals --- */

static void hand_on(struct run *run, int sig)
{
	if (run->is_between)
		run->wants[sig] = true;
	else if (run->pid > 0) /* kill(0, …) would reach who has started us */
		kill(run->pid, sig);
}

/* With STEP_FORK the first child leaves as soon as it has started the second, which is ours too. */
static void follow_fork(struct run *run)
{
	run->is_between = false;
	run->pid = run->report->main_pid;
	for (int sig = 1; sig < SIGNAL_COUNT && run->pid > 0; sig++)
		if (run->wants[sig])
			kill(run->pid, sig);
	if (run->pid <= 0) {
		run->is_over = true;
		run->status = -1;
	}
}

/* So many at once, because a program that is traced can make more faster than they are taken. */
static void reap(struct run *run)
{
	struct tracer *tracer = run->box->tracer;
	int status;
	pid_t pid;

	run->has_more = false;
	for (int i = 0; i < STATUSES_AT_ONCE; i++) {
		/* the second child may be the first to end: until it is known, only the first */
		pid = waitpid(run->is_between ? run->pid : -1, &status, WNOHANG | __WALL);
		if (pid <= 0)
			return;
		if ((tracer && tracer_take(tracer, pid, status)) || pid != run->pid)
			continue;
		if (run->is_between) {
			follow_fork(run);
			continue;
		}
		run->is_over = true;
		run->status = status;
		run->pid = 0;
		return;
	}
	run->has_more = true;
}

static void tell_signal(const struct run *run, int sig)
{
	auto_cleanup(buf) object = {0};

	if (!events_are_logged(run->box->events))
		return;
	events_begin(&object, "signal");
	json_add_u64(&object, "signal", (uint64_t)sig);
	events_end(run->box->events, &object);
}

/* A terminal's signal reaches the whole foreground group without our help. */
static void take_signals(struct run *run)
{
	struct signalfd_siginfo infos[SIGNALS_AT_ONCE];
	ssize_t n = read(run->signal_fd, infos, sizeof(infos));

	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(infos[0]); i++) {
		int sig = (int)infos[i].ssi_signo;

		if (sig == SIGCHLD || infos[i].ssi_code == SI_KERNEL)
			continue;
		tell_signal(run, sig);
		hand_on(run, sig);
		if ((sig == SIGINT || sig == SIGTERM) && !run->kill_at_ms)
			run->kill_at_ms = io_now_ms() + run->box->grace_ms;
	}
	reap(run);
}

/* --- limits --- */

static void check_limits(struct run *run)
{
	struct resources *resources = run->box->resources;
	int limit = resources ? resources_check(resources) : -1;
	auto_cleanup(buf) object = {0};

	if (limit < 0)
		return;
	if (events_are_logged(run->box->events)) {
		events_begin(&object, "limit");
		json_add_text(&object, "limit", policy_limit_name((enum policy_limit)limit));
		json_add_u64(&object, "value", resources->limits.value[limit]);
		events_end(run->box->events, &object);
	}
	if (limit == LIMIT_WALL_TIME) {
		hand_on(run, SIGTERM);
		run->kill_at_ms = io_now_ms() + run->box->grace_ms;
		return;
	}
	hand_on(run, SIGKILL);
	cgroup_kill(&resources->cgroup);
}

/* --- the loop --- */

static void kill_when_due(struct run *run)
{
	if (run->is_over || !run->kill_at_ms || run->end->is_killed_after_grace ||
	    io_now_ms() < run->kill_at_ms)
		return;
	run->end->is_killed_after_grace = true;
	tell_signal(run, SIGKILL);
	hand_on(run, SIGKILL);
}

/* Milliseconds for poll(2). */
static int time_left(const struct run *run)
{
	int limit = run->box->resources ? resources_wait_ms(run->box->resources) : -1;
	int64_t left;

	if (run->has_more)
		return 0;
	if (!run->kill_at_ms || run->end->is_killed_after_grace)
		return limit;
	left = run->kill_at_ms - io_now_ms();
	left = left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : left;
	return limit >= 0 && limit < left ? limit : (int)left;
}

static int take_calls(const struct run *run, short events, struct err *err)
{
	struct supervisor *s = run->box->supervisor;

	if (events & POLLIN)
		return supervisor_handle(s, err);
	if (events) /* nobody is under the filter any more */
		notify_deinit(&s->notify);
	return 0;
}

static int loop(struct run *run, struct err *err)
{
	enum { CALLS, SIGNALS, SOCKET, LIMITS, COUNT };
	struct pollfd fds[COUNT] = {
		{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
	const struct supervisor *s = run->box->supervisor;
	int r = 0;

	while (!run->is_over && r >= 0) {
		fds[CALLS].fd = s ? s->notify.fd : -1;
		fds[SIGNALS].fd = run->signal_fd;
		fds[SOCKET].fd = run->jail_fd;
		fds[LIMITS].fd = run->box->resources ? resources_fd(run->box->resources) : -1;
		if (poll(fds, COUNT, time_left(run)) < 0) {
			r = errno == EINTR ? 0 : err_errno(err, "poll");
			continue;
		}
		if (fds[CALLS].revents)
			r = take_calls(run, fds[CALLS].revents, err);
		if (r >= 0 && fds[SOCKET].revents)
			r = take_message(run, err);
		if (fds[SIGNALS].revents)
			take_signals(run);
		else if (run->has_more)
			reap(run);
		check_limits(run);
		kill_when_due(run);
	}
	return r < 0 ? r : 0;
}

static int ended(const struct run *run, int *exit_code, struct err *err)
{
	const struct report *report = run->report;
	struct sandbox_end *end = run->end;

	if (report->err.code) {
		*exit_code = report->exit_code;
		return failed(run, err);
	}
	if (run->status == -1)
		return err_set(err, EIO, "the process that sets the sandbox up was killed");
	end->wait_status = report->is_over ? report->wait_status : run->status;
	end->is_unsupervised = report->is_unsupervised;
	end->is_killed_by_policy = run->box->supervisor && run->box->supervisor->has_killed_command;
	return 0;
}

static int run_sandbox(struct run *run, int *exit_code, struct err *err)
{
	int r = run_init(run, err);

	if (r >= 0)
		r = start(run, err);
	if (r >= 0)
		r = loop(run, err);
	return r < 0 ? r : ended(run, exit_code, err);
}

int sandbox_run(const struct sandbox *sandbox, struct sandbox_end *end, int *exit_code,
		struct err *err)
{
	int64_t start_ms = io_now_ms();
	int r;

	*exit_code = EXIT_FAILED;
	*end = (struct sandbox_end){0};
	{
		auto_cleanup(run)
			run = {.box = sandbox, .end = end, .jail_fd = -1, .signal_fd = -1};

		r = run_sandbox(&run, exit_code, err);
	}
	getrusage(RUSAGE_CHILDREN, &end->usage);
	end->wall_ms = io_now_ms() - start_ms;
	return r;
}
