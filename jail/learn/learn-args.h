/*
 * learn-args.h - what of a call's arguments is worth a rule: the part that decides what the call
 * can do, without what changes from run to run.
 *
 * Pure.
 */
#ifndef JAIL_LEARN_LEARN_ARGS_H
#define JAIL_LEARN_LEARN_ARGS_H

#include "jail/policy/call-args.h"
#include "jail/policy/policy.h"

/* For each argument (argument & mask) == value; mask 0: the argument is not kept. */
struct kept_args {
	uint64_t mask[6], value[6];
};

/*
 * Of those that call-args.h has as learned. Flags of clone: the namespaces; of mmap and mprotect:
 * whether memory is executed, and then whether it is writable too; of socket: the domain, and
 * netlink's protocol. Returns whether anything is kept.
 */
bool kept_args_of(const struct syscall_def *call, const uint64_t args[6], struct kept_args *ret);
/* What stands for a call whose arguments were not seen. False: nothing, it is the call as a whole.
 */
bool kept_args_unseen(const struct syscall_def *call, struct kept_args *ret);
/* What the conditions of a rule say. False when they say more than struct kept_args can. */
bool kept_args_of_rule(const struct policy_rule *rule, struct kept_args *ret);
/* Append them to a rule of this call as conditions, with the names of constants. */
void kept_args_to_rule(const struct kept_args *kept, enum arch arch, struct policy_rule *rule);

#endif
