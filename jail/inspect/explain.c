#include "jail/inspect/explain.h"

#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/base/json.h"
#include "jail/filter/compile.h"
#include "jail/learn/decode.h"
#include "jail/policy/call-args.h"
#include "jail/policy/cap-names.h"
#include "jail/policy/groups.h"
#include "jail/policy/policy-print.h"

/* The question, and what it comes to on this machine. */
struct answer {
	const struct filter_model *model;
	/* the call that is made: perhaps what stands for the one asked for */
	const struct syscall_def *call;
	uint64_t args[6];
	unsigned int given;	  /* bits 1 << argument */
	int nr;			  /* -1: there is none */
	bool depends;		  /* on arguments that are not given */
	struct decision decision; /* unless it depends */
};

static const struct filter_call *rules_of(const struct answer *a)
{
	return &a->model->calls[a->nr];
}

static bool needs_more(const struct answer *a, const struct filter_rule *rule)
{
	for (size_t i = 0; i < rule->n_conds; i++)
		if (!(a->given & 1U << rule->conds[i].arg))
			return true;
	return false;
}

/* The first comparison that does not hold for what is given; NULL: all may. */
static const struct policy_cond *failing(const struct answer *a, const struct policy_cond *conds,
					 size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a->given & 1U << conds[i].arg &&
		    !filter_cond_holds(&conds[i], a->model->target.arch, a->args))
			return &conds[i];
	return NULL;
}

/* The rule from i on that may decide, NULL at the end: after one that does none is tried. */
static const struct filter_rule *next_candidate(const struct answer *a, size_t *i)
{
	const struct filter_rule *rule;

	while (*i < rules_of(a)->n) {
		rule = &rules_of(a)->rules[(*i)++];
		if (failing(a, rule->conds, rule->n_conds))
			continue;
		if (!needs_more(a, rule))
			*i = SIZE_MAX;
		return rule;
	}
	return NULL;
}

/* What stands for a call has other arguments: those of the query say nothing about it. */
static void use_equivalent(struct answer *a, const struct call_equivalent *instead)
{
	a->call = syscall_find(instead->instead);
	memset(a->args, 0, sizeof(a->args));
	a->given = instead->mask ? 1U << instead->arg : 0;
	a->args[instead->arg] = instead->value;
}

static struct answer answer_make(const struct filter_model *model,
				 const struct explain_query *query)
{
	const enum arch arch = model->target.arch;
	const struct call_equivalent *instead = call_equivalent(query->call, arch);
	struct answer a = {.model = model, .call = query->call, .given = query->given};
	const struct filter_rule *first;
	size_t next = 0;

	memcpy(a.args, query->args, sizeof(a.args));
	if (a.call->nr[arch] < 0 && instead)
		use_equivalent(&a, instead);
	a.nr = a.call->nr[arch];
	if (a.nr < 0)
		return a;
	a.decision = filter_decide(model, filter_audit_arch(arch), a.nr, a.args);
	first = next_candidate(&a, &next);
	a.depends = first && needs_more(&a, first);
	return a;
}

static void print_place(const struct policy *policy, struct policy_pos at, struct buf *out)
{
	buf_adds(out, policy->name);
	if (at.line)
		buf_addf(out, ":%u:%u", at.line, at.column);
	buf_adds(out, ": ");
}

static void print_rule(const struct policy *policy, const struct policy_rule *rule, struct buf *out)
{
	print_place(policy, rule->at, out);
	policy_action_print(&rule->action, out);
	buf_adds(out, ": ");
	policy_rule_print(rule, out);
	if (rule->group)
		buf_addf(out, " (in %s)", rule->group);
}

/* What is without a rule: the default, or `unknown`. */
static struct decision decide_otherwise(const struct answer *a)
{
	const uint64_t none[6] = {0};

	if (rules_of(a)->is_unknown)
		return filter_decide(a->model, filter_audit_arch(a->model->target.arch),
				     FILTER_CALLS_MAX, none);
	return (struct decision){a->model->fallback, BY_DEFAULT, NULL, a->model->fallback_from};
}

