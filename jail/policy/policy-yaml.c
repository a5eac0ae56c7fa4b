#include "jail/policy/policy-yaml.h"

#include <string.h>

static int parse_errno(const struct yaml *y, const struct yaml_node *node, int *ret,
		       struct err *err)
{
	*ret = node->kind == YAML_SCALAR ? policy_errno_parse(node->text) : 0;
	if (*ret)
		return 0;
	return yaml_error(
		y, node, err, "an error's name expected, such as EPERM or ENOSYS%s%.40s%s",
		node->kind == YAML_SCALAR ? ", not '" : "",
		node->kind == YAML_SCALAR ? node->text : "", node->kind == YAML_SCALAR ? "'" : "");
}

/* allow | log | kill | errno | EPERM | {errno: EPERM} */
static int parse_action(const struct yaml *y, const struct yaml_node *node,
			struct policy_action *ret, struct err *err)
{
	static const char *const keys[] = {"errno"};
	static const struct {
		const char *name;
		struct policy_action action;
	} words[] = {
		{"allow", {POLICY_ALLOW, 0}},
		{"log", {POLICY_LOG, 0}},
		{"kill", {POLICY_KILL, 0}},
		{"errno", {POLICY_ERRNO, EPERM}},
	};
	int r;

	ret->kind = POLICY_ERRNO;
	if (node->kind == YAML_MAP) {
		r = yaml_check_keys(y, node, "an action", keys, array_len(keys), err);
		if (r < 0)
			return r;
		if (node->n == 1)
			return parse_errno(y, &node->items[0], &ret->error, err);
	}
	for (size_t i = 0; node->kind == YAML_SCALAR && i < array_len(words); i++) {
		if (str_eq(node->text, words[i].name)) {
			*ret = words[i].action;
			return 0;
		}
	}
	ret->error = node->kind == YAML_SCALAR ? policy_errno_parse(node->text) : 0;
	if (ret->error)
		return 0;
	return yaml_error(y, node, err, "an action expected: allow, log, kill or {errno: EPERM}");
}

static int parse_call(const struct yaml *y, const struct yaml_node *node, struct policy_rule *ret,
		      struct err *err)
{
	const char *near;

	if (node->kind != YAML_SCALAR || !*node->text)
		return yaml_error(y, node, err, "the name of a system call expected");
	ret->call = syscall_find(node->text);
	ret->at = (struct policy_pos){node->line, node->column};
	if (ret->call)
		return 0;
	near = syscall_suggest(node->text);
	if (near)
		return yaml_error(y, node, err, "unknown system call '%.60s' (did you mean '%s'?)",
				  node->text, near);
	return yaml_error(y, node, err, "unknown system call '%.60s'", node->text);
}

static int parse_calls(const struct yaml *y, const struct yaml_node *list,
		       const struct policy_action *action, struct policy *policy, struct err *err)
{
	int r;

	if (list->kind != YAML_LIST)
		return yaml_error(y, list, err, "allow: a list of system calls expected");
	for (size_t i = 0; i < list->n; i++) {
		struct policy_rule *rule = policy_add_rule(policy);

		rule->action = *action;
		r = parse_call(y, &list->items[i], rule, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_policy(const struct yaml *y, struct policy *policy, struct err *err)
{
	static const char *const keys[] = {"version", "default", "allow"};
	const struct yaml_node *version = yaml_get(&y->root, "version");
	const struct yaml_node *fallback = yaml_get(&y->root, "default");
	const struct yaml_node *allow = yaml_get(&y->root, "allow");
	const struct policy_action allowed = {POLICY_ALLOW, 0};
	int64_t number;
	int r;

	r = yaml_check_keys(y, &y->root, "a policy", keys, array_len(keys), err);
	if (r < 0)
		return r;
	if (!version)
		return yaml_error(y, &y->root, err, "'version: 1' is missing");
	r = yaml_int(y, version, "version", 1, 1, &number, err);
	if (r < 0)
		return r;
	if (!fallback)
		return yaml_error(y, &y->root, err,
				  "'default' is missing: what happens to a call that is not listed "
				  "(allow, log, kill or {errno: EPERM})");
	r = parse_action(y, fallback, &policy->fallback, err);
	if (r < 0)
		return r;
	return allow ? parse_calls(y, allow, &allowed, policy, err) : 0;
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
