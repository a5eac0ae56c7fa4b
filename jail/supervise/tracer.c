#include "jail/supervise/tracer.h"

#include <elf.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/base/str.h"
#include "jail/supervise/procmem.h"

enum {
	TRACE_OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK |
			PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
			PTRACE_O_EXITKILL,
	SYSCALL_STOP = SIGTRAP | 0x80,
	EVENT_SHIFT = 16,
	/* the kernel's own, which a program never sees: it makes the call again, or gives EINTR */
	ERESTARTSYS = 512,
	ERESTART_RESTARTBLOCK = 516,
};

/* A thread. */
struct tracee {
	pid_t thread, process;
	bool is_before_exec; /* the command, while it is still jail */
	bool is_in_call;     /* stops again when the call returns */
	struct traced_call call;
};

void tracer_deinit(struct tracer *t)
{
	free(t->tracees);
	*t = (struct tracer){0};
}

/* --- threads ---------------------------------------------------------------------------------- */

static struct tracee *find(const struct tracer *t, pid_t thread)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->tracees[i].thread == thread)
			return &t->tracees[i];
	return NULL;
}

static struct tracee *add(struct tracer *t, pid_t thread, pid_t process)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->tracees = xreallocarray(t->tracees, t->cap, sizeof(*t->tracees));
	}
	t->tracees[t->n] = (struct tracee){.thread = thread, .process = process};
	return &t->tracees[t->n++];
}

static void drop(struct tracer *t, const struct tracee *tracee)
{
	t->tracees[tracee - t->tracees] = t->tracees[--t->n];
}

/* A thread that was not known yet: of which process, and is that a new one? */
static struct tracee *meet(struct tracer *t, pid_t thread, pid_t parent)
{
	pid_t process = procmem_process(thread);
	struct tracee *tracee = add(t, thread, process);

	if (process == thread)
		t->watcher.began(t->watcher.context, process, parent);
	return tracee;
}

/* --- stops ------------------------------------------------------------------------------------ */

/* Whoever was killed meanwhile does not go on: its end comes as a status of its own. */
static void go_on(const struct tracee *tracee, int sig)
{
	ptrace(tracee->is_in_call ? PTRACE_SYSCALL : PTRACE_CONT, tracee->thread, NULL,
	       (void *)(intptr_t)sig);
}

/* Make the kernel skip the call that is to be made. Returns whether it will. */
static bool skip(pid_t thread, int64_t result)
{
	struct user_regs_struct regs;
	struct iovec iov = {&regs, sizeof(regs)};

	if (ptrace(PTRACE_GETREGSET, thread, (void *)NT_PRSTATUS, &iov) < 0)
		return false;
#if defined(__x86_64__)
	regs.orig_rax = UINT64_MAX;
	regs.rax = (uint64_t)result;
#elif defined(__aarch64__)
	int none = -1;
	struct iovec number = {&none, sizeof(none)};

	if (ptrace(PTRACE_SETREGSET, thread, (void *)NT_ARM_SYSTEM_CALL, &number) < 0)
		return false;
	regs.regs[0] = (uint64_t)result;
#else
#error "how is a call skipped on this architecture?"
#endif
	return ptrace(PTRACE_SETREGSET, thread, (void *)NT_PRSTATUS, &iov) == 0;
}

static void call_stop(struct tracer *t, struct tracee *tracee)
{
	struct __ptrace_syscall_info info = {0};
	struct traced_call *call = &tracee->call;
	struct tracer_answer answer = {.kind = TRACER_MAKE};

	*call = (struct traced_call){.thread = tracee->thread, .process = tracee->process};
	/* nothing is made that nobody has seen */
	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->thread, (void *)sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_SECCOMP) {
		kill(tracee->process, SIGKILL);
		return;
	}
	call->data = (struct seccomp_data){.nr = (int)info.seccomp.nr,
					   .arch = info.arch,
					   .instruction_pointer = info.instruction_pointer};
	for (size_t i = 0; i < array_len(call->data.args); i++)
		call->data.args[i] = info.seccomp.args[i];
	t->watcher.about_to(t->watcher.context, call, &answer);
	tracee->is_in_call = answer.kind == TRACER_MAKE && answer.wants_result;
	if (answer.kind == TRACER_KILL ||
	    (answer.kind == TRACER_SKIP && !skip(tracee->thread, answer.result)))
		kill(tracee->process, SIGKILL);
}