static void print_otherwise(const struct answer *a, struct buf *out)
{
	struct decision otherwise = decide_otherwise(a);

	decision_print_place(&otherwise, out);
	buf_adds(out, ": ");
	policy_action_print(&otherwise.action, out);
	if (rules_of(a)->is_unknown)
		buf_adds(out, " (the call is newer than the policy)");
}

/* --- rules that speak of the call and do not count -------------------------------------------- */

static void print_caps(uint64_t caps, struct buf *out)
{
	for (int cap = 0, n = 0; cap < CAP_NAMES_COUNT; cap++)
		if (caps & UINT64_C(1) << cap)
			buf_addf(out, "%s%s", n++ ? ", " : "", cap_name(cap));
}

static void print_failing(const struct policy_rule *rule, const struct policy_cond *cond,
			  struct buf *out)
{
	const char *name = call_args(rule->call)[cond->arg].name;

	if (name)
		buf_addf(out, "its condition on %s does not hold", name);
	else
		buf_addf(out, "its condition on argument %u does not hold", cond->arg + 1);
}

/* The rule that takes this one's calls: the one that decides, or the last that is tried. */
static void print_winner(const struct answer *a, const struct policy *policy,
			 const struct policy_rule *rule, struct buf *out)
{
	enum policy_kind kind = a->decision.action.kind;
	const struct policy *from = a->decision.policy;
	const struct filter_rule *candidate;

	for (size_t i = 0; a->depends && (candidate = next_candidate(a, &i));) {
		kind = candidate->action.kind;
		from = candidate->policy;
	}
	buf_adds(out, from != policy		 ? "the one above is in a nearer file"
		      : kind > rule->action.kind ? "the one above is stricter"
						 : "the one above comes first");
}

/* Why a rule does not decide. */
static void print_reason(const struct answer *a, const struct policy *policy,
			 const struct policy_rule *rule, struct buf *out)
{
	const struct filter_target *target = &a->model->target;
	const struct policy_when *when = &rule->when;
	uint64_t missing = when->caps & ~target->caps;
	const struct policy_cond *cond = failing(a, rule->conds, rule->n_conds);

	if (when->never || (when->arches && !(when->arches & 1U << target->arch))) {
		buf_adds(out, "it is for another architecture");
	} else if (missing) {
		buf_adds(out, "it is for programs that keep ");
		print_caps(missing, out);
	} else if (when->no_caps & target->caps) {
		buf_adds(out, "it is for programs that do not keep ");
		print_caps(when->no_caps & target->caps, out);
	} else if (!kver_in_range(&target->kernel, &when->kernel)) {
		buf_adds(out, "it is for kernels ");
		kver_range_print(out, &when->kernel);
	} else if (rule->call != a->call &&
		   (rule->n_conds || !policy_kind_allows(rule->action.kind))) {
		buf_adds(out, "only an allowance without conditions is for what stands for a call");
	} else if (cond) {
		print_failing(rule, cond, out);
	} else {
		print_winner(a, policy, rule, out);
	}
}

static bool is_listed(const struct answer *a, const struct policy_rule *rule)
{
	const struct filter_rule *candidate;

	for (size_t i = 0; (candidate = next_candidate(a, &i));)
		if (candidate->rule == rule)
			return true;
	return false;
}

static bool speaks_of(const struct answer *a, const struct policy_rule *rule)
{
	const struct call_equivalent *instead;

	if (rule->call == a->call)
		return true;
	instead = call_equivalent(rule->call, a->model->target.arch);
	return instead && str_eq(instead->instead, a->call->name);
}

/* Every rule of the policy and what it extends that speaks of the call and does not decide. */
static void each_other(const struct answer *a, const struct policy *policy, struct buf *out,
		       void (*print)(const struct answer *a, const struct policy *policy,
				     const struct policy_rule *rule, struct buf *out))
{
	for (size_t i = 0; i < policy->n; i++)
		if (speaks_of(a, &policy->rules[i]) && !is_listed(a, &policy->rules[i]))
			print(a, policy, &policy->rules[i], out);
	for (size_t i = 0; i < policy->n_bases; i++)
		each_other(a, &policy->bases[i], out, print);
}

static void print_other(const struct answer *a, const struct policy *policy,
			const struct policy_rule *rule, struct buf *out)
{
	buf_adds(out, "  not   ");
	print_rule(policy, rule, out);
	buf_adds(out, "\n          ");
	print_reason(a, policy, rule, out);
	buf_adds(out, "\n");
}

