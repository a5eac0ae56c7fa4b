#include "jail/policy/policy-merge.h"

#include <errno.h>
#include <string.h>

#include "jail/inspect/cond-solve.h"
#include "jail/policy/groups.h"
#include "jail/policy/policy-merge-parts.h"
#include "jail/policy/policy-oci.h"

/* --- what is extended ------------------------------------------------------------------------- */

static bool refuses_something(const struct policy *policy)
{
	for (size_t i = 0; i < policy->n; i++)
		if (!policy_kind_allows(policy->rules[i].action.kind))
			return true;
	return false;
}

/* Whether all only add to the same built-in profiles. Files' names are relative to a folder. */
static bool can_keep_extends(const struct policy *policies, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strv_equal(&policies[i].extends, &policies[0].extends) ||
		    !policy_action_equal(&policies[i].fallback, &policies[0].fallback) ||
		    !policy_action_equal(&policies[i].unknown, &policies[0].unknown) ||
		    refuses_something(&policies[i]))
			return false;
	for (size_t i = 0; i < policies[0].extends.n; i++)
		if (strpbrk(policies[0].extends.items[i], "/."))
			return false;
	return policies[0].extends.n > 0;
}

/*
 * A policy with what it extends as one file: a container profile says the same without extends, by
 * cases that exclude each other.
 */
static void flatten(const struct policy *policy, struct policy *ret, struct strv *notes)
{
	auto_cleanup(strv) lost = {0};
	auto_cleanup(yaml) y = {0};
	auto_cleanup(buf) text = {0};
	struct err err = {0};

	policy_print_oci(policy, &text, &lost);
	if (yaml_parse(policy->name, text.data, text.len, &y, &err) < 0 ||
	    policy_from_oci(&y, ret, &err) < 0) {
		strv_addf(notes, "%s: left out, it is too large with what it extends: %s",
			  policy->name, err.msg);
		*ret = (struct policy){.name = xstrdup(policy->name),
				       .fallback = {POLICY_ERRNO, EPERM}};
	}
	strv_addf(notes, "%s: what it extends is put in", policy->name);
	/* the settings are merged for themselves; what is lost of a call begins with its name */
	for (size_t i = 0; i < lost.n; i++) {
		auto_free char *name = xstrndup(lost.items[i], strcspn(lost.items[i], ":"));

		if (syscall_find(name))
			strv_addf(notes, "%s: %s", policy->name, lost.items[i]);
	}
}

/* --- rules ------------------------------------------------------------------------------------ */

static bool same_cond(const struct policy_cond *a, const struct policy_cond *b)
{
	return a->arg == b->arg && a->op == b->op && a->is_32bit == b->is_32bit &&
	       !memcmp(a->value, b->value, sizeof(a->value)) &&
	       !memcmp(a->mask, b->mask, sizeof(a->mask));
}

static bool same_conds(const struct policy_rule *a, const struct policy_rule *b)
{
	if (a->n_conds != b->n_conds)
		return false;
	for (size_t i = 0; i < a->n_conds; i++) {
		size_t k = 0;

		while (k < b->n_conds && !same_cond(&a->conds[i], &b->conds[k]))
			k++;
		if (k == b->n_conds)
			return false;
	}
	return true;
}

static bool same_kernel(const struct kver_range *a, const struct kver_range *b)
{
	auto_cleanup(buf) of_a = {0}, of_b = {0};

	kver_range_print(&of_a, a);
	kver_range_print(&of_b, b);
	return of_a.len == of_b.len && (!of_a.len || str_eq(of_a.data, of_b.data));
}

static bool same_when(const struct policy_when *a, const struct policy_when *b)
{
	return a->arches == b->arches && a->never == b->never && a->caps == b->caps &&
	       a->no_caps == b->no_caps && same_kernel(&a->kernel, &b->kernel);
}

/* Whether a's rules may be about calls of b, directly or by standing for it somewhere. */
static bool may_concern(const struct policy_rule *a, const struct policy_rule *b)
{
	for (int arch = 0; arch < ARCH_COUNT; arch++) {
		const struct call_equivalent *e = call_equivalent(a->call, arch);

		if (e && str_eq(e->instead, b->call->name))
			return true;
	}
	return false;
}

