#include "jail/run/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/base/proc.h"
#include "jail/plan/namespace.h"
#include "jail/run/apply-limits.h"
#include "jail/supervise/notify.h"
#include "jail/system/caps.h"
#include "jail/system/command.h"
#include "jail/system/init.h"
#include "jail/system/mounts.h"
#include "jail/system/seccomp.h"
#include "jail/system/unshare.h"
#include "jail/system/userns.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { SOCKET_FD = STDERR_FILENO + 1 };

struct state {
	struct apply *apply;
	int root_fd;		   /* of the root to be, at first the present one; -1: none */
	int ruleset;		   /* Landlock's; -1: none */
	bool is_restricted;	   /* by Landlock */
	const struct step *failed; /* when it is not the step being applied that failed */
};

/* Die when the parent does; or now, if it has: then jail's end of the socket is closed. */
static void tie_to_jail(const struct apply *a)
{
	struct pollfd jail = {.fd = a->jail_fd, .events = 0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (poll(&jail, 1, 0) > 0)
		_exit(EXIT_FAILED);
}

/*
 * Report and end. When execve failed, the policy may refuse to end as well: then by an invalid
 * instruction. Inline, because a sanitizer makes calls of its own before one that does not return.
 */
static inline __attribute__((always_inline)) void fail_at(const struct apply *a,
							  const struct step *s, struct err *err)
{
	err_wrap(err, "%s", s->what);
	a->report->err = *err;
	syscall(SYS_exit_group, EXIT_FAILED);
	__builtin_trap();
}

/* --- steps that change the process --- */

static int create_namespace(const struct state *state, const struct step *s, struct err *err)
{
	const struct ns_kind *kind = &ns_kinds[s->value];
	bool is_made = kind->bit == NS_PID && state->apply->is_first;
	int r = is_made ? 0 : unshare_one(kind, err);
	char c = 'u';

	if (r < 0 || kind->bit != NS_USER)
		return r;
	if (write(state->apply->jail_fd, &c, 1) != 1 || read(state->apply->jail_fd, &c, 1) != 1)
		_exit(EXIT_FAILED); /* jail could not write the maps, and says why itself */
	return 0;
}

static int go_on_in_child(const struct state *state, struct err *err)
{
	long pid;

	if (state->apply->is_first)
		return 0;
	prctl(PR_SET_DUMPABLE, 0); /* out of the command's reach from its very start */
	/* CLONE_PARENT: the child is jail's own, so that the one in between can go */
	pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return err_set(err, errno, "%s", strerror(errno));
	if (pid > 0) {
		state->apply->report->main_pid = (pid_t)pid;
		_exit(0);
	}
	prctl(PR_SET_DUMPABLE, 1);
	tie_to_jail(state->apply);
	return 0;
}

/* The command gets 0, 1 and 2: any other descriptor may lead out of the new root. */
static void close_from(unsigned int first)
{
	struct rlimit limit = {.rlim_cur = 1024};

	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &limit); /* before Linux 5.9 */
	for (rlim_t fd = first; fd < limit.rlim_cur && fd < 65536; fd++)
		close((int)fd);
}

static int become_init(const struct state *state, struct err *err)
{
	struct report *report = state->apply->report;
	pid_t pid;

	prctl(PR_SET_DUMPABLE, 0); /* as PID 1 stays; execve ends it for the command */
	pid = fork();
	if (pid < 0)
		return err_set(err, errno, "%s", strerror(errno));
	if (pid > 0) {
		close_from(0); /* nothing to say, and nothing to be taken from us */
		report->wait_status = init_run(pid);
		report->is_over = true;
		_exit(proc_exit_code(report->wait_status));
	}
	return 0;
}

static int set_no_new_privs(struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, errno, "%s", strerror(errno));
	return 0;
}

/* For fail_at(): nobody in this process (a sanitizer would) may handle what ends it. */
static void let_faults_kill(void)
{
	static const int faults[] = {SIGSEGV, SIGILL, SIGTRAP, SIGBUS};

	for (size_t i = 0; i < array_len(faults); i++)
		signal(faults[i], SIG_DFL);
}