/* --- as text ---------------------------------------------------------------------------------- */

static const char *outcome(enum policy_kind kind)
{
	static const char *const texts[] = {
		[POLICY_ALLOW] = "the call is made",
		[POLICY_LOG] = "the call is made, and the kernel logs it",
		[POLICY_NOTIFY] = "the call is made once jail has seen it",
		[POLICY_ERRNO] = "it returns -1, errno",
		[POLICY_TRAP] = "SIGSYS, which the program may handle",
		[POLICY_KILL_THREAD] = "the thread dies by SIGSYS",
		[POLICY_KILL] = "the process dies by SIGSYS",
	};

	return texts[kind];
}

static uint32_t kernel_value(const struct answer *a, const struct policy_action *action)
{
	const struct filter_options plain = {.mode = FILTER_PLAIN};

	return filter_value(&plain, a->model->target.arch, a->nr, action);
}

static void print_decision(const struct answer *a, struct buf *out)
{
	const struct policy_action *action = &a->decision.action;

	buf_adds(out, "  by    ");
	if (a->decision.rule)
		print_rule(a->decision.policy, a->decision.rule, out);
	else
		print_otherwise(a, out);
	buf_addf(out, "\n  so    %s", outcome(action->kind));
	if (action->kind == POLICY_ERRNO)
		buf_addf(out, " %s: %s",
			 strerrorname_np(action->error) ? strerrorname_np(action->error) : "?",
			 strerror(action->error));
	buf_addf(out, "\n  value 0x%08x, which the filter returns to the kernel\n",
		 kernel_value(a, action));
}

/* Whether every rule that may decide says the same; then *ret is that. */
static bool are_unanimous(const struct answer *a, struct policy_action *ret)
{
	const struct policy_action otherwise = decide_otherwise(a).action;
	const struct filter_rule *rule, *last = NULL;

	for (size_t i = 0; (rule = next_candidate(a, &i)); last = rule)
		if (last && (rule->action.kind != last->action.kind ||
			     rule->action.error != last->action.error))
			return false;
	*ret = last->action;
	return !needs_more(a, last) ||
	       (otherwise.kind == ret->kind && otherwise.error == ret->error);
}

static void print_candidates(const struct answer *a, struct buf *out)
{
	const struct filter_rule *rule, *last = NULL;
	unsigned int n = 1;

	for (size_t i = 0; (rule = next_candidate(a, &i)); last = rule) {
		buf_addf(out, "  %u.    ", n++);
		print_rule(rule->policy, rule->rule, out);
		buf_adds(out, "\n");
	}
	if (!needs_more(a, last))
		return;
	buf_addf(out, "  %u.    ", n);
	print_otherwise(a, out);
	buf_adds(out, "\n");
}

static void print_family(const struct answer *a, struct buf *out)
{
	const char *family = call_family(a->call->name);
	const char *const *members = family_calls(family);
	const enum arch arch = a->model->target.arch;
	const uint64_t none[6] = {0};
	unsigned int n = 0;

	if (!members)
		return;
	buf_adds(out, "  like it:");
	for (; *members; members++) {
		const struct syscall_def *call = syscall_find(*members);
		struct decision how;

		if (!call || call == a->call || call->nr[arch] < 0)
			continue;
		how = filter_decide(a->model, filter_audit_arch(arch), call->nr[arch], none);
		buf_addf(out, "%s%s: ", n++ ? ", " : " ", *members);
		policy_action_print(&how.action, out);
	}
	buf_adds(out, "\n");
}

static void print_call(const struct answer *a, struct buf *out)
{
	unsigned int last = 0;

	buf_adds(out, a->call->name);
	for (unsigned int i = 0; i < 6; i++)
		if (a->given & 1U << i)
			last = i + 1;
	for (unsigned int i = 0; i < last; i++) {
		buf_adds(out, i ? ", " : "(");
		if (a->given & 1U << i)
			call_print_arg(out, a->model->target.arch, a->call, i, a->args[i]);
		else
			buf_adds(out, "_");
	}
	if (last)
		buf_adds(out, ")");
}

