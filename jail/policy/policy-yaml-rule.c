#include <ctype.h>
#include <string.h>

#include "jail/policy/call-args.h"
#include "jail/policy/groups.h"
#include "jail/policy/policy-yaml-parts.h"

const char *const policy_list_names[POLICY_LISTS] = {"allow", "log",	     "notify", "deny",
						     "trap",  "kill-thread", "kill"};
const enum policy_kind policy_list_kinds[POLICY_LISTS] = {
	POLICY_ALLOW, POLICY_LOG,	  POLICY_NOTIFY, POLICY_ERRNO,
	POLICY_TRAP,  POLICY_KILL_THREAD, POLICY_KILL};

int policy_yaml_unknown(const struct yaml *y, const struct yaml_node *node, const char *what,
			const char *near, const char *known, struct err *err)
{
	if (near)
		return yaml_error(y, node, err, "unknown %s '%.60s' (did you mean '%s'?)", what,
				  node->text, near);
	return yaml_error(y, node, err, "unknown %s '%.60s'%s%s%s", what, node->text,
			  known ? " (" : "", known ?: "", known ? ")" : "");
}

static char *with_case(const char *text, int (*convert)(int))
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p; p++)
		*p = convert((unsigned char)*p);
	return copy;
}

static const char *errno_suggest(const char *text)
{
	const char *names[EHWPOISON + 1];
	auto_free char *upper = with_case(text, toupper);
	size_t n = 0;

	for (int code = 1; code <= EHWPOISON; code++) {
		names[n] = strerrorname_np(code);
		n += !!names[n];
	}
	return str_nearest(upper, names, n);
}

int policy_yaml_errno(const struct yaml *y, const struct yaml_node *node, int *ret, struct err *err)
{
	if (node->kind != YAML_SCALAR || !*node->text)
		return yaml_error(y, node, err,
				  "an error's name expected, such as EPERM or ENOSYS");
	*ret = policy_errno_parse(node->text);
	if (*ret)
		return 0;
	return policy_yaml_unknown(y, node, "error", errno_suggest(node->text),
				   "a name such as EPERM or ENOSYS expected, or 1 to 4095", err);
}

int policy_yaml_call(const struct yaml *y, const struct yaml_node *node,
		     const struct syscall_def **ret, struct err *err)
{
	auto_free char *lower = NULL;
	const char *near;

	if (node->kind != YAML_SCALAR || !*node->text)
		return yaml_error(y, node, err, "the name of a system call expected");
	*ret = syscall_find(node->text);
	if (*ret)
		return 0;
	if (isdigit((unsigned char)*node->text))
		return yaml_error(y, node, err,
				  "the name of a system call expected, not a number: these differ "
				  "between architectures");
	lower = with_case(node->text, tolower);
	near = syscall_suggest(lower);
	return policy_yaml_unknown(
		y, node, "system call", near,
		"a name of syscalls(2) expected, or a group such as \"@file-read\"", err);
}

/* What one comparison is made of while it is read. */
struct operand {
	const struct yaml *y;
	const struct syscall_def *call;
	unsigned int arg;
	bool is_32bit;
};

/* Decimal, 0x…, and octal as 0… or 0o…; a sign makes it the two's complement. */
static int parse_number(const char *text, uint64_t *ret)
{
	bool is_negative = *text == '-';
	const char *digits = text + is_negative;
	unsigned long long v;
	int base = 10;
	char *end;

	if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'o')) {
		base = digits[1] == 'x' ? 16 : 8;
		digits += 2;
	} else if (digits[0] == '0' && digits[1]) {
		base = 8;
	}
	/* strtoull() itself would take blanks and signs */
	if (!*digits || strspn(digits, "0123456789abcdefABCDEF") != strlen(digits))
		return -EINVAL;
	errno = 0;
	v = strtoull(digits, &end, base);
	if (*end || errno || (is_negative && v > (uint64_t)INT64_MAX + 1))
		return -EINVAL;
	*ret = is_negative ? -v : v;
	return 0;
}