static bool can_meet(const struct policy_rule *a, const struct policy_rule *b)
{
	auto_free struct policy_cond *conds = xcalloc(a->n_conds + b->n_conds + 1, sizeof(*conds));
	bool can = false;

	if (may_concern(a, b))
		return true;
	if (a->call != b->call)
		return false;
	for (size_t i = 0; i < a->n_conds; i++)
		conds[i] = a->conds[i];
	for (size_t i = 0; i < b->n_conds; i++)
		conds[a->n_conds + i] = b->conds[i];
	for (int arch = 0; arch < ARCH_COUNT; arch++)
		can |= conds_can_hold(conds, a->n_conds + b->n_conds, arch, NULL, NULL);
	return can;
}

static void note_rule(struct strv *notes, const struct policy *policy,
		      const struct policy_rule *rule, const char *what, const struct policy *by)
{
	auto_cleanup(buf) action = {0};

	policy_action_print(&rule->action, &action);
	strv_addf(notes, "%s:%u:%u: %s: %s: %s %s", policy->name, rule->at.line, rule->at.column,
		  rule->call->name, action.data, what, by->name);
}

static void add_rule(struct policy *ret, const struct policy_rule *from)
{
	policy_copy_rule(from, policy_add_rule(ret));
}

/* An allowing rule joins the one that says the same, or one that allows the call in any case. */
static void merge_allowed(struct policy *ret, const struct policy *policy,
			  const struct policy_rule *rule, struct strv *notes)
{
	for (size_t i = 0; i < ret->n; i++) {
		struct policy_rule *other = &ret->rules[i];
		const bool is_same =
			same_conds(other, rule) && same_when(&other->when, &rule->when);

		if (other->call != rule->call || !policy_kind_allows(other->action.kind))
			continue;
		if (!is_same && (other->n_conds || other->action.kind != rule->action.kind ||
				 !(policy_when_is_always(&other->when) ||
				   same_when(&other->when, &rule->when))))
			continue;
		other->count += rule->count;
		if (other->action.kind == rule->action.kind)
			return;
		note_rule(notes, policy, rule, "differs from", ret);
		if (rule->action.kind < other->action.kind)
			other->action = rule->action;
		return;
	}
	add_rule(ret, rule);
}

/* Rules that one without conditions, which may have come later, makes superfluous. */
static void drop_covered(struct policy *ret)
{
	size_t kept = 0;

	for (size_t i = 0; i < ret->n; i++) {
		struct policy_rule *rule = &ret->rules[i], *other = NULL;

		for (size_t k = i + 1; k < ret->n && rule->n_conds && !other; k++)
			if (ret->rules[k].call == rule->call && !ret->rules[k].n_conds &&
			    ret->rules[k].action.kind == rule->action.kind &&
			    policy_kind_allows(rule->action.kind) &&
			    (policy_when_is_always(&ret->rules[k].when) ||
			     same_when(&ret->rules[k].when, &rule->when)))
				other = &ret->rules[k];
		if (other) {
			other->count += rule->count;
			policy_rule_deinit(rule);
		} else {
			ret->rules[kept++] = *rule;
		}
	}
	ret->n = kept;
}

/*
 * A refusal stays when every other policy refuses all of it too, in the mildest way: by a rule that
 * says the same, or by default.
 */
static void merge_refused(const struct policy *policies, size_t n, size_t own,
			  const struct policy_rule *rule, struct policy *ret, struct strv *notes)
{
	struct policy_action mildest = rule->action;

	for (size_t p = 0; p < n; p++) {
		const struct policy *other = &policies[p];
		struct policy_action action = other->fallback;

		for (size_t i = 0; p != own && i < other->n; i++) {
			const struct policy_rule *its = &other->rules[i];

			if (policy_kind_allows(its->action.kind) && can_meet(its, rule)) {
				note_rule(notes, &policies[own], rule, "left out, allowed by",
					  other);
				return;
			}
			if (its->call == rule->call && same_conds(its, rule) &&
			    same_when(&its->when, &rule->when))
				action = its->action;
		}
		if (p == own)
			continue;
		if (policy_kind_allows(action.kind)) {
			note_rule(notes, &policies[own], rule, "left out, allowed by", other);
			return;
		}
		if (action.kind < mildest.kind)
			mildest = action;
	}
	for (size_t i = 0; i < ret->n; i++)
		if (ret->rules[i].call == rule->call && same_conds(&ret->rules[i], rule) &&
		    same_when(&ret->rules[i].when, &rule->when) &&
		    !policy_kind_allows(ret->rules[i].action.kind))
			return; /* of an earlier policy */
	add_rule(ret, rule);
	ret->rules[ret->n - 1].action = mildest;
}

