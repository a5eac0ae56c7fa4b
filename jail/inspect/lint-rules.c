/* The rules of one file, each against those before it. */
#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/inspect/cond-solve.h"
#include "jail/inspect/lint-parts.h"
#include "jail/policy/call-args.h"
#include "jail/policy/groups.h"

enum { EARLIER_MAX = 256 }; /* rules of the same call that one is compared with */

struct lint {
	const struct policy *policy;
	unsigned int arches;	   /* those that are looked at */
	const struct kver *kernel; /* NULL: not asked about one */
	struct findings *ret;
	const struct policy_rule **sorted; /* owned: by call, the one that wins first */
};

static void __attribute__((format(printf, 6, 7)))
say(struct lint *lint, enum finding_kind kind, bool is_note, const struct policy_rule *rule,
    unsigned int arches, const char *fmt, ...)
{
	auto_cleanup(buf) text = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	findings_add(lint->ret, (struct finding){.kind = kind,
						 .is_note = is_note,
						 .file = lint->policy->name,
						 .at = rule->at,
						 .arches = arches,
						 .call = rule->call->name,
						 .text = take_ptr(text.data)});
}

static void __attribute__((format(printf, 5, 6)))
say_no_effect(struct lint *lint, const struct policy_rule *rule, unsigned int arches,
	      const char *instead, const char *fmt, ...)
{
	auto_cleanup(buf) text = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	findings_add(lint->ret, (struct finding){.kind = FINDING_NO_EFFECT,
						 .is_note = true,
						 .file = lint->policy->name,
						 .at = rule->at,
						 .arches = arches,
						 .call = rule->call->name,
						 .subject = rule->call->name,
						 .instead = instead,
						 .text = take_ptr(text.data)});
}

/* The architectures that a rule is for, among those that are looked at. */
static unsigned int rule_arches(const struct lint *lint, const struct policy_rule *rule)
{
	unsigned int arches = rule->when.arches ? rule->when.arches : ~0U;

	return rule->when.never ? 0 : arches & lint->arches;
}

/* --- conditions of one rule ------------------------------------------------------------------- */

static const char *arg_name(const struct policy_rule *rule, unsigned int arg, char number[8])
{
	const char *name = call_args(rule->call)[arg].name;

	if (name)
		return name;
	snprintf(number, 8, "arg%u", arg);
	return number;
}

/* A value with bits that no comparison sees. */
static bool is_too_wide(const struct policy_cond *cond, enum arch arch)
{
	uint64_t high = cond->value[arch] >> 32;

	return cond->is_32bit && high && (high != UINT32_MAX || !(cond->value[arch] & 1U << 31));
}

static void check_cond(struct lint *lint, const struct policy_rule *rule,
		       const struct policy_cond *cond, enum arch arch, bool can_hold)
{
	uint64_t value = cond->value[arch], mask = cond->mask[arch];
	char number[8];
	const char *name = arg_name(rule, cond->arg, number);

	if (is_too_wide(cond, arch))
		say(lint, FINDING_DEAD, false, rule, 1U << arch,
		    "%s: %s is an int, of which the kernel sees 32 bits: 0x%llx has more",
		    rule->call->name, name, (unsigned long long)value);
	else if (cond->op == POLICY_MASKED_EQ && value & ~mask)
		say(lint, FINDING_DEAD, false, rule, 1U << arch,
		    "%s never matches: %s & 0x%llx has none of the bits 0x%llx of the value 0x%llx",
		    rule->call->name, name, (unsigned long long)mask,
		    (unsigned long long)(value & ~mask), (unsigned long long)value);
	else if (!can_hold)
		say(lint, FINDING_DEAD, false, rule, 1U << arch,
		    "%s never matches: no %s is %s 0x%llx", rule->call->name, name,
		    policy_op_name(cond->op), (unsigned long long)value);
	else if (conds_imply(NULL, 0, cond, 1, arch))
		say(lint, FINDING_DEAD, true, rule, 1U << arch,
		    "%s: %s is always %s 0x%llx: the condition says nothing", rule->call->name,
		    name, policy_op_name(cond->op), (unsigned long long)value);
}

/* Whether the rule can match anywhere it is for. */
static bool check_conds(struct lint *lint, const struct policy_rule *rule)
{
	bool can_match = false;

	for (unsigned int arch = 0; arch < ARCH_COUNT; arch++) {
		bool all_can = true;
		unsigned int arg;
		char number[8];

		if (!(rule_arches(lint, rule) & 1U << arch))
			continue;
		for (size_t i = 0; i < rule->n_conds; i++) {
			bool can = conds_can_hold(&rule->conds[i], 1, arch, NULL, NULL);

			check_cond(lint, rule, &rule->conds[i], arch, can);
			all_can &= can;
		}
		if (all_can && !conds_can_hold(rule->conds, rule->n_conds, arch, NULL, &arg)) {
			say(lint, FINDING_DEAD, false, rule, 1U << arch,
			    "%s never matches: its conditions on %s contradict each other",
			    rule->call->name, arg_name(rule, arg, number));
			all_can = false;
		}
		can_match |= all_can;
	}
	return can_match;
}

