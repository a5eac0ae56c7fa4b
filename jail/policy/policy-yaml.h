/*
 * policy-yaml.h - read policies in jail's own format: docs/jail-policy.5.
 *
 * Pure. Input is untrusted; the limits are those of yaml.h. Every mistake is name:line:column:
 * text, and a misspelt name comes with the nearest known one. A call that only another architecture
 * has is no mistake: a policy is portable.
 */
#ifndef JAIL_POLICY_POLICY_YAML_H
#define JAIL_POLICY_POLICY_YAML_H

#include "jail/base/yaml.h"
#include "jail/policy/policy.h"

/*
 * Read one file; what it extends is not looked for. The policy's name is y->name. Returns 0, or
 * -EINVAL, -E2BIG (err says name:line:column and what was expected). *ret is written only on
 * success, and is the caller's: policy_deinit().
 */
int policy_from_yaml(const struct yaml *y, struct policy *ret, struct err *err);

#endif
