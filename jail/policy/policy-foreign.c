#include "jail/policy/policy-foreign.h"

#include <string.h>

const struct yaml_node *foreign_get(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = yaml_get(map, key);

	if (node && node->kind == YAML_SCALAR && !node->quoted &&
	    (!*node->text || str_eq(node->text, "null") || str_eq(node->text, "~")))
		return NULL;
	return node;
}

int foreign_check(const struct yaml *y, const struct yaml_node *node, enum yaml_kind kind,
		  const char *what, struct err *err)
{
	static const char *const kinds[] = {"a value", "a list", "a map"};

	return !node || node->kind == kind
		       ? 0
		       : yaml_error(y, node, err, "%s: %s expected", what, kinds[kind]);
}

/* Whether one more warning of a kind may be given; the last one says that there are others. */
static bool may_warn(struct policy *policy, struct policy_pos at, unsigned int *warned)
{
	if (++*warned == FOREIGN_WARNINGS_MAX + 1)
		policy_warn(policy, at, "there are more of these; they are ignored too");
	return *warned <= FOREIGN_WARNINGS_MAX;
}

void foreign_check_keys(struct policy *policy, const struct yaml_node *map, const char *what,
			const char *const *keys, size_t n, unsigned int *warned)
{
	for (size_t i = 0; i < map->n; i++) {
		const char *key = map->keys[i].text, *near;
		size_t k = 0;

		while (k < n && !str_eq(keys[k], key))
			k++;
		if (k < n || !may_warn(policy, foreign_pos(&map->keys[i]), warned))
			continue;
		near = str_nearest(key, keys, n);
		policy_warn(policy, foreign_pos(&map->keys[i]), "%s has no '%.60s'%s%s%s: ignored",
			    what, key, near ? " (did you mean '" : "", near ? near : "",
			    near ? "'?)" : "");
	}
}

int foreign_call(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
		 unsigned int *warned, const struct syscall_def **ret, struct err *err)
{
	const char *near;

	if (node->kind != YAML_SCALAR || !*node->text)
		return yaml_error(y, node, err, "the name of a system call expected");
	*ret = syscall_find(node->text);
	if (*ret)
		return 1;
	if (may_warn(policy, foreign_pos(node), warned)) {
		near = syscall_suggest(node->text);
		policy_warn(policy, foreign_pos(node),
			    "no kernel has a system call '%.60s'%s%s%s: ignored", node->text,
			    near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
	}
	return 0;
}

int foreign_add_rule(const struct yaml *y, const struct yaml_node *at,
		     const struct syscall_def *call, struct policy_action action,
		     struct policy *policy, struct policy_rule **ret, struct err *err)
{
	struct policy_rule *rule;

	if (policy->n >= FOREIGN_RULES_MAX) {
		yaml_error(y, at, err, "more than %d rules", FOREIGN_RULES_MAX);
		err->code = E2BIG;
		return -E2BIG;
	}
	rule = policy_add_rule(policy);
	rule->call = call;
	rule->action = action;
	rule->at = foreign_pos(at);
	if (ret)
		*ret = rule;
	return 0;
}