/*
 * Load the filter and hand its listener to jail. The filter lets that through; what follows would
 * wait for jail's answer, so that nothing but execve can follow if jail does not have it.
 */
static int load_filter(const struct apply *a, struct err *err)
{
	int r;

	if (!a->is_supervised)
		return seccomp_filter_load(a->filter, 0, err);
	r = seccomp_filter_load(a->filter, SECCOMP_FILTER_FLAG_NEW_LISTENER | a->filter_flags, err);
	if (r == -EBUSY && a->plain) {
		a->report->is_unsupervised = true;
		return seccomp_filter_load(a->plain, 0, err);
	}
	if (r < 0)
		return r;
	r = notify_send_listener(SOCKET_FD, r, a->cookie);
	if (r == 0)
		return 0;
	err_set(err, -r, "hand the listener over: %s", strerror(-r));
	a->report->err = *err;
	__builtin_trap();
}

/* Only a process that can be dumped can be traced by a jail without capabilities. */
static void get_traced(void)
{
	char c = 't';

	prctl(PR_SET_DUMPABLE, 1);
	if (write(SOCKET_FD, &c, 1) != 1 || read(SOCKET_FD, &c, 1) != 1)
		_exit(EXIT_FAILED); /* jail says why itself */
}

static int run_command(const struct state *state, const struct step *filter, struct err *err)
{
	struct apply *a = state->apply;
	char path[PATH_MAX];
	int r;

	r = command_find(a->plan->argv[0], a->search_path, path, sizeof(path), err);
	if (r < 0) {
		a->report->exit_code = r == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
		return r;
	}
	tie_to_jail(a); /* again: changed credentials had cleared it */
	sigprocmask(SIG_SETMASK, &a->signals, NULL);
	/* the first descriptor above stderr, so that all others can be closed at once */
	if (a->jail_fd != SOCKET_FD && dup3(a->jail_fd, SOCKET_FD, O_CLOEXEC) < 0)
		return err_errno(err, "dup3");
	close_from(SOCKET_FD + 1);
	let_faults_kill();
	if (a->is_traced)
		get_traced();
	if (filter) {
		r = load_filter(a, err);
		if (r < 0)
			fail_at(a, filter, err);
	}
	a->report->exit_code = EXIT_NOT_EXECUTABLE;
	r = command_exec(path, a->plan->argv, a->envp, a->cookie, err);
	if (r == -EACCES && state->is_restricted)
		err_set(err, EACCES,
			"%s: is it in 'execute' of the policy's paths, with its interpreter and "
			"loader?",
			strerror(EACCES));
	return r;
}

/* --- mounts --- */

static int private_mounts(struct state *state, struct err *err)
{
	int r = mounts_private(err);

	if (r < 0)
		return r;
	/* of the new mount namespace: through a descriptor of the old one nothing can be mounted */
	state->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return state->root_fd < 0 ? err_errno(err, "open /") : 0;
}

/* Everything that is bound later is opened now, while its path still leads to it. */
static int open_sources(struct state *state, const struct step *from, struct err *err)
{
	const struct plan *plan = state->apply->plan;
	int r;

	for (struct step *s = plan->steps + (from - plan->steps); s < plan->steps + plan->n; s++) {
		if (s->op != STEP_BIND && s->op != STEP_ROOT_DIR)
			continue;
		r = mounts_open_source(s->source, err);
		if (r == -ENOENT && s->value & STEP_IF_THERE)
			continue;
		if (r < 0) {
			state->failed = s;
			return r;
		}
		s->fd = r;
	}
	return 0;
}