static int parse_word(const struct operand *o, const struct yaml_node *node, const char *word,
		      uint64_t value[ARCH_COUNT], struct err *err)
{
	const struct arg_def *def = &call_args(o->call)[o->arg];
	const char *near, *prefixes = def->constants;
	size_t len = prefixes ? strcspn(prefixes, "-") : 0;
	uint64_t number;

	if (constant_find(word, value) == 0)
		return 0;
	if (parse_number(word, &number) == 0) {
		for (int a = 0; a < ARCH_COUNT; a++)
			value[a] = number;
		return 0;
	}
	near = constant_suggest(word);
	if (near)
		return yaml_error(o->y, node, err, "unknown constant '%.60s' (did you mean '%s'?)",
				  word, near);
	return yaml_error(o->y, node, err, "a number or a constant expected, not '%.60s'%s%.*s%s",
			  word, prefixes ? " (constants here begin with " : "",
			  (int)(len && prefixes[len] ? len - 1 : len), prefixes ?: "",
			  prefixes ? ")" : "");
}

/* The kernel sees 32 bits: take what these can hold, with or without a sign. */
static int cut_to_32bit(const struct operand *o, const struct yaml_node *node,
			uint64_t value[ARCH_COUNT], struct err *err)
{
	for (int a = 0; a < ARCH_COUNT; a++) {
		if (value[a] > UINT32_MAX && (int64_t)value[a] != (int32_t)value[a])
			return yaml_error(o->y, node, err,
					  "'%.60s' has more than 32 bits, and the kernel looks at "
					  "no more of this argument ('bits: 64' beside the "
					  "comparison compares all of them)",
					  node->text);
		value[a] &= UINT32_MAX;
	}
	return 0;
}

/* "AF_UNIX", "0x5412", "CLONE_NEWUSER|CLONE_NEWNS"; *text is how it is printed, NULL: as a number.
 */
static int parse_value(const struct operand *o, const struct yaml_node *node,
		       uint64_t ret[ARCH_COUNT], char **text, struct err *err)
{
	auto_cleanup(buf) written = {0};
	uint64_t sum[ARCH_COUNT] = {0};
	const char *p = node->text;
	int r;

	if (node->kind != YAML_SCALAR || !*p)
		return yaml_error(o->y, node, err,
				  "a number or a constant expected, such as AF_UNIX or "
				  "PROT_READ|PROT_EXEC");
	for (;; p++) {
		auto_free char *word = NULL;
		uint64_t value[ARCH_COUNT];
		const char *end;

		p += strspn(p, " ");
		end = p + strcspn(p, " |");
		word = xstrndup(p, end - p);
		if (!*word)
			return yaml_error(o->y, node, err,
					  "a constant's name is missing beside '|'");
		r = parse_word(o, node, word, value, err);
		if (r < 0)
			return r;
		for (int a = 0; a < ARCH_COUNT; a++)
			sum[a] |= value[a];
		buf_addf(&written, "%s%s", written.len ? "|" : "", word);
		p = end + strspn(end, " ");
		if (!*p)
			break;
		if (*p != '|')
			return yaml_error(o->y, node, err,
					  "'|' expected between constants, not a blank");
	}
	r = o->is_32bit ? cut_to_32bit(o, node, sum, err) : 0;
	if (r < 0)
		return r;
	memcpy(ret, sum, sizeof(sum));
	*text = take_ptr(written.data);
	return 0;
}

static void cond_deinit(struct policy_cond *cond)
{
	free(cond->text);
	free(cond->mask_text);
}
DEFINE_CLEANUP(policy_cond, cond_deinit)

/* The value of one comparison; [MASK, VALUE] of masked_eq. */
static int parse_cond(const struct operand *o, const struct yaml_node *node, enum policy_op op,
		      struct policy_cond *ret, struct err *err)
{
	int r;

