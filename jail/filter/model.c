#include "jail/filter/model.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/policy/groups.h"

/* A rule on its way into the model: what decides its place among those of its call. */
struct entry {
	int nr;
	unsigned int file;  /* nearness: the policy itself is 0 */
	unsigned int place; /* as written */
	struct filter_rule rule;
};

struct entries {
	struct entry *items;
	size_t n, cap;
	unsigned int files;
};

static void entries_deinit(struct entries *entries)
{
	free(entries->items);
}
DEFINE_CLEANUP(entries, entries_deinit)

void filter_model_deinit(struct filter_model *model)
{
	free(model->calls);
	free(model->rules);
	*model = (struct filter_model){0};
}

/* --- which rules count ------------------------------------------------------------------------ */

static bool rule_counts(const struct policy_when *when, const struct filter_target *target)
{
	const struct kver not_known = {{0}};

	if (when->never || (when->arches && !(when->arches & 1U << target->arch)))
		return false;
	if ((target->caps & when->caps) != when->caps || target->caps & when->no_caps)
		return false;
	if (!when->kernel.n)
		return true;
	return kver_compare(&target->kernel, &not_known) != 0 &&
	       kver_in_range(&target->kernel, &when->kernel);
}

static void add_entry(struct entries *entries, int nr, const struct filter_rule *rule)
{
	if (entries->n == entries->cap) {
		entries->cap = entries->cap ? 2 * entries->cap : 512;
		entries->items =
			xreallocarray(entries->items, entries->cap, sizeof(*entries->items));
	}
	entries->items[entries->n] =
		(struct entry){nr, entries->files, (unsigned int)entries->n, *rule};
	entries->n++;
}

/* What stands for a call that this architecture lacks; -1: nothing. */
static int equivalent_nr(const struct syscall_def *call, enum arch arch,
			 const struct call_equivalent **equivalent)
{
	const struct syscall_def *instead;

	*equivalent = call_equivalent(call, arch);
	instead = *equivalent ? syscall_find((*equivalent)->instead) : NULL;
	return instead ? instead->nr[arch] : -1;
}

/* Only a rule that allows, and whatever the arguments are: another call has other ones. */
static int map_rule(const struct policy_rule *rule, enum arch arch, struct filter_rule *ret)
{
	const struct call_equivalent *equivalent;
	int nr;

	if (!policy_kind_allows(rule->action.kind) || rule->n_conds)
		return -1;
	nr = equivalent_nr(rule->call, arch, &equivalent);
	if (nr >= 0 && equivalent->mask) {
		ret->own = (struct policy_cond){.arg = equivalent->arg, .op = POLICY_MASKED_EQ};
		ret->own.value[arch] = equivalent->value;
		ret->own.mask[arch] = equivalent->mask;
		ret->n_conds = 1;
	}
	return nr;
}

static void collect(const struct policy *policy, const struct filter_target *target,
		    struct entries *entries)
{
	for (size_t i = 0; i < policy->n; i++) {
		const struct policy_rule *from = &policy->rules[i];
		struct filter_rule rule = {.action = from->action,
					   .conds = from->conds,
					   .n_conds = from->n_conds,
					   .rule = from,
					   .policy = policy};
		int nr = from->call->nr[target->arch];

		if (!rule_counts(&from->when, target))
			continue;
		if (nr < 0)
			nr = map_rule(from, target->arch, &rule);
		if (nr >= 0 && nr < FILTER_CALLS_MAX)
			add_entry(entries, nr, &rule);
	}
	entries->files++;
	for (size_t i = 0; i < policy->n_bases; i++)
		collect(&policy->bases[i], target, entries);
}

static bool is_mapped(const struct entry *entry, enum arch arch)
{
	return entry->rule.rule->call->nr[arch] != entry->nr;
}

/* By call; then the nearest file, the strictest action, its own name, and as written. */
static int compare(const void *va, const void *vb, void *context)
{
	const struct entry *a = va, *b = vb;
	const enum arch arch = *(const enum arch *)context;

	if (a->nr != b->nr)
		return a->nr < b->nr ? -1 : 1;
	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	if (a->rule.action.kind != b->rule.action.kind)
		return a->rule.action.kind > b->rule.action.kind ? -1 : 1;
	if (is_mapped(a, arch) != is_mapped(b, arch))
		return is_mapped(b, arch) ? -1 : 1;
	return a->place < b->place ? -1 : 1;
}

