/*
 * policy-age.h - whether a policy is older than a kernel: calls that its author could not know.
 *
 * Pure.
 */
#ifndef JAIL_POLICY_POLICY_AGE_H
#define JAIL_POLICY_POLICY_AGE_H

#include "jail/policy/policy.h"

/*
 * Append to out a line for each file, of the loaded policy and what it extends, that says which
 * kernel it knows (`known`) when the given one has calls newer than that and no file has a rule for
 * them: its date, and these calls with their kernels. When no file says it, one line says so.
 */
void policy_age_check(const struct policy *policy, const struct kver *kernel, struct strv *out);

#endif
