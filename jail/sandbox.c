#include "jail/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/apply.h"
#include "jail/base/cleanup.h"
#include "jail/base/io.h"
#include "jail/userns.h"

static const int handled[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

struct run {
	struct plan *plan;
	struct report *report; /* shared with the children */
	pid_t pid;	       /* the process that carries the plan on; 0: none left */
	sigset_t saved;
};

/* Leaving scope: whoever is left ends, the mask is as it was. */
static void run_deinit(struct run *run)
{
	if (run->pid > 0) {
		kill(run->pid, SIGKILL);
		while (waitpid(run->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (run->report)
		munmap(run->report, sizeof(*run->report));
	prctl(PR_SET_DUMPABLE, 1);
	sigprocmask(SIG_SETMASK, &run->saved, NULL);
}
DEFINE_CLEANUP(run, run_deinit)

static int run_init(struct run *run, struct plan *plan, struct err *err)
{
	sigset_t all;
	void *shared;

	run->plan = plan;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &run->saved);
	/* ignored, as some parents leave it, it would lose the exit status */
	signal(SIGCHLD, SIG_DFL);
	shared = mmap(NULL, sizeof(*run->report), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return err_errno(err, "mmap");
	run->report = shared;
	return 0;
}

static void handled_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < array_len(handled); i++)
		sigaddset(set, handled[i]);
}

/* The other signals do what they do: a terminal's stop must stop jail as well. */
static void wait_for_these_only(const struct run *run)
{
	sigset_t set, blocked = run->saved;

	handled_set(&set);
	sigorset(&blocked, &blocked, &set);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
}

static int start(struct run *run, const struct filter *filter, uint64_t exec_cookie, int child_fd,
		 int jail_fd, struct err *err)
{
	const char *path = getenv("PATH");
	struct apply apply = {
		.plan = run->plan,
		.filter = filter,
		.exec_cookie = exec_cookie,
		.report = run->report,
		.jail_fd = child_fd,
		.signals = run->saved,
		.search_path = path ? path : "/usr/local/bin:/usr/bin:/bin",
		.envp = environ,
	};

	/* without a pid namespace the command could take hold of us, who are under no filter */
	prctl(PR_SET_DUMPABLE, 0);
	run->pid = fork();
	if (run->pid < 0)
		return err_errno(err, "fork");
	if (run->pid == 0) {
		prctl(PR_SET_DUMPABLE, 1); /* jail has to write the maps below /proc */
		close(jail_fd);
		apply_run(&apply);
	}
	wait_for_these_only(run);
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

/* The child asks for its maps once it has its user namespace; its end means that it failed. */
static int serve_maps(const struct run *run, int jail_fd, struct err *err)
{
	const struct plan *plan = run->plan;
	char c;
	int r;

	if (!plan->uid_map.len || read(jail_fd, &c, 1) != 1)
		return 0;
	r = userns_write_maps(run->pid, plan->uid_map.data, plan->gid_map.data,
			      plan->deny_setgroups, err);
	if (r < 0)
		return r;
	/* a child that has died meanwhile is no reason to die of SIGPIPE */
	return send(jail_fd, &c, 1, MSG_NOSIGNAL) == 1 ? 0 : err_errno(err, "answer the child");
}

static int wait_for(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* With STEP_FORK the first child leaves as soon as it has started the second, which is ours too. */
static void follow_fork(struct run *run)
{
	bool forks = false;

	for (size_t i = 0; i < run->plan->n; i++)
		forks |= run->plan->steps[i].op == STEP_FORK;
	if (!forks)
		return;
	wait_for(run->pid);
	run->pid = run->report->main_pid;
}

/* A terminal's signal reaches the whole foreground group without our help. */
static int wait_and_forward(pid_t pid)
{
	siginfo_t info;
	sigset_t set;
	int status, sig;

	handled_set(&set);
	while (waitpid(pid, &status, WNOHANG) != pid) {
		sig = sigwaitinfo(&set, &info);
		if (sig > 0 && sig != SIGCHLD && info.si_code != SI_KERNEL)
			kill(pid, sig);
	}
	return status;
}

int sandbox_run(struct plan *plan, const struct filter *filter, uint64_t exec_cookie,
		int *wait_status, int *exit_code, struct err *err)
{
	auto_close int jail_fd = -1, child_fd = -1;
	auto_cleanup(run) run = {0};
	int r, fds[2], status;

	*exit_code = EXIT_FAILED;
	r = run_init(&run, plan, err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return err_errno(err, "socketpair");
	jail_fd = fds[0];
	child_fd = fds[1];
	r = start(&run, filter, exec_cookie, child_fd, jail_fd, err);
	if (r < 0)
		return r;
	close(take_fd(child_fd));
	r = serve_maps(&run, jail_fd, err);
	if (r < 0)
		return r;
	follow_fork(&run);
	status = run.pid > 0 ? wait_and_forward(run.pid) : -1;
	run.pid = 0;
	if (run.report->err.code) {
		*exit_code = run.report->exit_code;
		return failed(&run, err);
	}
	if (status == -1)
		return err_set(err, EIO, "the process that sets the sandbox up was killed");
	*wait_status = run.report->is_over ? run.report->wait_status : status;
	return 0;
}