static void place_rules(struct entries *entries, struct filter_model *model)
{
	size_t n = 0;

	if (entries->n)
		qsort_r(entries->items, entries->n, sizeof(*entries->items), compare,
			&model->target.arch);
	model->rules = xcalloc(entries->n + 1, sizeof(*model->rules));
	for (size_t i = 0; i < entries->n; i++) {
		struct filter_call *call = &model->calls[entries->items[i].nr];
		struct filter_rule *rule = &model->rules[n];

		if (call->n && !call->rules[call->n - 1].n_conds)
			continue; /* never reached */
		*rule = entries->items[i].rule;
		if (rule->n_conds && !rule->conds)
			rule->conds = &rule->own;
		if (!call->n)
			call->rules = rule;
		call->n++;
		n++;
	}
}

/* --- everything else -------------------------------------------------------------------------- */

/* The nearest policy that says what happens otherwise: by default, or to unknown calls. */
static const struct policy *find_setter(const struct policy *policy, bool of_unknown)
{
	const struct policy_action *action = of_unknown ? &policy->unknown : &policy->fallback;

	if (action->kind != POLICY_UNSET)
		return policy;
	for (size_t i = 0; i < policy->n_bases; i++) {
		const struct policy *found = find_setter(&policy->bases[i], of_unknown);

		if (found)
			return found;
	}
	return NULL;
}

static void add_frequency(const struct policy *policy, enum arch arch, struct filter_model *model)
{
	const struct call_equivalent *equivalent;

	for (size_t i = 0; i < policy->n_frequency; i++) {
		const struct syscall_def *call = policy->frequency[i].call;
		int nr = call->nr[arch];

		if (nr < 0)
			nr = equivalent_nr(call, arch, &equivalent);
		if (nr >= 0 && nr < FILTER_CALLS_MAX)
			model->calls[nr].weight += policy->frequency[i].count;
	}
	for (size_t i = 0; i < policy->n_bases; i++)
		add_frequency(&policy->bases[i], arch, model);
}

/* The nearest policy whose author says which kernel was the newest one known. */
static const struct policy *find_known(const struct policy *policy)
{
	if (policy->has_known)
		return policy;
	for (size_t i = 0; i < policy->n_bases; i++) {
		const struct policy *found = find_known(&policy->bases[i]);

		if (found)
			return found;
	}
	return NULL;
}

static void mark_unknown(const struct policy *policy, struct filter_model *model)
{
	const struct policy *author = find_known(policy);

	for (int nr = 0; nr < FILTER_CALLS_MAX; nr++) {
		const struct syscall_def *call = syscall_by_nr(model->target.arch, nr);

		model->calls[nr].is_unknown =
			!call || (author && kver_compare(&call->since, &author->known) > 0);
		if (call)
			model->n_known = nr + 1;
	}
}

int filter_model_make(const struct policy *policy, const struct filter_target *target,
		      struct filter_model *ret, struct err *err)
{
	const struct policy *fallback_from = find_setter(policy, false);
	const struct policy *unknown_from = find_setter(policy, true);
	auto_cleanup(entries) entries = {0};
	struct filter_model model = {.target = *target, .policy = policy};

	if (!fallback_from)
		return err_set(err, EINVAL,
			       "%s: nothing says what happens to a call that no rule names: add "
			       "'default: EPERM' (or allow, log, kill)",
			       policy->name);
	model.fallback_from = fallback_from;
	model.fallback = fallback_from->fallback;
	model.unknown_from = unknown_from ? unknown_from : fallback_from;
	if (unknown_from)
		model.unknown = unknown_from->unknown;
	else if (policy_kind_allows(model.fallback.kind))
		model.unknown = model.fallback;
	else
		model.unknown = (struct policy_action){POLICY_ERRNO, ENOSYS};
	model.calls = xcalloc(FILTER_CALLS_MAX, sizeof(*model.calls));
	mark_unknown(policy, &model);
	collect(policy, target, &entries);
	place_rules(&entries, &model);
	add_frequency(policy, target->arch, &model);
	*ret = model;
	return 0;
}

