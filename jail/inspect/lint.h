/*
 * lint.h - what is wrong with a policy that can be read: rules that never match, rules without
 * effect on some machine, allowances that defeat a sandbox, refusals that are easily got round.
 *
 * Pure. Dead rules are looked for in the policy's own file, since a rule that hides one of what is
 * extended is what `extends` is for; dangers are looked for in the whole, since all of it counts.
 */
#ifndef JAIL_INSPECT_LINT_H
#define JAIL_INSPECT_LINT_H

#include "jail/inspect/findings.h"

struct lint_options {
	unsigned int arches; /* bits; 0: all */
	bool has_kernel;
	struct kver kernel; /* what it would do there; otherwise on the newest */
	bool has_age;
	struct kver age; /* is it older than this kernel: policy_age_check() */
};

/*
 * The policy as policy_load() made it; it must outlive the findings. Adds to *ret and
 * sorts it.
 */
void policy_lint(const struct policy *policy, const struct lint_options *options,
		 struct findings *ret);

#endif
