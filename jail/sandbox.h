/*
 * sandbox.h - one sandbox from start to end.
 */
#ifndef JAIL_SANDBOX_H
#define JAIL_SANDBOX_H

#include <stdbool.h>

#include "jail/base/err.h"
#include "jail/filter/compile.h"
#include "jail/plan.h"

/*
 * Carry the plan out in a child, hand INT, TERM, HUP, QUIT, USR1 and USR2 on to it, and wait for
 * the command's end. filter may be NULL when the plan has no STEP_SECCOMP;
 * exec_cookie is the one that it was compiled with. The command dies with
 * the caller. Returns 0 when the command ran: *wait_status is its own; or a negative errno when it
 * did not: *exit_code is what to exit with (125, 126, 127).
 */
int sandbox_run(struct plan *plan, const struct filter *filter, uint64_t exec_cookie,
		int *wait_status, int *exit_code, struct err *err);

#endif