/* --- decisions -------------------------------------------------------------------------------- */

uint32_t filter_audit_arch(enum arch arch)
{
	return arch == ARCH_AMD64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
}

bool filter_cond_holds(const struct policy_cond *cond, enum arch arch, const uint64_t args[6])
{
	uint64_t bits = cond->is_32bit ? UINT32_MAX : UINT64_MAX;
	uint64_t arg = args[cond->arg] & bits, value = cond->value[arch] & bits;

	switch (cond->op) {
	case POLICY_EQ:
		return arg == value;
	case POLICY_NE:
		return arg != value;
	case POLICY_LT:
		return arg < value;
	case POLICY_LE:
		return arg <= value;
	case POLICY_GT:
		return arg > value;
	case POLICY_GE:
		return arg >= value;
	case POLICY_MASKED_EQ:
		return (arg & cond->mask[arch]) == value;
	}
	return false;
}

static bool rule_holds(const struct filter_rule *rule, enum arch arch, const uint64_t args[6])
{
	for (size_t i = 0; i < rule->n_conds; i++)
		if (!filter_cond_holds(&rule->conds[i], arch, args))
			return false;
	return true;
}

bool filter_is_other_abi(enum arch arch, uint32_t audit_arch, int nr)
{
	return audit_arch != filter_audit_arch(arch) ||
	       (arch == ARCH_AMD64 && (uint32_t)nr >= FILTER_X32_BIT);
}

struct policy_action filter_other_abi(const struct filter_model *model)
{
	if (policy_kind_allows(model->fallback.kind))
		return (struct policy_action){POLICY_ERRNO, EPERM};
	return model->fallback;
}

struct decision filter_decide(const struct filter_model *model, uint32_t audit_arch, int nr,
			      const uint64_t args[6])
{
	struct decision by_default = {model->fallback, BY_DEFAULT, NULL, model->fallback_from};
	struct decision by_unknown = {model->unknown, BY_UNKNOWN, NULL, model->unknown_from};
	enum arch arch = model->target.arch;
	const struct filter_call *call;

	if (filter_is_other_abi(arch, audit_arch, nr))
		return (struct decision){filter_other_abi(model), BY_OTHER_ABI, NULL,
					 model->fallback_from};
	if (nr < 0 || nr >= FILTER_CALLS_MAX)
		return by_unknown;
	call = &model->calls[nr];
	for (size_t i = 0; i < call->n; i++) {
		const struct filter_rule *rule = &call->rules[i];

		if (rule_holds(rule, arch, args))
			return (struct decision){rule->action, BY_RULE, rule->rule, rule->policy};
	}
	return call->is_unknown ? by_unknown : by_default;
}

void decision_print_place(const struct decision *decision, struct buf *out)
{
	static const char *const lists[] = {
		[POLICY_ALLOW] = "allow",   [POLICY_LOG] = "log",
		[POLICY_NOTIFY] = "notify", [POLICY_ERRNO] = "deny",
		[POLICY_TRAP] = "trap",	    [POLICY_KILL_THREAD] = "kill-thread",
		[POLICY_KILL] = "kill",
	};
	static const char *const whys[] = {
		[BY_DEFAULT] = "default",
		[BY_UNKNOWN] = "unknown",
		[BY_OTHER_ABI] = "default (a 32-bit or x32 call)",
	};
	const struct policy_rule *rule = decision->rule;
	struct policy_pos at = rule ? rule->at : (struct policy_pos){0};

	if (!rule && decision->why != BY_UNKNOWN)
		at = decision->policy->fallback_at;
	buf_adds(out, decision->policy->name);
	if (at.line)
		buf_addf(out, ":%u:%u", at.line, at.column);
	if (!rule) {
		buf_addf(out, ": %s", whys[decision->why]);
		return;
	}
	buf_addf(out, ": %s: %s", lists[decision->action.kind], rule->call->name);
	if (rule->group)
		buf_addf(out, " (%s)", rule->group);
}