/* What is open into the old tree would be a way out of the new one. */
static void close_source(struct step *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static int new_root(struct state *state, struct step *s, struct err *err)
{
	int r = open_sources(state, s, err);

	if (r >= 0)
		r = mounts_new_root(s->fd, s->value & STEP_RDONLY, err);
	close_source(s);
	if (r < 0)
		return r;
	close(state->root_fd);
	state->root_fd = r;
	return 0;
}

static int bind_source(const struct state *state, struct step *s, unsigned int how, struct err *err)
{
	int r;

	if (s->fd < 0) /* STEP_IF_THERE, and it is not */
		return 0;
	how |= s->value & STEP_RDONLY ? MOUNTS_RDONLY : 0;
	r = mounts_bind(state->root_fd, s->fd, s->target, how, err);
	close_source(s);
	return r;
}

static int pivot(struct state *state, struct err *err)
{
	int r = mounts_pivot(state->root_fd, err);

	close(state->root_fd);
	state->root_fd = -1;
	return r;
}

static int change_folder(const struct step *s, struct err *err)
{
	if (chdir(s->target) == 0)
		return 0;
	if (!(s->value & STEP_IF_THERE) || chdir("/") < 0)
		return err_set(err, errno, "%s", strerror(errno));
	return 0;
}

static int apply_mount(struct state *state, struct step *s, struct err *err)
{
	unsigned int how = s->more & STEP_MAKE_TARGET ? MOUNTS_MAKE : 0;
	int root = state->root_fd;

	switch (s->op) {
	case STEP_PRIVATE:
		return private_mounts(state, err);
	case STEP_NEW_ROOT:
	case STEP_ROOT_DIR:
		return new_root(state, s, err);
	case STEP_BIND:
		return bind_source(state, s, how, err);
	case STEP_MOUNT:
		return mounts_mount(root, s->type, s->target, how, s->value, s->data, err);
	case STEP_FOLDER:
		return mounts_folder(root, s->target, (mode_t)s->value, err);
	case STEP_SYMLINK:
		return mounts_symlink(root, s->target, s->source, err);
	case STEP_COPY_LINK:
		return mounts_copy_link(root, s->target, err);
	case STEP_SYSFS:
		mounts_try_sysfs();
		return 0;
	case STEP_RDONLY_ROOT:
		return mounts_rdonly_root(root, err);
	default:
		return pivot(state, err);
	}
}

/* --- all --- */

static int apply_step(struct state *state, struct step *s, struct err *err)
{
	const struct plan *plan = state->apply->plan;

	switch (s->op) {
	case STEP_UNSHARE:
		return create_namespace(state, s, err);
	case STEP_IDS:
		return userns_become((uid_t)s->value, (gid_t)s->more, plan->deny_setgroups, err);
	case STEP_CLOCKS:
		return unshare_set_clocks(s->data, err);
	case STEP_FORK:
		return go_on_in_child(state, err);
	case STEP_HOSTNAME:
		return unshare_set_hostname(s->data, err);
	case STEP_LOOPBACK:
		return unshare_loopback_up(err);
	case STEP_CWD:
		return change_folder(s, err);
	case STEP_INIT:
		return become_init(state, err);
	case STEP_NO_NEW_PRIVS:
		return set_no_new_privs(err);
	case STEP_CAPS:
		return caps_apply(s->value, s->data != NULL, err);
	case STEP_CGROUP:
	case STEP_PROCESSES:
	case STEP_OUTPUT:
	case STEP_RLIMIT:
	case STEP_LANDLOCK:
	case STEP_LANDLOCK_PATH:
	case STEP_LANDLOCK_PORT:
	case STEP_RESTRICT:
		state->is_restricted |= s->op == STEP_RESTRICT && state->ruleset >= 0;
		return apply_limit(state->apply->resources, s, &state->ruleset, err);
	case STEP_SECCOMP: /* loaded by STEP_EXEC, after everything else that it does */
		return 0;
	case STEP_EXEC:
		return run_command(state, s[-1].op == STEP_SECCOMP ? &s[-1] : NULL, err);
	default:
		return apply_mount(state, s, err);
	}
}

void apply_run(struct apply *apply)
{
	struct state state = {.apply = apply, .root_fd = -1, .ruleset = -1};
	struct step *s = apply->plan->steps;
	struct err err = {0};

	tie_to_jail(apply);
	apply->report->exit_code = EXIT_FAILED;
	for (size_t i = 0; i < apply->plan->n; i++)
		if (apply_step(&state, &s[i], &err) < 0)
			fail_at(apply, state.failed ? state.failed : &s[i], &err);
	_exit(EXIT_FAILED); /* not reached: a plan ends by STEP_EXEC */
}
