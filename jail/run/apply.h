/*
 * apply.h - carry a plan out, in a child of jail. No stdio, no malloc: everything was made ready.
 */
#ifndef JAIL_RUN_APPLY_H
#define JAIL_RUN_APPLY_H

#include <signal.h>
#include <sys/types.h>

#include "jail/base/err.h"
#include "jail/filter/compile.h"
#include "jail/plan/plan.h"
#include "jail/run/resources.h"

enum { EXIT_FAILED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/*
 * Memory that jail shares with its children until they exec: how a failure travels up. It is memory
 * and not a pipe, because the last failure that can happen, that of execve, happens under the
 * policy: a write() may be refused then, or end the process.
 */
struct report {
	struct err err; /* code 0: nothing failed before the command started */
	int exit_code;	/* with err */
	pid_t main_pid; /* STEP_FORK: the process that carries on */
	bool is_over;	/* STEP_INIT: the command has ended so: */
	int wait_status;
	bool is_unsupervised; /* apply.plain was loaded */
};

struct apply {
	struct plan *plan;
	/* for STEP_SECCOMP: sandbox.h has what they are */
	const struct filter *filter, *plain;
	unsigned int filter_flags;
	uint64_t cookie;
	bool is_supervised; /* the filter's listener is sent to jail */
	bool is_first;	/* of a new pid namespace already: what the plan does for that is done */
	bool is_traced; /* jail has to trace this process before the filter */
	const struct resources *resources; /* NULL: no limits */
	struct report *report;
	/*
	 * A socket to jail: after a user namespace was created a byte is sent, and one comes back
	 * once the maps are written; the same when it is to be traced; the listener comes last.
	 * jail keeps its end open as long as it lives.
	 */
	int jail_fd;
	sigset_t signals; /* blocked signals of the command; all are blocked until then */
	const char *search_path;
	char **envp;
};

/* Carry the plan out and become the command; whatever fails goes to the report. */
void apply_run(struct apply *apply) __attribute__((noreturn));

#endif