	*ret = (struct policy_cond){.arg = o->arg, .op = op, .is_32bit = o->is_32bit};
	if (op != POLICY_MASKED_EQ)
		return parse_value(o, node, ret->value, &ret->text, err);
	if (node->kind != YAML_LIST || node->n != 2)
		return yaml_error(o->y, node, err,
				  "masked_eq: [MASK, VALUE] expected, such as [CLONE_NEWUSER, 0]");
	r = parse_value(o, &node->items[0], ret->mask, &ret->mask_text, err);
	return r < 0 ? r : parse_value(o, &node->items[1], ret->value, &ret->text, err);
}

/* Rules [first, n) are those of one entry; to each of them one comparison more. */
static int add_cond(const struct operand *o, const struct yaml_node *node,
		    const struct policy_cond *cond, struct policy *policy, size_t first, size_t end,
		    struct err *err)
{
	for (size_t i = first; i < end; i++) {
		struct policy_cond *own = policy_add_cond(&policy->rules[i]);

		if (!own)
			return yaml_error(o->y, node, err, "more than %d comparisons in one rule",
					  POLICY_CONDS_MAX);
		*own = *cond;
		own->text = xstrdup(cond->text);
		own->mask_text = xstrdup(cond->mask_text);
	}
	return 0;
}