static void print_header(const struct answer *a, const struct syscall_def *asked, struct buf *out)
{
	const struct filter_target *target = &a->model->target;
	const char *arch = arch_name(target->arch);

	if (a->call != asked)
		buf_addf(out, "%s: %s has no such call; %s stands for it\n", asked->name, arch,
			 a->call->name);
	print_call(a, out);
	buf_addf(out, " on %s, Linux %u.%u: ", arch, target->kernel.part[0],
		 target->kernel.part[1]);
}

void explain_print(const struct filter_model *model, const struct explain_query *query,
		   struct buf *out)
{
	const struct answer a = answer_make(model, query);
	const struct policy_action other = filter_other_abi(model);
	struct policy_action all;

	if (a.nr < 0) {
		buf_addf(out, "%s: %s has no such call, and nothing stands for it\n",
			 query->call->name, arch_name(model->target.arch));
		return;
	}
	print_header(&a, query->call, out);
	if (a.depends) {
		if (are_unanimous(&a, &all)) {
			policy_action_print(&all, out);
			buf_adds(out, ", by ");
		}
		buf_adds(out, "the first of these that matches its arguments\n");
		print_candidates(&a, out);
	} else {
		policy_action_print(&a.decision.action, out);
		buf_adds(out, "\n");
		print_decision(&a, out);
	}
	each_other(&a, model->policy, out, print_other);
	print_family(&a, out);
	buf_addf(out, "  %s: ",
		 model->target.arch == ARCH_AMD64 ? "by 32-bit or x32 programs"
						  : "by 32-bit programs");
	policy_action_print(&other, out);
	buf_adds(out, "\n");
}

/* --- as JSON ---------------------------------------------------------------------------------- */

static void json_rule(const struct policy *policy, const struct policy_rule *rule, struct buf *out)
{
	auto_cleanup(buf) text = {0}, action = {0};

	policy_rule_print(rule, &text);
	policy_action_print(&rule->action, &action);
	json_add_text(out, "file", policy->name);
	json_add_u64(out, "line", rule->at.line);
	json_add_u64(out, "column", rule->at.column);
	json_add_text(out, "action", action.data);
	json_add_text(out, "rule", text.data);
	json_add_text(out, "group", rule->group);
}

static void json_other(const struct answer *a, const struct policy *policy,
		       const struct policy_rule *rule, struct buf *out)
{
	auto_cleanup(buf) reason = {0};

	buf_adds(out, str_ends(out->data, "[") ? "{" : ", {");
	print_reason(a, policy, rule, &reason);
	json_rule(policy, rule, out);
	json_add_text(out, "reason", reason.data);
	buf_adds(out, "}");
}

void explain_print_json(const struct filter_model *model, const struct explain_query *query,
			struct buf *out)
{
	const struct answer a = answer_make(model, query);
	const struct filter_rule *rule;
	auto_cleanup(buf) text = {0};
	struct policy_action all;

	buf_adds(out, "{");
	json_add_text(out, "call", a.call->name);
	if (a.call != query->call)
		json_add_text(out, "stands_for", query->call->name);
	json_add_text(out, "arch", arch_name(model->target.arch));
	if (a.nr >= 0)
		json_add_u64(out, "nr", (uint64_t)a.nr);
	if (a.nr >= 0 && a.depends && are_unanimous(&a, &all)) {
		policy_action_print(&all, &text);
		json_add_text(out, "action", text.data);
	}
	if (a.nr >= 0 && !a.depends) {
		policy_action_print(&a.decision.action, &text);
		json_add_text(out, "action", text.data);
		json_add_u64(out, "value", kernel_value(&a, &a.decision.action));
		buf_reset(&text);
		decision_print_place(&a.decision, &text);
		json_add_text(out, "by", text.data);
	}
	json_add_key(out, "rules");
	buf_adds(out, "[");
	for (size_t i = 0; a.nr >= 0 && (rule = next_candidate(&a, &i));) {
		buf_adds(out, str_ends(out->data, "[") ? "{" : ", {");
		json_rule(rule->policy, rule->rule, out);
		buf_adds(out, "}");
	}
	buf_adds(out, "]");
	json_add_key(out, "others");
	buf_adds(out, "[");
	if (a.nr >= 0)
		each_other(&a, model->policy, out, json_other);
	buf_adds(out, "]}\n");
}
