#include <string.h>

#include "jail/policy/call-args.h"
#include "jail/policy/policy-print.h"

enum { SMALL_NUMBER = 4096 }; /* up to here decimal, above hexadecimal */

static void add_number(const struct arg_def *def, uint64_t value, struct buf *out)
{
	unsigned long long v = value;

	if (def->is_octal)
		buf_addf(out, v ? "0%llo" : "%llu", v);
	else
		buf_addf(out, v < SMALL_NUMBER ? "%llu" : "%#llx", v);
}

static void add_value(const struct arg_def *def, const uint64_t value[ARCH_COUNT], const char *text,
		      struct buf *out)
{
	if (text)
		buf_adds(out, text);
	else if (value[ARCH_AMD64] == value[ARCH_ARM64] ||
		 !constant_print(def, ARCH_AMD64, value[ARCH_AMD64], out))
		add_number(def, value[ARCH_AMD64], out);
}

/* The comparisons of one argument and one width. */
struct comparisons {
	const struct arg_def *def;
	const struct policy_cond *conds[POLICY_CONDS_MAX];
	size_t n;
};

static void find_comparisons(const struct policy_rule *rule, unsigned int arg, bool is_32bit,
			     struct comparisons *ret)
{
	*ret = (struct comparisons){.def = &call_args(rule->call)[arg]};
	for (size_t i = 0; i < rule->n_conds && i < POLICY_CONDS_MAX; i++)
		if (rule->conds[i].arg == arg && rule->conds[i].is_32bit == is_32bit)
			ret->conds[ret->n++] = &rule->conds[i];
}

/* Those of one operator: "ne: A", "ne: [A, B]". A second eq is said by masked_eq. */
static void add_operator(const struct comparisons *c, enum policy_op op, struct buf *out)
{
	auto_cleanup(buf) items = {0};
	size_t n = 0, equal = 0;

	for (size_t i = 0; i < c->n; i++) {
		const struct policy_cond *cond = c->conds[i];
		bool is_extra = cond->op == POLICY_EQ && equal++ > 0;

		if (is_extra ? op != POLICY_MASKED_EQ : cond->op != op)
			continue;
		buf_adds(&items, n++ ? ", " : "");
		if (op == POLICY_MASKED_EQ) {
			buf_adds(&items, "[");
			if (is_extra)
				buf_adds(&items,
					 cond->is_32bit ? "0xffffffff" : "0xffffffffffffffff");
			else
				add_value(c->def, cond->mask, cond->mask_text, &items);
			buf_adds(&items, ", ");
		}
		add_value(c->def, cond->value, cond->text, &items);
		buf_adds(&items, op == POLICY_MASKED_EQ ? "]" : "");
	}
	if (n)
		buf_addf(out, "%s%s: %s%s%s", str_ends(out->data, "{") ? "" : ", ",
			 policy_op_name(op), n > 1 ? "[" : "", items.data, n > 1 ? "]" : "");
}

static void add_comparisons(const struct comparisons *c, bool is_usual_width, struct buf *out)
{
	if (c->n == 1 && c->conds[0]->op == POLICY_EQ && is_usual_width) {
		add_value(c->def, c->conds[0]->value, c->conds[0]->text, out);
		return;
	}
	buf_adds(out, "{");
	for (unsigned int op = POLICY_EQ; op <= POLICY_MASKED_EQ; op++)
		add_operator(c, op, out);
	if (!is_usual_width)
		buf_addf(out, ", bits: %d", c->conds[0]->is_32bit ? 32 : 64);
	buf_adds(out, "}");
}

static void add_arguments(const struct policy_rule *rule, struct buf *out)
{
	for (unsigned int arg = 0; arg < 6; arg++) {
		bool is_32bit = call_arg_is_32bit(rule->call, arg), is_named = false;

		for (int pass = 0; pass < 2; pass++) {
			struct comparisons c;

			find_comparisons(rule, arg, pass ? !is_32bit : is_32bit, &c);
			if (!c.n)
				continue;
			buf_adds(out, str_ends(out->data, "{") ? "" : ", ");
			/* both widths at once: the argument has two names */
			if (c.def->name && !is_named)
				buf_addf(out, "%s: ", c.def->name);
			else
				buf_addf(out, "arg%u: ", arg);
			is_named = true;
			add_comparisons(&c, !pass, out);
		}
	}
}

void policy_rule_print(const struct policy_rule *rule, struct buf *out)
{
	const char *error = NULL;
	char number[16];

	if (rule->action.kind == POLICY_ERRNO && rule->action.error != EPERM) {
		error = strerrorname_np(rule->action.error);
		snprintf(number, sizeof(number), "%d", rule->action.error);
		error = error ?: number;
	}
	buf_adds(out, rule->call->name);
	if (rule->n_conds) {
		buf_adds(out, ": {");
		add_arguments(rule, out);
		buf_addf(out, "%s%s}", error ? ", errno: " : "", error ?: "");
	} else if (error) {
		buf_addf(out, ": %s", error);
	}
}
