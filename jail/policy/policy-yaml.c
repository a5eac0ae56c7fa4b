#include "jail/policy/policy-yaml.h"

#include <ctype.h>
#include <string.h>

#include "jail/policy/policy-yaml-parts.h"

/* allow | log | … | kill | EPERM | {errno: EPERM} */
static int parse_action(const struct yaml *y, const struct yaml_node *node,
			struct policy_action *ret, struct err *err)
{
	static const char *const keys[] = {"errno"};
	static const char words_text[] = "allow, log, notify, trap, kill-thread, kill, errno or "
					 "{errno: EPERM}";
	static const char *const words[] = {"allow", "log",  "notify",	   "errno",
					    "trap",  "kill", "kill-thread"};
	static const enum policy_kind kinds[] = {POLICY_ALLOW,	    POLICY_LOG,	 POLICY_NOTIFY,
						 POLICY_ERRNO,	    POLICY_TRAP, POLICY_KILL,
						 POLICY_KILL_THREAD};
	const char *near;
	int r;

	if (node->kind == YAML_MAP) {
		r = yaml_check_keys(y, node, "an action", keys, array_len(keys), err);
		if (r < 0)
			return r;
	}
	if (node->kind == YAML_LIST || (node->kind == YAML_MAP ? node->n == 0 : !*node->text))
		return yaml_error(y, node, err, "an action expected: %s", words_text);
	*ret = (struct policy_action){POLICY_ERRNO, EPERM};
	if (node->kind == YAML_MAP)
		return policy_yaml_errno(y, &node->items[0], &ret->error, err);
	for (size_t i = 0; i < array_len(words); i++) {
		if (!str_eq(node->text, words[i]))
			continue;
		ret->kind = kinds[i];
		ret->error = kinds[i] == POLICY_ERRNO ? EPERM : 0;
		return 0;
	}
	ret->error = policy_errno_parse(node->text);
	if (ret->error)
		return 0;
	near = str_nearest(node->text, words, array_len(words));
	if (toupper((unsigned char)*node->text) == 'E' && !near)
		return policy_yaml_errno(y, node, &ret->error, err);
	return policy_yaml_unknown(y, node, "action", near, words_text, err);
}

/* A version alone: "6.1", "6.12.3". */
static int parse_known(const struct yaml *y, const struct yaml_node *node, struct kver *ret,
		       struct err *err)
{
	auto_free char *range = str_printf("==%s", node->kind == YAML_SCALAR ? node->text : "");
	struct kver_range parsed;

	if (isdigit((unsigned char)range[2]) && kver_range_parse(range, &parsed, NULL) == 0 &&
	    parsed.n == 1) {
		*ret = parsed.cmp[0].than;
		return 0;
	}
	return yaml_error(y, node, err, "a kernel version expected, such as 6.1 or 6.12");
}

static int parse_date(const struct yaml *y, const struct yaml_node *node, char **ret,
		      struct err *err)
{
	static const char shape[] = "0000-00-00";
	const char *text = node->kind == YAML_SCALAR ? node->text : "";
	size_t i = 0;

	while (text[i] && shape[i] &&
	       (shape[i] == '0' ? isdigit((unsigned char)text[i]) : text[i] == '-'))
		i++;
	if (text[i] || shape[i] || atoi(text + 5) < 1 || atoi(text + 5) > 12 ||
	    atoi(text + 8) < 1 || atoi(text + 8) > 31)
		return yaml_error(y, node, err, "a date as YYYY-MM-DD expected");
	*ret = xstrdup(text);
	return 0;
}

static int parse_text(const struct yaml *y, const char *key, char **ret, struct err *err)
{
	const struct yaml_node *node = yaml_get(&y->root, key);
	const char *text;
	int r;

	if (!node)
		return 0;
	r = yaml_string(y, node, key, &text, err);
	if (r == 0)
		*ret = xstrdup(text);
	return r;
}

static int parse_extends(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
			 struct err *err)
{
	int r = yaml_strings(y, node, "extends", &policy->extends, err);

	if (r < 0)
		return r;
	policy->extends_at = xcalloc(policy->extends.n, sizeof(*policy->extends_at));
	for (size_t i = 0; i < policy->extends.n; i++) {
		const struct yaml_node *item = node->kind == YAML_LIST ? &node->items[i] : node;

		if (!*policy->extends.items[i])
			return yaml_error(y, item, err, "a profile's name or a file expected");
		policy->extends_at[i] = policy_yaml_pos(item);
	}
	return 0;
}