/* Any of the values: each rule of the entry becomes one for each value. */
static int add_any(const struct operand *o, const struct yaml_node *list, struct policy *policy,
		   size_t first, struct err *err)
{
	size_t n = policy->n - first;

	if (!list->n)
		return yaml_error(o->y, list, err, "an empty list: no value would match");
	if (n * list->n > POLICY_VARIANTS_MAX)
		return yaml_error(o->y, list, err,
				  "more than %d combinations of values in one entry",
				  POLICY_VARIANTS_MAX);
	for (size_t i = 1; i < list->n; i++) {
		for (size_t k = first; k < first + n; k++) {
			struct policy_rule copy;

			policy_copy_rule(&policy->rules[k], &copy);
			*policy_add_rule(policy) = copy;
		}
	}
	for (size_t i = 0; i < list->n; i++) {
		auto_cleanup(policy_cond) cond = {0};
		int r = parse_cond(o, &list->items[i], POLICY_EQ, &cond, err);

		if (r == 0)
			r = add_cond(o, list, &cond, policy, first + i * n, first + (i + 1) * n,
				     err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_one(const struct operand *o, const struct yaml_node *node, enum policy_op op,
		   struct policy *policy, size_t first, struct err *err)
{
	auto_cleanup(policy_cond) cond = {0};
	int r = parse_cond(o, node, op, &cond, err);

	return r < 0 ? r : add_cond(o, node, &cond, policy, first, policy->n, err);
}

/* {ge: 1, le: 8, masked_eq: [4, 0], bits: 64}: all must hold */
static int add_comparisons(struct operand *o, const struct yaml_node *map, struct policy *policy,
			   size_t first, struct err *err)
{
	static const char *const keys[] = {"eq", "ne", "lt", "le", "gt", "ge", "masked_eq", "bits"};
	const struct yaml_node *bits = yaml_get(map, "bits");
	int64_t width = 0;
	int r = yaml_check_keys(o->y, map, "a comparison", keys, array_len(keys), err);

	if (r < 0)
		return r;
	if (bits) {
		r = yaml_int(o->y, bits, "bits", 32, 64, &width, err);
		if (r < 0)
			return r;
		if (width != 32 && width != 64)
			return yaml_error(o->y, bits, err, "bits must be 32 or 64");
		o->is_32bit = width == 32;
	}
	if (map->n == !!bits)
		return yaml_error(o->y, map, err, "a comparison expected, such as eq: 1 or ge: 8");
	for (unsigned int op = POLICY_EQ; op <= POLICY_MASKED_EQ; op++) {
		const struct yaml_node *node = yaml_get(map, keys[op]);
		/* of several values eq means any of them, and each other comparison all of them */
		bool is_list = node && node->kind == YAML_LIST && node->n &&
			       (op != POLICY_MASKED_EQ || node->items[0].kind == YAML_LIST);

		if (!node)
			continue;
		if (op == POLICY_EQ && node->kind == YAML_LIST)
			r = add_any(o, node, policy, first, err);
		else if (!is_list)
			r = add_one(o, node, op, policy, first, err);
		for (size_t i = 0; r == 0 && op != POLICY_EQ && is_list && i < node->n; i++)
			r = add_one(o, &node->items[i], op, policy, first, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int bad_argument(const struct yaml *y, const struct yaml_node *key,
			const struct syscall_def *call, bool takes_errno, struct err *err)
{
	const struct arg_def *args = call_args(call);
	auto_cleanup(buf) known = {0};
	const char *names[7], *near;
	size_t n = 0;

	for (int i = 0; i < 6; i++)
		if (args[i].name)
			names[n++] = args[i].name;
	for (size_t i = 0; i < n; i++)
		buf_addf(&known, "%s, ", names[i]);
	buf_adds(&known, n ? "or arg0 to arg5" : "arg0 to arg5");
	if (takes_errno)
		names[n++] = "errno";
	if (str_eq(key->text, "bits"))
		return yaml_error(y, key, err,
				  "bits belongs beside a comparison, such as {eq: 1, bits: 64}");
	near = str_nearest(key->text, names, n);
	if (near)
		return yaml_error(y, key, err, "%s has no argument '%.40s' (did you mean '%s'?)",
				  call->name, key->text, near);
	return yaml_error(y, key, err, "%s has no argument '%.40s' (known: %s%s)", call->name,
			  key->text, known.data, takes_errno ? ", and errno" : "");
}

/* {domain: [AF_UNIX, AF_INET], type: SOCK_STREAM, errno: EAFNOSUPPORT} */
static int add_arguments(const struct yaml *y, const struct yaml_node *map, struct policy *policy,
			 size_t first, struct err *err)
{
	const struct syscall_def *call = policy->rules[first].call;
	bool takes_errno = policy->rules[first].action.kind == POLICY_ERRNO;
	int r;

	if (!map->n)
		return yaml_error(y, map, err, "arguments expected, such as {arg0: 1}");
	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = &map->keys[i], *value = &map->items[i];
		struct operand o = {.y = y, .call = call};
		int arg = call_arg_find(call, key->text);

		if (takes_errno && str_eq(key->text, "errno")) {
			int code;

			r = policy_yaml_errno(y, value, &code, err);
			for (size_t k = first; r == 0 && k < policy->n; k++)
				policy->rules[k].action.error = code;
		} else if (arg < 0) {
			r = bad_argument(y, key, call, takes_errno, err);
		} else {
			o.arg = arg;
			o.is_32bit = call_arg_is_32bit(call, arg);
			if (value->kind == YAML_LIST)
				r = add_any(&o, value, policy, first, err);
			else if (value->kind == YAML_MAP)
				r = add_comparisons(&o, value, policy, first, err);
			else
				r = add_one(&o, value, POLICY_EQ, policy, first, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* The rules of a name, a call's or a group's, without arguments yet. */
static int add_name(const struct yaml *y, const struct yaml_node *name,
		    const struct policy_rule *model, struct policy *policy, struct err *err)
{
	const struct call_group *group = NULL;
	struct policy_rule rule = *model;
	int r;

	if (name->kind == YAML_SCALAR && *name->text == '@') {
		group = group_find(name->text);
		if (!group)
			return policy_yaml_unknown(y, name, "group", group_suggest(name->text),
						   "jail-policy(5) lists them", err);
		rule.group = group->name;
	} else {
		r = policy_yaml_call(y, name, &rule.call, err);
		if (r < 0)
			return r;
	}
	rule.at = policy_yaml_pos(name);
	for (size_t i = 0; group ? !!group->calls[i] : i < 1; i++) {
		if (group)
			rule.call = syscall_find(group->calls[i]);
		*policy_add_rule(policy) = rule;
	}
	return 0;
}

/* Neither arguments nor, in deny, an error. */
static int bad_specification(const struct yaml *y, const struct yaml_node *key,
			     const struct yaml_node *value, const struct policy_rule *rule,
			     struct err *err)
{
	const char *arg = call_args(rule->call)[0].name;
	bool takes_errno = rule->action.kind == POLICY_ERRNO;

	if (!takes_errno && value->kind == YAML_SCALAR && policy_errno_parse(value->text))
		return yaml_error(y, value, err, "'%.40s' is for deny; here arguments can follow",
				  value->text);
	if (rule->group)
		return yaml_error(y, value, err, "a group stands alone%s",
				  takes_errno ? ", or with an error's name" : "");
	return yaml_error(y, value, err,
			  "arguments of %.40s expected, such as {%s: 1}%s; a call alone stands "
			  "without ':'",
			  key->text, arg ?: "arg0", takes_errno ? ", or an error's name" : "");
}

/* read | "@file-read" | {clone3: ENOSYS} | {socket: {domain: AF_UNIX}} */
static int add_entry(const struct yaml *y, const struct yaml_node *node,
		     const struct policy_rule *model, struct policy *policy, struct err *err)
{
	const struct yaml_node *key, *value;
	size_t first = policy->n;
	int r;

	if (node->kind == YAML_SCALAR)
		return add_name(y, node, model, policy, err);
	if (node->kind == YAML_LIST || !node->n)
		return yaml_error(
			y, node, err,
			"the name of a system call expected, or {NAME: {ARGUMENT: VALUE}}");
	if (node->n > 1)
		return yaml_error(
			y, &node->keys[1], err,
			"one system call in each entry: '%.40s' belongs into an entry of "
			"its own, or is an argument and must be indented deeper than '%.40s'",
			node->keys[1].text, node->keys[0].text);
	key = &node->keys[0];
	value = &node->items[0];
	r = add_name(y, key, model, policy, err);
	if (r < 0)
		return r;
	if (value->kind == YAML_SCALAR && model->action.kind == POLICY_ERRNO && *value->text) {
		int code;

		r = policy_yaml_errno(y, value, &code, err);
		for (size_t i = first; r == 0 && i < policy->n; i++)
			policy->rules[i].action.error = code;
		return r;
	}
	if (value->kind != YAML_MAP)
		return bad_specification(y, key, value, &policy->rules[first], err);
	if (policy->rules[first].group && !(value->n == 1 && yaml_get(value, "errno")))
		return yaml_error(y, value, err,
				  "a group takes no arguments: its calls have different ones");
	return add_arguments(y, value, policy, first, err);
}

int policy_yaml_rules(const struct yaml *y, const struct yaml_node *node, unsigned int list,
		      const struct policy_when *when, struct policy *policy, struct err *err)
{
	struct policy_rule model = {.action.kind = policy_list_kinds[list], .when = *when};
	int r;

	if (model.action.kind == POLICY_ERRNO)
		model.action.error = EPERM;
	if (node->kind != YAML_LIST)
		return yaml_error(y, node, err, "%s: a list of system calls expected",
				  policy_list_names[list]);
	for (size_t i = 0; i < node->n; i++) {
		r = add_entry(y, &node->items[i], &model, policy, err);
		if (r < 0)
			return r;
		if (policy->n > POLICY_RULES_MAX)
			return yaml_error(y, &node->items[i], err, "more than %d rules in one file",
					  POLICY_RULES_MAX);
	}
	return 0;
}
