/*
 * model.h - what a policy means on one machine: for a call and its arguments, the action and the
 * rule that gives it. The filter is compiled from it, and compared with it.
 *
 * Pure. Ownership: the model points into the policy, which must outlive it.
 */
#ifndef JAIL_FILTER_MODEL_H
#define JAIL_FILTER_MODEL_H

#include "jail/policy/policy.h"

/* A kernel newer than any: what tools mean when none is said. */
#define FILTER_NEWEST_KERNEL ((struct kver){{UINT16_MAX, 0, 0}})

/* The machine that is meant. */
struct filter_target {
	enum arch arch;
	struct kver kernel; /* {0}: not known; then rules for some kernels are left out */
	uint64_t caps;	    /* that the program keeps: for rules that depend on them */
};

/* One rule that counts here, for one call. */
struct filter_rule {
	struct policy_action action;
	const struct policy_cond *conds; /* all must hold */
	size_t n_conds;
	struct policy_cond own;		/* where conds points when an equivalent call brought it */
	const struct policy_rule *rule; /* where it is written */
	const struct policy *policy;	/* in which file */
};

/* The rules of one call, the one that wins first; nothing after a rule without conditions. */
struct filter_call {
	const struct filter_rule *rules;
	size_t n;
	bool is_unknown; /* no name, or newer than the policy: without a rule, `unknown` */
	uint64_t weight; /* frequency hint */
};

enum { FILTER_CALLS_MAX = 1024 }; /* numbers from here on are unknown to everybody */

struct filter_model {
	struct filter_target target;
	struct filter_call *calls; /* FILTER_CALLS_MAX of them, by number */
	int n_known;		   /* 1 + the highest number that has a name here */
	struct policy_action fallback, unknown;
	/* the ones that set fallback and unknown (fallback's, when none does) */
	const struct policy *policy, *fallback_from, *unknown_from;
	struct filter_rule *rules; /* owned: those of all calls */
};

/* What happens to a call, and why. */
enum decision_why { BY_RULE, BY_DEFAULT, BY_UNKNOWN, BY_OTHER_ABI };
struct decision {
	struct policy_action action;
	enum decision_why why;
	const struct policy_rule *rule; /* BY_RULE */
	const struct policy *policy;	/* that holds the rule, or sets the default */
};

/*
 * Make the model of a loaded policy. Returns 0, or -EINVAL when nothing says what happens to a call
 * without a rule. *ret is written only on success.
 */
int filter_model_make(const struct policy *policy, const struct filter_target *target,
		      struct filter_model *ret, struct err *err);
void filter_model_deinit(struct filter_model *model);
DEFINE_CLEANUP(filter_model, filter_model_deinit)

/*
 * Decide. audit_arch is seccomp_data.arch; a call by another ABI than the target's (32-bit, x32)
 * gets the fallback when that refuses; else EPERM, since its rules would not hold for it.
 */
struct decision filter_decide(const struct filter_model *model, uint32_t audit_arch, int nr,
			      const uint64_t args[6]);
/* On amd64 the numbers from here on are x32's. */
enum { FILTER_X32_BIT = 0x40000000 };
/* Whether a call is one of another ABI (32-bit, x32), as seccomp_data tells it. */
bool filter_is_other_abi(enum arch arch, uint32_t audit_arch, int nr);
/* What a call by another ABI gets. */
struct policy_action filter_other_abi(const struct filter_model *model);
bool filter_cond_holds(const struct policy_cond *cond, enum arch arch, const uint64_t args[6]);
/* AUDIT_ARCH_X86_64 or AUDIT_ARCH_AARCH64. */
uint32_t filter_audit_arch(enum arch arch);
/* "policy.yml:12:9: deny: ptrace" or "policy.yml:2:10: default" : where a decision is written. */
void decision_print_place(const struct decision *decision, struct buf *out);

#endif
