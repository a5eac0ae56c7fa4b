/*
 * cond-solve.h - can comparisons of arguments hold at the same time, does one rule's cover
 * another's?
 *
 * Pure. Arguments are independent of each other, so each is solved alone: its equalities and masks
 * fix some bits, the others must make a number in an interval that is none of a few. That is exact;
 * only where one argument is compared both as 32 and as 64 bits is the answer "yes, they can".
 */
#ifndef JAIL_INSPECT_COND_SOLVE_H
#define JAIL_INSPECT_COND_SOLVE_H

#include "jail/policy/policy.h"

/*
 * Whether all n comparisons can hold on an architecture; then args (unless NULL) has values for
 * which they do, 0 for those that are not compared. *arg, unless NULL, is the argument for which
 * they cannot.
 */
bool conds_can_hold(const struct policy_cond *conds, size_t n, enum arch arch, uint64_t args[6],
		    unsigned int *arg);
/* Whether every call for which a's n_a comparisons hold is one for which b's n_b do. */
bool conds_imply(const struct policy_cond *a, size_t n_a, const struct policy_cond *b, size_t n_b,
		 enum arch arch);

#endif