/* {read: 120, write: 30}, or names alone, the most frequent first */
static int parse_frequency(const struct yaml *y, const struct yaml_node *node,
			   struct policy *policy, struct err *err)
{
	bool is_map = node->kind == YAML_MAP;
	int64_t count = 0;
	int r;

	if (node->kind == YAML_SCALAR)
		return yaml_error(y, node, err,
				  "frequency: a map of system calls to counts expected, or a list, "
				  "the most frequent first");
	policy->frequency = xcalloc(node->n, sizeof(*policy->frequency));
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *name = is_map ? &node->keys[i] : &node->items[i];

		r = policy_yaml_call(y, name, &policy->frequency[i].call, err);
		if (r == 0 && is_map)
			r = yaml_int(y, &node->items[i], "a count", 0, INT64_MAX, &count, err);
		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++)
			if (policy->frequency[k].call == policy->frequency[i].call)
				return yaml_error(y, name, err, "'%s' is listed twice", name->text);
		policy->frequency[i].count = is_map ? (uint64_t)count : node->n - i;
		policy->n_frequency = i + 1;
	}
	return 0;
}

static int parse_arches(const struct yaml *y, const struct yaml_node *node,
			struct policy_when *when, struct err *err)
{
	static const char *const names[] = {"amd64", "arm64", "x86_64", "aarch64", "none"};
	size_t n = node->kind == YAML_LIST ? node->n : 1;

	if (node->kind == YAML_MAP || !n)
		return yaml_error(y, node, err, "arch: amd64 or arm64 expected, or a list of them");
	for (size_t i = 0; i < n; i++) {
		const struct yaml_node *item = node->kind == YAML_LIST ? &node->items[i] : node;
		const char *text;
		int arch, r = yaml_string(y, item, "arch", &text, err);

		if (r < 0)
			return r;
		arch = arch_parse(text);
		if (arch < 0 && !str_eq(text, "none"))
			return policy_yaml_unknown(y, item, "architecture",
						   str_nearest(text, names, array_len(names)),
						   "amd64 or arm64; none for a rule that holds on "
						   "neither",
						   err);
		if (arch < 0)
			when->never = true;
		else
			when->arches |= 1U << arch;
	}
	if (when->never && when->arches)
		return yaml_error(y, node, err, "arch: none stands alone");
	return 0;
}

static int parse_kernels(const struct yaml *y, const struct yaml_node *node, struct kver_range *ret,
			 struct err *err)
{
	struct err why = {0};
	const char *text;
	int r = yaml_string(y, node, "kernel", &text, err);

	if (r < 0)
		return r;
	r = kver_range_parse(text, ret, &why);
	return r < 0 ? yaml_error(y, node, err, "%s", why.msg) : 0;
}

static int parse_when_one(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
			  struct err *err)
{
	static const char *const conditions[] = {"arch", "kernel", "capabilities",
						 "without-capabilities"};
	const char *keys[array_len(conditions) + POLICY_LISTS];
	const struct yaml_node *found[array_len(conditions)], *list;
	struct policy_when when = {0};
	bool has_condition = false, has_rules = false;
	int r;

	memcpy(keys, conditions, sizeof(conditions));
	memcpy(keys + array_len(conditions), policy_list_names, sizeof(policy_list_names));
	r = yaml_check_keys(y, node, "a section of when", keys, array_len(keys), err);
	for (size_t i = 0; i < array_len(found); i++) {
		found[i] = yaml_get(node, conditions[i]);
		has_condition |= !!found[i];
	}
	if (r == 0 && found[0])
		r = parse_arches(y, found[0], &when, err);
	if (r == 0 && found[1])
		r = parse_kernels(y, found[1], &when.kernel, err);
	if (r == 0 && found[2])
		r = policy_yaml_caps(y, found[2], conditions[2], &when.caps, err);
	if (r == 0 && found[3])
		r = policy_yaml_caps(y, found[3], conditions[3], &when.no_caps, err);
	if (r < 0)
		return r;
	if (!has_condition)
		return yaml_error(y, node, err,
				  "a section of when needs arch, kernel, capabilities or "
				  "without-capabilities; what holds always stands outside");
	for (unsigned int i = 0; i < POLICY_LISTS; i++) {
		list = yaml_get(node, policy_list_names[i]);
		r = list ? policy_yaml_rules(y, list, i, &when, policy, err) : 0;
		if (r < 0)
			return r;
		has_rules |= !!list;
	}
	return has_rules ? 0
			 : yaml_error(y, node, err,
				      "a section of when without rules (allow, deny, …)");
}