static void merge_rules(const struct policy *policies, size_t n, struct policy *ret,
			struct strv *notes)
{
	for (size_t p = 0; p < n; p++)
		for (size_t i = 0; i < policies[p].n; i++)
			if (policy_kind_allows(policies[p].rules[i].action.kind))
				merge_allowed(ret, &policies[p], &policies[p].rules[i], notes);
	drop_covered(ret);
	for (size_t p = 0; p < n; p++)
		for (size_t i = 0; i < policies[p].n; i++)
			if (!policy_kind_allows(policies[p].rules[i].action.kind))
				merge_refused(policies, n, p, &policies[p].rules[i], ret, notes);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void merge_defaults(const struct policy *policies, size_t n, struct policy *ret,
			   struct strv *notes)
{
	bool differ = false;

	for (size_t i = 0; i < n; i++) {
		const struct policy *p = &policies[i];
		struct policy_action unknown = p->unknown;

		if (unknown.kind == POLICY_UNSET && p->fallback.kind != POLICY_UNSET)
			unknown = policy_kind_allows(p->fallback.kind)
					  ? p->fallback
					  : (struct policy_action){POLICY_ERRNO, ENOSYS};
		differ |= i && !policy_action_equal(&p->fallback, &ret->fallback);
		if (!i || p->fallback.kind < ret->fallback.kind)
			ret->fallback = p->fallback;
		if (!i || unknown.kind < ret->unknown.kind)
			ret->unknown = unknown;
		if (p->has_known && (!ret->has_known || kver_compare(&p->known, &ret->known) > 0))
			ret->known = p->known;
		ret->has_known |= p->has_known;
	}
	if (differ) {
		auto_cleanup(buf) text = {0};

		policy_action_print(&ret->fallback, &text);
		strv_addf(notes, "default: they differ: %s", text.data);
	}
}

static void merge_frequency(const struct policy *policy, struct policy *ret)
{
	for (size_t i = 0; i < policy->n_frequency; i++) {
		size_t k = 0;

		while (k < ret->n_frequency && ret->frequency[k].call != policy->frequency[i].call)
			k++;
		if (k == ret->n_frequency) {
			ret->frequency = xreallocarray(ret->frequency, ++ret->n_frequency,
						       sizeof(*ret->frequency));
			ret->frequency[k].call = policy->frequency[i].call;
			ret->frequency[k].count = 0;
		}
		ret->frequency[k].count += policy->frequency[i].count;
	}
}

void policy_merge(const struct policy *policies, size_t n, struct policy *ret, struct strv *notes)
{
	auto_free struct policy *flat = xcalloc(n, sizeof(*flat));
	auto_free struct policy *used = xcalloc(n, sizeof(*used));
	const bool keep = can_keep_extends(policies, n);
	struct policy merged = {.name = xstrdup("another, the milder one counts")};

	for (size_t i = 0; i < n; i++) {
		used[i] = policies[i]; /* borrowed: nothing of it is freed */
		if (!keep && policies[i].n_bases) {
			flatten(&policies[i], &flat[i], notes);
			used[i].rules = flat[i].rules;
			used[i].n = flat[i].n;
			used[i].fallback = flat[i].fallback;
			used[i].unknown = flat[i].unknown;
		}
	}
	for (size_t i = 0; keep && i < policies[0].extends.n; i++)
		strv_add(&merged.extends, policies[0].extends.items[i]);
	merged.extends_at = xcalloc(merged.extends.n + 1, sizeof(*merged.extends_at));
	merge_defaults(used, n, &merged, notes);
	merge_rules(used, n, &merged, notes);
	for (size_t i = 0; i < n; i++)
		merge_frequency(&policies[i], &merged);
	policy_merge_settings(policies, n, &merged.settings, notes);
	for (size_t i = 0; i < n; i++)
		policy_deinit(&flat[i]);
	*ret = merged;
}
