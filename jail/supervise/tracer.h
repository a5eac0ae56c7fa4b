/*
 * tracer.h - what the kernel made of calls, and which processes there are, by ptrace(2).
 *
 * A filter's listener is asked before a call and never hears of it again; so for plugins that want
 * results or processes the command is traced as well. The calls concerned stop by SECCOMP_RET_TRACE
 * (filter_options.trace_calls) and once more when they return; all others run at full speed. The
 * command, and all that it starts, dies with the tracer (PTRACE_O_EXITKILL). What evades by
 * CLONE_UNTRACED has no tracer: the calls that would stop fail with ENOSYS.
 *
 * There is no thread and no loop here: whoever waits for processes hands every status over. Needs
 * Linux 5.3 (PTRACE_GET_SYSCALL_INFO).
 */
#ifndef JAIL_SUPERVISE_TRACER_H
#define JAIL_SUPERVISE_TRACER_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "jail/base/cleanup.h"
#include "jail/base/err.h"

struct traced_call {
	pid_t thread, process;
	struct seccomp_data data; /* registers, which nobody can change while it is stopped */
};

enum tracer_answer_kind {
	TRACER_MAKE, /* the kernel makes the call */
	TRACER_SKIP, /* it is not made: result is what the program sees */
	TRACER_KILL, /* it is not made, and the process is killed */
};
struct tracer_answer {
	enum tracer_answer_kind kind;
	int64_t result;
	bool wants_result; /* TRACER_MAKE: call returned() */
};

struct tracer_watcher {
	void *context;
	/* A call is to be made: fill answer in, which says TRACER_MAKE. */
	void (*about_to)(void *context, const struct traced_call *call,
			 struct tracer_answer *answer);
	void (*returned)(void *context, const struct traced_call *call, int64_t result);
	/*
	 * Processes, not threads. parent is 0 for the command, which begins by its first execve;
	 * else the one that made it, or is its parent by the time that is known.
	 */
	void (*began)(void *context, pid_t process, pid_t parent);
	void (*ended)(void *context, pid_t process, int status);
};

struct tracee;
struct tracer {
	struct tracer_watcher watcher; /* set by the caller */
	pid_t command;
	struct tracee *tracees;
	size_t n, cap;
};
void tracer_deinit(struct tracer *t);
DEFINE_CLEANUP(tracer, tracer_deinit)

/*
 * Trace the process that is going to execute the command, and all that it starts then. Returns 0;
 * -EPERM, -ENOSYS (or another negative errno) when it cannot be traced: err says what may forbid
 * it.
 */
int tracer_seize(struct tracer *t, pid_t command, struct err *err);
/*
 * Look at a status of waitpid(2) with __WALL, of any process. Whoever has stopped goes on, when
 * its group may. Returns whether it was a stop, and no end.
 */
bool tracer_take(struct tracer *t, pid_t pid, int status);

#endif
