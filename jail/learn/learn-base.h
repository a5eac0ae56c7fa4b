/*
 * learn-base.h - what a policy already gives, on every architecture: what is learned beyond it is
 * only the rest.
 *
 * Pure. For a kernel that is not known and a program without capabilities, so that what it allows
 * only for some is not counted.
 */
#ifndef JAIL_LEARN_LEARN_BASE_H
#define JAIL_LEARN_LEARN_BASE_H

#include "jail/filter/model.h"
#include "jail/learn/learn-args.h"

struct learn_base { /* {0}: no policy, nothing is given */
	struct filter_model models[ARCH_COUNT];
	bool has_model[ARCH_COUNT];
};

/* Ownership: points into the policy. */
void learn_base_init(struct learn_base *base, const struct policy *policy);
void learn_base_deinit(struct learn_base *base);
DEFINE_CLEANUP(learn_base, learn_base_deinit)

/* Whether it certainly allows the call for all arguments that are meant, wherever it exists. */
bool learn_base_allows(const struct learn_base *base, const struct syscall_def *call,
		       const struct kept_args *kept);
/* Whether it allows the call or answers ENOSYS, so that who makes it then tries an older one. */
bool learn_base_lets_try(const struct learn_base *base, const struct syscall_def *call);

#endif
