/*
 * sandbox.h - one sandbox from start to end.
 */
#ifndef JAIL_RUN_SANDBOX_H
#define JAIL_RUN_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "jail/base/err.h"
#include "jail/filter/compile.h"
#include "jail/plan/plan.h"
#include "jail/run/resources.h"
#include "jail/run/supervisor.h"
#include "jail/supervise/tracer.h"

struct sandbox {
	struct plan *plan;
	/* for STEP_SECCOMP; made for a supervisor, if there is one */
	const struct filter *filter;
	unsigned int filter_flags; /* SECCOMP_FILTER_FLAG_*, with a supervisor */
	/*
	 * Instead of filter where the kernel gives no second listener, as in a jail that is
	 * supervised itself. NULL: that is an error then.
	 */
	const struct filter *plain;
	uint64_t cookie;	       /* of both */
	struct supervisor *supervisor; /* NULL: the kernel decides alone */
	struct tracer *tracer;	       /* NULL: nobody wants to trace the command */
	struct events *events;
	struct resources *resources; /* prepared; NULL: no limits */
	int64_t grace_ms;	     /* from a signal that asks for the end to SIGKILL */
};

/* How it ended. */
struct sandbox_end {
	int wait_status;	    /* the command's */
	bool is_killed_by_policy;   /* by jail for the policy: then wait_status says SIGKILL */
	bool is_unsupervised;	    /* plain was loaded */
	bool is_killed_after_grace; /* it did not end when it was asked to */
	bool has_survivors;	    /* processes that SIGKILL did not end in time */
	struct rusage usage;	    /* of all that was waited for */
	int64_t wall_ms;
};

/*
 * Carry the plan out in a child, answer the calls that the filter hands over, and wait for the
 * command's end; then kill and reap whatever it left behind. INT, TERM, HUP, QUIT, USR1 and USR2
 * are handed on to the command; after INT or TERM it has grace_ms, but not after one of the
 * terminal, which a program may well take as input. The command dies with the caller. The caller
 * stays a child subreaper, and SIGPIPE stays blocked. Returns 0 when the command ran; or a negative
 * errno when it did not: *exit_code is what to exit with (125, 126, 127). A limit that is reached
 * ends the command: after the grace for wall-time, else at once.
 */
int sandbox_run(const struct sandbox *sandbox, struct sandbox_end *end, int *exit_code,
		struct err *err);

#endif
