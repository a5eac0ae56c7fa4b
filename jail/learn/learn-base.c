#include "jail/learn/learn-base.h"

#include <errno.h>

void learn_base_deinit(struct learn_base *base)
{
	for (size_t a = 0; a < ARCH_COUNT; a++)
		if (base->has_model[a])
			filter_model_deinit(&base->models[a]);
}
void learn_base_init(struct learn_base *base, const struct policy *policy)
{
	for (size_t a = 0; a < ARCH_COUNT; a++) {
		const struct filter_target target = {.arch = (enum arch)a};

		base->has_model[a] =
			filter_model_make(policy, &target, &base->models[a], NULL) == 0;
	}
}

enum certainty { NO, MAYBE, YES };

/* Whether a condition holds for every call that these arguments stand for. */
static enum certainty cond_holds(const struct policy_cond *cond, enum arch arch,
				 const struct kept_args *kept)
{
	uint64_t full = cond->is_32bit ? UINT32_MAX : UINT64_MAX;
	uint64_t known = kept->mask[cond->arg] & full, value = kept->value[cond->arg];
	uint64_t mask = cond->mask[arch] & full;

	if (known == full)
		return filter_cond_holds(cond, arch, kept->value) ? YES : NO;
	if (cond->op != POLICY_MASKED_EQ)
		return MAYBE;
	if ((value & mask & known) != (cond->value[arch] & mask & known))
		return NO;
	return mask & ~known ? MAYBE : YES;
}

static enum certainty rule_holds(const struct filter_rule *rule, enum arch arch,
				 const struct kept_args *kept)
{
	enum certainty all = YES;

	for (size_t i = 0; i < rule->n_conds; i++) {
		enum certainty one = cond_holds(&rule->conds[i], arch, kept);

		if (one < all)
			all = one;
	}
	return all;
}

static bool model_allows(const struct filter_model *model, int nr, const struct kept_args *kept)
{
	const struct filter_call *call = &model->calls[nr];

	for (size_t i = 0; i < call->n; i++) {
		enum certainty holds = rule_holds(&call->rules[i], model->target.arch, kept);
		bool allows = policy_kind_allows(call->rules[i].action.kind);

		if (holds == YES || (holds == MAYBE && !allows))
			return allows;
	}
	return policy_kind_allows((call->is_unknown ? model->unknown : model->fallback).kind);
}

bool learn_base_allows(const struct learn_base *base, const struct syscall_def *call,
		       const struct kept_args *kept)
{
	bool is_anywhere = false;

	for (size_t a = 0; a < ARCH_COUNT; a++) {
		if (call->nr[a] < 0)
			continue;
		if (!base->has_model[a] || !model_allows(&base->models[a], call->nr[a], kept))
			return false;
		is_anywhere = true;
	}
	return is_anywhere;
}

bool learn_base_lets_try(const struct learn_base *base, const struct syscall_def *call)
{
	static const uint64_t none[6];

	for (size_t a = 0; a < ARCH_COUNT; a++) {
		struct decision d;

		if (!base->has_model[a] || call->nr[a] < 0)
			continue;
		d = filter_decide(&base->models[a], filter_audit_arch((enum arch)a), call->nr[a],
				  none);
		if (!policy_kind_allows(d.action.kind) &&
		    (d.action.kind != POLICY_ERRNO || d.action.error != ENOSYS))
			return false;
	}
	return true;
}
