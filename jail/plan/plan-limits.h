/*
 * plan-limits.h - the steps by which a policy's limits, paths and ports hold; for plan.c.
 *
 * Pure. Nothing is added when the policy (spec->limited_by) says nothing of the kind.
 */
#ifndef JAIL_PLAN_PLAN_LIMITS_H
#define JAIL_PLAN_PLAN_LIMITS_H

#include "jail/plan/limits.h"
#include "jail/plan/plan.h"

/* An open file limit below this would stop the set-up itself. */
enum { LIMIT_OPEN_FILES_MIN = 16 };

/* Whether these limits need a cgroup. */
bool limits_need_cgroup(const struct limits *limits);

/* The process enters the cgroup: itself and all it starts from here on. */
void plan_add_cgroup(const struct jail_spec *spec, struct plan *plan);
/* From here on that cgroup has at most so many processes. */
void plan_add_processes(const struct jail_spec *spec, struct plan *plan);
/* Landlock, then the limits of a process. Returns 0, or -EINVAL (err: where in the policy). */
int plan_add_restrictions(const struct jail_spec *spec, struct plan *plan, struct err *err);

#endif