static void return_stop(struct tracer *t, struct tracee *tracee)
{
	struct __ptrace_syscall_info info = {0};
	int64_t result;

	if (!tracee->is_in_call)
		return;
	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->thread, (void *)sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_EXIT)
		return;
	tracee->is_in_call = false;
	result = info.exit.rval;
	if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK)
		result = -EINTR;
	t->watcher.returned(t->watcher.context, &tracee->call, result);
}

/* A thread other than the first that executes a program becomes the first: all others are gone. */
static void exec_stop(struct tracer *t, struct tracee *tracee)
{
	unsigned long former = 0;
	struct tracee *other;

	if (tracee->is_before_exec) {
		tracee->is_before_exec = false;
		t->watcher.began(t->watcher.context, tracee->process, 0);
	}
	ptrace(PTRACE_GETEVENTMSG, tracee->thread, NULL, &former);
	other = (pid_t)former == tracee->thread ? NULL : find(t, (pid_t)former);
	if (!other)
		return;
	tracee->is_in_call = other->is_in_call;
	tracee->call = other->call;
	tracee->call.thread = tracee->thread;
	drop(t, other);
}

static void child_stop(struct tracer *t, const struct tracee *tracee)
{
	unsigned long child = 0;

	ptrace(PTRACE_GETEVENTMSG, tracee->thread, NULL, &child);
	/* its own first stop may have come before this one, and even its end */
	if (child && !find(t, (pid_t)child) && kill((pid_t)child, 0) == 0)
		meet(t, (pid_t)child, tracee->process);
}

static bool stops_group(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static void stopped(struct tracer *t, struct tracee *tracee, int status)
{
	pid_t thread = tracee->thread;
	int sig = WSTOPSIG(status), deliver = 0;

	switch (status >> EVENT_SHIFT) {
	case PTRACE_EVENT_SECCOMP:
		call_stop(t, tracee);
		break;
	case PTRACE_EVENT_EXEC:
		exec_stop(t, tracee);
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		child_stop(t, tracee);
		break;
	case PTRACE_EVENT_STOP:
		if (stops_group(sig)) { /* until SIGCONT */
			ptrace(PTRACE_LISTEN, thread, NULL, NULL);
			return;
		}
		break;
	default:
		if (sig == SYSCALL_STOP)
			return_stop(t, tracee);
		else
			deliver = sig;
	}
	tracee = find(t, thread); /* the list may have moved */
	if (tracee)
		go_on(tracee, deliver);
}

/* --- from outside ----------------------------------------------------------------------------- */

int tracer_seize(struct tracer *t, pid_t command, struct err *err)
{
	if (ptrace(PTRACE_SEIZE, command, NULL, (void *)(intptr_t)TRACE_OPTIONS) < 0)
		return err_set(err, errno,
			       "trace the command, for its plugins: %s: a debugger, another jail "
			       "with plugins, a container or sysctl kernel.yama.ptrace_scope may "
			       "forbid it",
			       strerror(errno));
	t->command = command;
	add(t, command, command)->is_before_exec = true;
	return 0;
}

bool tracer_take(struct tracer *t, pid_t pid, int status)
{
	struct tracee *tracee = find(t, pid);
	struct tracee gone;

	if (WIFSTOPPED(status)) {
		if (!tracee)
			tracee = meet(t, pid, procmem_parent(pid));
		stopped(t, tracee, status);
		return true;
	}
	if (!tracee)
		return false;
	gone = *tracee;
	drop(t, tracee);
	if (gone.thread == gone.process && !gone.is_before_exec)
		t->watcher.ended(t->watcher.context, gone.process, status);
	return false;
}
