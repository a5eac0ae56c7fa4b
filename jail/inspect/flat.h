/*
 * flat.h - what a model does with one call, without order: cases of which those with different
 * actions exclude each other.
 *
 * Pure. A model's rules are tried one after the other; formats without an order (container
 * engines'), and comparisons of two policies, need each rule less what is before it. Every
 * comparison is of 64 bits and there is at most one for each argument: what is more (32 bits, an
 * interval) becomes several cases with masks, exactly.
 */
#ifndef JAIL_INSPECT_FLAT_H
#define JAIL_INSPECT_FLAT_H

#include "jail/filter/model.h"

struct flat_case {
	struct policy_action action;
	struct policy_cond conds[6]; /* all must hold; they own nothing */
	size_t n_conds;
};

struct flat {
	struct flat_case *cases; /* owned */
	size_t n, cap;
};
void flat_deinit(struct flat *flat);
DEFINE_CLEANUP(flat, flat_deinit)

enum { FLAT_CASES_MAX = 8192 }; /* of one call */

/*
 * Every call of this number falls in one case at least, and all it falls in have the action that
 * filter_decide() gives. Returns 0, or -E2BIG when there would be too many.
 */
int flat_call(const struct filter_model *model, int nr, struct flat *ret);

#endif
