/*
 * cmd-run.h - jail [options] COMMAND.
 */
#ifndef JAIL_CMD_RUN_H
#define JAIL_CMD_RUN_H

#include "jail/plan/plan.h"

/* argv[0] is the program's name. Returns the exit code. */
int cmd_run(int argc, char **argv);

/* What is asked of a run besides its plan. */
struct job_options {
	bool watch, debug, is_quiet, report;
	const char *log, *learn, *extends; /* NULL: not given */
	struct strv plugins;		   /* absolute paths, besides the policy's */
	int64_t status_fd;		   /* -1: none */
	int64_t grace_ms;
};

/*
 * Run the plan under the policy (name NULL: none), show and log what happens, and say at the end
 * what was refused. caps are those that the command keeps. Returns the exit code.
 */
int job_run(const struct job_options *options, struct plan *plan, const struct policy *policy,
	    uint64_t caps);
/* Mistakes in the options themselves: -EINVAL. */
int job_check(const struct job_options *options, bool has_policy, struct err *err);

/* "jail: text" on stderr. Returns exit_code. */
int job_failure(const struct err *err, int exit_code);

#endif
