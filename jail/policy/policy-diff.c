#include "jail/policy/policy-diff.h"

#include <string.h>

#include "jail/inspect/cond-solve.h"
#include "jail/inspect/flat.h"
#include "jail/learn/decode.h"
#include "jail/policy/policy-print.h"

enum { RULES_SHOWN = 4 };

void policy_differences_deinit(struct policy_differences *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->items[i].what);
		free(list->items[i].a);
		free(list->items[i].b);
		free(list->items[i].example);
	}
	free(list->items);
	*list = (struct policy_differences){0};
}

/* Takes over what diff owns. */
static void add(struct policy_differences *list, struct policy_difference diff)
{
	if (list->n == list->cap) {
		list->cap = list->cap ? 2 * list->cap : 64;
		list->items = xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->n++] = diff;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* "allow if {domain: AF_UNIX}, else errno EPERM"; of `most` rules. */
static char *describe(const struct filter_model *model, int nr, size_t most)
{
	const struct filter_call *call = &model->calls[nr];
	auto_cleanup(buf) out = {0};
	size_t n = 0;

	for (; n < call->n && call->rules[n].n_conds; n++) {
		const struct filter_rule *rule = &call->rules[n];
		struct policy_cond own = rule->own;
		/* as it stands in a list that needs no action */
		const struct policy_rule shown = {
			.call = syscall_by_nr(model->target.arch, nr),
			.action = {POLICY_ALLOW, 0},
			.conds = rule->conds == &rule->own ? &own
							   : (struct policy_cond *)rule->conds,
			.n_conds = rule->n_conds};
		auto_cleanup(buf) text = {0};

		if (n >= most)
			continue;
		for (int a = 0; a < ARCH_COUNT; a++) { /* it has those of this one only */
			own.value[a] = own.value[model->target.arch];
			own.mask[a] = own.mask[model->target.arch];
		}
		policy_action_print(&rule->action, &out);
		policy_rule_print(&shown, &text);
		buf_addf(&out, " if %s, ", text.data + strlen(shown.call->name) + 2);
	}
	if (n > most)
		buf_addf(&out, "… (%zu rules), ", n);
	buf_adds(&out, n ? "else " : "");
	policy_action_print(n < call->n	       ? &call->rules[n].action
			    : call->is_unknown ? &model->unknown
					       : &model->fallback,
			    &out);
	return take_ptr(out.data);
}

/* Whether two comparisons of one argument want different bits: most pairs of cases do. */
static bool exclude_each_other(const struct policy_cond *a, const struct policy_cond *b,
			       enum arch arch)
{
	const uint64_t mask_a = a->op == POLICY_EQ ? UINT64_MAX : a->mask[arch];
	const uint64_t mask_b = b->op == POLICY_EQ ? UINT64_MAX : b->mask[arch];

	return a->arg == b->arg && (a->op == POLICY_EQ || a->op == POLICY_MASKED_EQ) &&
	       (b->op == POLICY_EQ || b->op == POLICY_MASKED_EQ) &&
	       (a->value[arch] ^ b->value[arch]) & mask_a & mask_b;
}

/* Arguments for which both cases hold. */
static bool find_common(const struct flat_case *a, const struct flat_case *b, enum arch arch,
			uint64_t args[6])
{
	struct policy_cond conds[12];

	for (size_t i = 0; i < a->n_conds; i++)
		for (size_t k = 0; k < b->n_conds; k++)
			if (exclude_each_other(&a->conds[i], &b->conds[k], arch))
				return false;
	memcpy(conds, a->conds, a->n_conds * sizeof(*conds));
	memcpy(conds + a->n_conds, b->conds, b->n_conds * sizeof(*conds));
	return conds_can_hold(conds, a->n_conds + b->n_conds, arch, args, NULL);
}

/*
 * Whether the call is decided differently for some arguments, and then for which; *for_all: for
 * each. When it has too many cases only its rules' texts can be compared.
 */
static bool differs(const struct filter_model *a, const struct filter_model *b, int nr,
		    uint64_t args[6], bool *for_all)
{
	auto_cleanup(flat) of_a = {0}, of_b = {0};
	bool found = false;

	*for_all = true;
	if (flat_call(a, nr, &of_a) < 0 || flat_call(b, nr, &of_b) < 0) {
		auto_free char *text_a = describe(a, nr, SIZE_MAX);
		auto_free char *text_b = describe(b, nr, SIZE_MAX);

		return !str_eq(text_a, text_b);
	}
	for (size_t i = 0; i < of_a.n; i++)
		for (size_t k = 0; k < of_b.n && (!found || *for_all); k++) {
			bool same =
				policy_action_equal(&of_a.cases[i].action, &of_b.cases[k].action);
			uint64_t common[6];

			if ((same && !*for_all) || (!same && found) ||
			    !find_common(&of_a.cases[i], &of_b.cases[k], a->target.arch, common))
				continue;
			if (same) {
				*for_all = false;
			} else {
				found = true;
				memcpy(args, common, sizeof(common));
			}
		}
	return found;
}

static void add_call(struct policy_differences *ret, enum arch arch, const char *what, char *a,
		     char *b, char *example)
{
	for (size_t i = 0; i < ret->n; i++) {
		struct policy_difference *diff = &ret->items[i];

		if (diff->is_setting || !str_eq(diff->what, what) || !str_eq(diff->a, a) ||
		    !str_eq(diff->b, b))
			continue;
		diff->arches |= 1U << arch;
		free(a);
		free(b);
		free(example);
		return;
	}
	add(ret, (struct policy_difference){.what = xstrdup(what),
					    .arches = 1U << arch,
					    .a = a,
					    .b = b,
					    .example = example});
}

static char *action_text(const struct policy_action *action)
{
	auto_cleanup(buf) out = {0};

	policy_action_print(action, &out);
	return take_ptr(out.data);
}

void policy_diff_calls(const struct filter_model *a, const struct filter_model *b,
		       struct policy_differences *ret)
{
	const enum arch arch = a->target.arch;

	for (size_t i = 0; i < syscall_count; i++) {
		const struct syscall_def *call = syscall_at(i);
		const int nr = call->nr[arch];
		auto_cleanup(buf) example = {0};
		uint64_t args[6] = {0};
		bool for_all;

		if (nr < 0 || !differs(a, b, nr, args, &for_all))
			continue;
		if (!for_all)
			call_print(&example, arch, nr, args, NULL);
		add_call(ret, arch, call->name, describe(a, nr, RULES_SHOWN),
			 describe(b, nr, RULES_SHOWN), take_ptr(example.data));
	}
	if (!policy_action_equal(&a->unknown, &b->unknown))
		add_call(ret, arch, "calls without a name", action_text(&a->unknown),
			 action_text(&b->unknown), NULL);
}

/* --- settings --------------------------------------------------------------------------------- */

/* The sections of a file, "limits:\n  exec: 3" each, that are not about rules. */
static void settings_sections(const struct policy *policy, struct strv *ret)
{
	static const char *const others[] = {"version", "summary", "source",  "date",
					     "known",	"default", "unknown", "extends"};
	const struct policy settings = {.name = policy->name, .settings = policy->settings};
	auto_cleanup(buf) text = {0};
	char *at, *end;

	policy_print(&settings, &text);
	for (at = text.data; at && *at; at = end) {
		auto_free char *section = NULL;
		size_t n;

		end = at;
		do {
			end = strchrnul(end, '\n');
			end += *end == '\n';
		} while (*end == ' ' || *end == '-');
		section = xstrndup(at, end - at - (end > at && end[-1] == '\n'));
		for (n = 0; n < array_len(others); n++)
			if (str_starts(section, others[n]) && section[strlen(others[n])] == ':')
				break;
		if (n == array_len(others))
			strv_take(ret, take_ptr(section));
	}
}

/* The section of a key, or NULL. */
static const char *find_section(const struct strv *sections, const char *key, size_t len)
{
	for (size_t i = 0; i < sections->n; i++)
		if (!strncmp(sections->items[i], key, len) && sections->items[i][len] == ':')
			return sections->items[i];
	return NULL;
}

static void add_section(struct policy_differences *ret, const char *a, const char *b)
{
	const char *any = a ? a : b;
	const size_t len = strcspn(any, ":");

	if (a && b && str_eq(a, b))
		return;
	add(ret, (struct policy_difference){.what = xstrndup(any, len),
					    .is_setting = true,
					    .a = xstrdup(a ? a : ""),
					    .b = xstrdup(b ? b : "")});
}

void policy_diff_settings(const struct policy *a, const struct policy *b,
			  struct policy_differences *ret)
{
	auto_cleanup(strv) of_a = {0}, of_b = {0};

	settings_sections(a, &of_a);
	settings_sections(b, &of_b);
	for (size_t i = 0; i < of_a.n; i++) {
		const char *section = of_a.items[i];

		add_section(ret, section, find_section(&of_b, section, strcspn(section, ":")));
	}
	for (size_t i = 0; i < of_b.n; i++) {
		const char *section = of_b.items[i];

		if (!find_section(&of_a, section, strcspn(section, ":")))
			add_section(ret, NULL, section);
	}
}