/* --- where and when it counts ----------------------------------------------------------------- */

/* Whether some version is in the range: one of those at its borders is, if any. */
static bool range_is_possible(const struct kver_range *range)
{
	const struct kver last = {{UINT16_MAX, UINT16_MAX, UINT16_MAX}}, first = {{0}};

	if (kver_in_range(&first, range) || kver_in_range(&last, range))
		return true;
	for (size_t i = 0; i < range->n; i++) {
		const unsigned int *v = range->cmp[i].than.part;
		const struct kver near[] = {
			{{v[0], v[1], v[2]}},
			{{v[0], v[1], v[2] + 1}},
			{{v[0], v[1] + 1, 0}},
			{{v[0] + 1, 0, 0}},
			{{v[0], v[1], v[2] - !!v[2]}},
			{{v[0], v[1] - !!v[1], UINT16_MAX}},
			{{v[0] - !!v[0], UINT16_MAX, UINT16_MAX}},
		};

		for (size_t j = 0; j < array_len(near); j++)
			if (kver_in_range(&near[j], range))
				return true;
	}
	return false;
}

static bool check_when(struct lint *lint, const struct policy_rule *rule)
{
	const struct policy_when *when = &rule->when;
	auto_cleanup(buf) range = {0};

	kver_range_print(&range, &when->kernel);
	if (when->caps & when->no_caps) {
		say(lint, FINDING_DEAD, false, rule, 0,
		    "%s never matches: the same capability both kept and not", rule->call->name);
		return false;
	}
	if (!range_is_possible(&when->kernel)) {
		say(lint, FINDING_DEAD, false, rule, 0, "%s never matches: no kernel is %s",
		    rule->call->name, range.data);
		return false;
	}
	if (when->never)
		say_no_effect(lint, rule, 0, NULL,
			      "only for architectures that jail does not run on");
	if (lint->kernel && !kver_in_range(lint->kernel, &when->kernel))
		say_no_effect(lint, rule, 0, NULL, "only on kernels %s", range.data);
	return true;
}

static void check_kernel(struct lint *lint, const struct policy_rule *rule)
{
	const struct kver *since = &rule->call->since;

	if (lint->kernel && kver_compare(since, lint->kernel) > 0)
		say_no_effect(lint, rule, 0, NULL, "only since kernel %u.%u", since->part[0],
			      since->part[1]);
}

static void check_arch(struct lint *lint, const struct policy_rule *rule, enum arch arch)
{
	const struct call_equivalent *instead = call_equivalent(rule->call, arch);
	const char *text = "no such call, and none stands for it";

	if (rule->call->nr[arch] >= 0 || !(rule_arches(lint, rule) & 1U << arch))
		return;
	if (instead && !policy_kind_allows(rule->action.kind))
		text = "no such call, and its refusal is none of what stands for it";
	else if (instead && rule->n_conds)
		text = "no such call, and with conditions it is not handed to what stands for it";
	else if (instead)
		text = "no such call; another stands for it";
	say_no_effect(lint, rule, 1U << arch, instead ? instead->instead : NULL, "%s", text);
}

/* --- rules against each other ----------------------------------------------------------------- */

/* Whether a counts wherever b does. */
static bool when_covers(const struct policy_when *a, const struct policy_when *b)
{
	bool arches = !a->arches || (b->arches && !(b->arches & ~a->arches));
	bool same_kernel = a->kernel.n == b->kernel.n;

	for (size_t i = 0; same_kernel && i < a->kernel.n; i++)
		same_kernel = a->kernel.cmp[i].op == b->kernel.cmp[i].op &&
			      a->kernel.cmp[i].parts == b->kernel.cmp[i].parts &&
			      kver_compare(&a->kernel.cmp[i].than, &b->kernel.cmp[i].than) == 0;
	return !a->never && arches && (!a->kernel.n || same_kernel) && !(a->caps & ~b->caps) &&
	       !(a->no_caps & ~b->no_caps);
}

/* Whether no call reaches b because a, which goes before it, takes them all. */
static bool hides(const struct lint *lint, const struct policy_rule *a, const struct policy_rule *b)
{
	if (!when_covers(&a->when, &b->when))
		return false;
	for (unsigned int arch = 0; arch < ARCH_COUNT; arch++)
		if (rule_arches(lint, b) & 1U << arch &&
		    !conds_imply(b->conds, b->n_conds, a->conds, a->n_conds, arch))
			return false;
	return true;
}

