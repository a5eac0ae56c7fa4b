/*
 * lint-parts.h - the parts of lint.h: what is wrong with the rules of a file (lint-rules.c), and
 * with what a policy as a whole decides (lint-danger.c).
 *
 * Pure. Both add to *ret; the policy, or the model's, must outlive it.
 */
#ifndef JAIL_INSPECT_LINT_PARTS_H
#define JAIL_INSPECT_LINT_PARTS_H

#include "jail/filter/model.h"
#include "jail/inspect/findings.h"

/* The rules of its own file. arches: bits; kernel: what they would do there, NULL: not asked. */
void lint_rules(const struct policy *policy, unsigned int arches, const struct kver *kernel,
		struct findings *ret);
/* What is allowed and should not be. */
void lint_dangers(const struct filter_model *model, struct findings *ret);
/* What is refused, and can be had by another call. */
void lint_gaps(const struct filter_model *model, struct findings *ret);

#endif
