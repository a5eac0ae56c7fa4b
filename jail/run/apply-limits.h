/*
 * apply-limits.h - the steps of plan-limits.h, in the child. Allocates nothing.
 */
#ifndef JAIL_RUN_APPLY_LIMITS_H
#define JAIL_RUN_APPLY_LIMITS_H

#include "jail/plan/plan.h"
#include "jail/run/resources.h"

/*
 * Carry one of the steps STEP_CGROUP, STEP_PROCESSES, STEP_LANDLOCK*, STEP_RESTRICT, STEP_RLIMIT or
 * STEP_OUTPUT out. resources may be NULL. *ruleset keeps Landlock's descriptor between the steps:
 * -1 at first.
 */
int apply_limit(const struct resources *resources, const struct step *s, int *ruleset,
		struct err *err);

#endif
