/*
 * policy-diff.h - what two policies do differently: by behaviour, however they are written.
 *
 * Pure.
 */
#ifndef JAIL_POLICY_POLICY_DIFF_H
#define JAIL_POLICY_POLICY_DIFF_H

#include "jail/filter/model.h"

struct policy_difference {
	char *what;	     /* a call; "calls without a name"; a setting ("limits") */
	bool is_setting;     /* then a and b are its lines in a file; "" when it says nothing */
	unsigned int arches; /* bits 1 << enum arch: where; 0 for settings */
	char *a, *b;	     /* "errno EPERM"; "allow if {domain: AF_UNIX}, else errno EPERM" */
	char *example;	     /* a call for which they differ; NULL: for all */
};

struct policy_differences {
	struct policy_difference *items;
	size_t n, cap;
};
void policy_differences_deinit(struct policy_differences *list);
DEFINE_CLEANUP(policy_differences, policy_differences_deinit)

/*
 * Compare two models of the same architecture, call by call, for all arguments; what differs the
 * same way on an architecture compared before joins that. Adds to *ret.
 */
void policy_diff_calls(const struct filter_model *a, const struct filter_model *b,
		       struct policy_differences *ret);
/* Compare what the policies (loaded, so inherited settings count) say besides rules. */
void policy_diff_settings(const struct policy *a, const struct policy *b,
			  struct policy_differences *ret);

#endif
