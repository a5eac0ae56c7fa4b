/*
 * policy-merge.h - several policies as one that allows what any of them allows.
 *
 * Pure.
 */
#ifndef JAIL_POLICY_POLICY_MERGE_H
#define JAIL_POLICY_POLICY_MERGE_H

#include "jail/policy/policy.h"

/*
 * Merge n loaded policies, in their order. A call gets the mildest of the actions that they give
 * it; a refusal stays only where all refuse; limits are the largest; counts of learned rules add
 * up. Built-in profiles that they all extend stay names when none adds refusals or another default;
 * otherwise what a policy extends is put in. Where they contradict each other, and where more is
 * allowed than by any of them alone, is a line in notes: without notes exactly that is allowed
 * which one of them allows. The result is the caller's; it points into none of them.
 */
void policy_merge(const struct policy *policies, size_t n, struct policy *ret, struct strv *notes);

#endif
