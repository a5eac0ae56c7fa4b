/*
 * policy-inherit.h - what a policy has from those that it extends.
 *
 * Pure. Rules are not copied: the model looks for them in the bases (jail/filter/model.h).
 */
#ifndef JAIL_POLICY_POLICY_INHERIT_H
#define JAIL_POLICY_POLICY_INHERIT_H

#include "jail/policy/policy.h"

/*
 * Fill what the policy's settings leave unset from its bases, the first of them first; they have
 * inherited already. env.set, env.unset and plugins add up, but what is nearer wins: a variable
 * that the policy sets or unsets is not unset or set by a base. The bases' warnings move to the
 * policy.
 */
void policy_inherit(struct policy *policy);
/* Whether the policy or something that it extends says what happens to a call without a rule. */
bool policy_has_fallback(const struct policy *policy);

#endif