static int parse_when(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
		      struct err *err)
{
	int r = 0;

	if (node->kind == YAML_SCALAR)
		return yaml_error(y, node, err,
				  "when: a list of sections expected, such as {arch: amd64, allow: "
				  "[arch_prctl]}");
	if (node->kind == YAML_MAP)
		return parse_when_one(y, node, policy, err);
	for (size_t i = 0; r == 0 && i < node->n; i++)
		r = parse_when_one(y, &node->items[i], policy, err);
	return r;
}

static int parse_head(const struct yaml *y, struct policy *policy, struct err *err)
{
	const struct yaml_node *node = yaml_get(&y->root, "version");
	int64_t number;
	int r;

	if (!node)
		return yaml_error(y, &y->root, err, "'version: 1' is missing");
	r = yaml_int(y, node, "version", 1, 1, &number, err);
	if (r == 0)
		r = parse_text(y, "summary", &policy->summary, err);
	if (r == 0)
		r = parse_text(y, "source", &policy->source, err);
	node = yaml_get(&y->root, "date");
	if (r == 0 && node)
		r = parse_date(y, node, &policy->date, err);
	node = yaml_get(&y->root, "known");
	if (r == 0 && node) {
		r = parse_known(y, node, &policy->known, err);
		policy->has_known = true;
	}
	node = yaml_get(&y->root, "extends");
	if (r == 0 && node)
		r = parse_extends(y, node, policy, err);
	return r;
}

static int parse_defaults(const struct yaml *y, struct policy *policy, struct err *err)
{
	const struct yaml_node *fallback = yaml_get(&y->root, "default");
	const struct yaml_node *unknown = yaml_get(&y->root, "unknown");
	int r;

	if (fallback) {
		policy->fallback_at = policy_yaml_pos(fallback);
		r = parse_action(y, fallback, &policy->fallback, err);
		if (r < 0)
			return r;
	}
	return unknown ? parse_action(y, unknown, &policy->unknown, err) : 0;
}

static int parse_policy(const struct yaml *y, struct policy *policy, struct err *err)
{
	static const char *const keys[] = {
		"version",    "summary",     "extends", "source",      "date",	    "known",
		"default",    "unknown",     "allow",	"log",	       "notify",    "deny",
		"trap",	      "kill-thread", "kill",	"when",	       "frequency", "limits",
		"env",	      "paths",	     "ports",	"best-effort", "network",   "capabilities",
		"namespaces", "plugins"};
	const struct policy_when always = {0};
	const struct yaml_node *node;
	int r = yaml_check_keys(y, &y->root, "a policy", keys, array_len(keys), err);

	if (r == 0)
		r = parse_head(y, policy, err);
	if (r == 0)
		r = parse_defaults(y, policy, err);
	for (unsigned int i = 0; r == 0 && i < POLICY_LISTS; i++) {
		node = yaml_get(&y->root, policy_list_names[i]);
		if (node)
			r = policy_yaml_rules(y, node, i, &always, policy, err);
	}
	node = yaml_get(&y->root, "allow");
	if (node) {
		policy->allow_at = policy_yaml_pos(node);
		policy->allow_is_flow = node->is_flow;
	}
	node = yaml_get(&y->root, "when");
	if (r == 0 && node)
		r = parse_when(y, node, policy, err);
	node = yaml_get(&y->root, "frequency");
	if (r == 0 && node)
		r = parse_frequency(y, node, policy, err);
	return r < 0 ? r : policy_yaml_settings(y, policy, err);
}

int policy_from_yaml(const struct yaml *y, struct policy *ret, struct err *err)
{
	auto_cleanup(policy) policy = {.name = xstrdup(y->name)};
	int r = parse_policy(y, &policy, err);

	if (r < 0)
		return r;
	*ret = policy;
	policy = (struct policy){0};
	return 0;
}
