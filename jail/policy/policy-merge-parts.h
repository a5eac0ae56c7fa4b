/*
 * policy-merge-parts.h - what the two files of policy-merge.h share.
 */
#ifndef JAIL_POLICY_POLICY_MERGE_PARTS_H
#define JAIL_POLICY_POLICY_MERGE_PARTS_H

#include "jail/policy/policy.h"

/* The mildest of all their settings; where they differ is a line in notes. */
void policy_merge_settings(const struct policy *policies, size_t n, struct policy_settings *ret,
			   struct strv *notes);

#endif
