/*
 * policy-foreign.h - what the readers of other programs' policies share.
 *
 * Pure. Those programs pass over what they do not know, and their files live from it; so here it is
 * a warning with its position, and no mistake. Warnings are bounded: after FOREIGN_WARNINGS_MAX of
 * a kind one more says that there were others.
 */
#ifndef JAIL_POLICY_POLICY_FOREIGN_H
#define JAIL_POLICY_POLICY_FOREIGN_H

#include "jail/base/yaml.h"
#include "jail/policy/policy.h"

enum { FOREIGN_WARNINGS_MAX = 16, FOREIGN_RULES_MAX = 20000 };

static inline struct policy_pos foreign_pos(const struct yaml_node *node)
{
	return (struct policy_pos){node->line, node->column};
}

/* NULL for a value that is missing or null. */
const struct yaml_node *foreign_get(const struct yaml_node *map, const char *key);
/* node (NULL is fine: an empty one) as a list or map. what names it in the message. */
int foreign_check(const struct yaml *y, const struct yaml_node *node, enum yaml_kind kind,
		  const char *what, struct err *err);
/* A warning for each key of the map that is not among keys. what: "a profile". */
void foreign_check_keys(struct policy *policy, const struct yaml_node *map, const char *what,
			const char *const *keys, size_t n, unsigned int *warned);
/*
 * The call that a scalar names. Returns 1, 0 when no kernel has such a call (a warning), or
 * -EINVAL.
 */
int foreign_call(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
		 unsigned int *warned, const struct syscall_def **ret, struct err *err);
/* A rule without conditions. -E2BIG after FOREIGN_RULES_MAX. */
int foreign_add_rule(const struct yaml *y, const struct yaml_node *at,
		     const struct syscall_def *call, struct policy_action action,
		     struct policy *policy, struct policy_rule **ret, struct err *err);

#endif
