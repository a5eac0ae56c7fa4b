/*
 * limits.h - the limits of a policy: as numbers for those who enforce them, and in words.
 *
 * Pure. Who enforces what: open-files and file-size are resource limits of the command (a step of
 * the plan); processes, memory and cpus a cgroup's (cgroup.h); cpu-time is read from that cgroup,
 * and output counted by who copies it, and wall-time measured, while the command runs
 * (resources.h); exec and fork are counted by the supervisor.
 */
#ifndef JAIL_PLAN_LIMITS_H
#define JAIL_PLAN_LIMITS_H

#include "jail/policy/policy.h"

#define LIMIT_NONE UINT64_MAX

/* In the units of enum policy_limit; LIMIT_NONE where there is none. */
struct limits {
	uint64_t value[LIMIT_COUNT];
};

/* settings may be NULL: no limit at all. */
struct limits limits_of(const struct policy_settings *settings);
static inline bool limits_has(const struct limits *limits, enum policy_limit limit)
{
	return limits->value[limit] != LIMIT_NONE;
}
/* "2s", "512M", "1.5", "64": the value as a policy has it. Appends to out. */
void limits_print_value(enum policy_limit limit, uint64_t value, struct buf *out);
/* "wall-time 2s (policy.yml:3:12)"; policy: the loaded one. Appends to out. */
void limits_print(const struct policy *policy, enum policy_limit limit, struct buf *out);

#endif
