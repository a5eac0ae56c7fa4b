/*
 * policy-print.h - a policy as a file of jail's own format.
 */
#ifndef JAIL_POLICY_POLICY_PRINT_H
#define JAIL_POLICY_POLICY_PRINT_H

#include "jail/policy/policy.h"

/*
 * The file that reads back as this policy, appended to out: one entry a line, by name, groups kept,
 * counts of learned rules as comments and as frequency. What it extends stays a name.
 */
void policy_print(const struct policy *policy, struct buf *out);
/* One rule as it stands in a list of its action: "socket: {domain: AF_UNIX}". */
void policy_rule_print(const struct policy_rule *rule, struct buf *out);

#endif