static void say_hidden(struct lint *lint, const struct policy_rule *rule,
		       const struct policy_rule *by)
{
	bool is_same =
		by->action.kind == rule->action.kind &&
		(rule->action.kind != POLICY_ERRNO || by->action.error == rule->action.error);
	auto_cleanup(buf) action = {0};
	const char *call = rule->call->name;

	policy_action_print(&by->action, &action);
	if (is_same && by->group)
		say(lint, FINDING_DEAD, true, rule, 0, "%s is in %s already, at %u:%u", call,
		    by->group, by->at.line, by->at.column);
	else if (is_same)
		say(lint, FINDING_DEAD, false, rule, 0, "%s: the rule at %u:%u says so already",
		    call, by->at.line, by->at.column);
	else
		say(lint, FINDING_DEAD, false, rule, 0, "%s never matches: '%s' at %u:%u wins, %s",
		    call, action.data, by->at.line, by->at.column,
		    by->action.kind == rule->action.kind ? "being first" : "being stricter");
}

/*
 * Groups overlap, and an exception from one is what a stricter rule is for: only rules that name
 * their call are looked at.
 */
static void check_hidden(struct lint *lint, size_t i)
{
	const struct policy_rule *rule = lint->sorted[i];

	for (size_t j = i, n = 0; j-- > 0 && n < EARLIER_MAX; n++) {
		const struct policy_rule *earlier = lint->sorted[j];

		if (earlier->call != rule->call)
			return;
		if (earlier->group && rule->group)
			continue;
		if (!rule->group && hides(lint, earlier, rule)) {
			say_hidden(lint, rule, earlier);
			return;
		}
	}
}

/* What the policy says about a call without its own rules: NULL, or why it is the same. */
static const char *said_otherwise(const struct filter_model *bases, const struct policy_rule *rule)
{
	const struct filter_call *call = &bases->calls[rule->call->nr[bases->target.arch]];
	const struct policy_action *action = call->n		? &call->rules[0].action
					     : call->is_unknown ? &bases->unknown
								: &bases->fallback;

	if ((call->n && call->rules[0].n_conds) || action->kind != rule->action.kind ||
	    (action->kind == POLICY_ERRNO && action->error != rule->action.error))
		return NULL;
	return call->n ? "what it extends" : call->is_unknown ? "'unknown'" : "'default'";
}

/* Rules that are the only ones for their call and say what is so without them. */
static void check_needless(struct lint *lint, enum arch arch)
{
	struct policy without = *lint->policy;
	const struct filter_target target = {.arch = arch, .kernel = FILTER_NEWEST_KERNEL};
	auto_cleanup(filter_model) bases = {0};

	without.n = 0;
	if (filter_model_make(&without, &target, &bases, NULL) < 0)
		return;
	for (size_t i = 0; i < lint->policy->n; i++) {
		const struct policy_rule *rule = lint->sorted[i];
		bool is_alone =
			(i == 0 || lint->sorted[i - 1]->call != rule->call) &&
			(i + 1 == lint->policy->n || lint->sorted[i + 1]->call != rule->call);
		const char *said;

		if (!is_alone || rule->n_conds || rule->group || rule->call->nr[arch] < 0 ||
		    !when_covers(&rule->when, &(struct policy_when){0}))
			continue;
		said = said_otherwise(&bases, rule);
		if (said)
			say(lint, FINDING_DEAD, true, rule, 1U << arch, "%s: %s says so already",
			    rule->call->name, said);
	}
}

/* Those of one call together; the strictest action first, then as written. */
static int compare(const void *va, const void *vb)
{
	const struct policy_rule *a = *(const struct policy_rule *const *)va;
	const struct policy_rule *b = *(const struct policy_rule *const *)vb;

	if (a->call != b->call)
		return a->call < b->call ? -1 : 1;
	if (a->action.kind != b->action.kind)
		return a->action.kind > b->action.kind ? -1 : 1;
	return a < b ? -1 : 1;
}

void lint_rules(const struct policy *policy, unsigned int arches, const struct kver *kernel,
		struct findings *ret)
{
	auto_free const struct policy_rule **sorted = xcalloc(policy->n + 1, sizeof(*sorted));
	struct lint lint = {policy, arches, kernel, ret, sorted};

	for (size_t i = 0; i < policy->n; i++)
		sorted[i] = &policy->rules[i];
	if (policy->n)
		qsort(sorted, policy->n, sizeof(*sorted), compare);
	for (size_t i = 0; i < policy->n; i++) {
		if (!check_when(&lint, sorted[i]) || !check_conds(&lint, sorted[i]))
			continue;
		check_kernel(&lint, sorted[i]);
		for (unsigned int arch = 0; arch < ARCH_COUNT; arch++)
			check_arch(&lint, sorted[i], arch);
		check_hidden(&lint, i);
	}
	for (unsigned int arch = 0; arch < ARCH_COUNT; arch++)
		if (arches & 1U << arch)
			check_needless(&lint, arch);
}
