/*
 * plan-limits.h - the steps by which a policy's limits, paths and ports hold; for plan.c.
 *
 * Pure. Nothing is added when the policy (NULL: none) says nothing of the kind.
 */
#ifndef JAIL_PLAN_PLAN_LIMITS_H
#define JAIL_PLAN_PLAN_LIMITS_H

#include "jail/base/err.h"
#include "jail/plan/step.h"

/* An open file limit below this would stop the set-up itself. */
enum { LIMIT_OPEN_FILES_MIN = 16 };

/* Whether these limits need a cgroup. */
bool limits_need_cgroup(const struct limits *limits);

/*
 * The process enters the cgroup: itself and all it starts from here on. wants_usage: without
 * limits, too, if there can be one.
 */
void plan_add_cgroup(const struct policy *policy, bool wants_usage, struct plan *plan);
/* From here on that cgroup has at most so many processes; has_init: besides PID 1, which is jail's.
 */
void plan_add_processes(const struct policy *policy, bool has_init, struct plan *plan);
/* Landlock, then the limits of a process. Returns 0, or -EINVAL (err: where in the policy). */
int plan_add_restrictions(const struct policy *policy, struct plan *plan, struct err *err);

#endif
