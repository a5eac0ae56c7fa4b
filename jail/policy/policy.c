#include "jail/policy/policy.h"

#include <string.h>

#include "jail/base/cleanup.h"

static const char *const limit_names[LIMIT_COUNT] = {
	[LIMIT_EXEC] = "exec",		 [LIMIT_FORK] = "fork",
	[LIMIT_PROCESSES] = "processes", [LIMIT_OPEN_FILES] = "open-files",
	[LIMIT_MEMORY] = "memory",	 [LIMIT_CPU_TIME] = "cpu-time",
	[LIMIT_WALL_TIME] = "wall-time", [LIMIT_FILE_SIZE] = "file-size",
	[LIMIT_OUTPUT] = "output",	 [LIMIT_CPUS] = "cpus",
};

static const char *const op_names[] = {
	[POLICY_EQ] = "eq",
	[POLICY_NE] = "ne",
	[POLICY_LT] = "lt",
	[POLICY_LE] = "le",
	[POLICY_GT] = "gt",
	[POLICY_GE] = "ge",
	[POLICY_MASKED_EQ] = "masked_eq",
};

void policy_rule_deinit(struct policy_rule *rule)
{
	for (size_t i = 0; i < rule->n_conds; i++) {
		free(rule->conds[i].text);
		free(rule->conds[i].mask_text);
	}
	free(rule->conds);
}

static void settings_deinit(struct policy_settings *s)
{
	for (size_t i = 0; i < s->n_paths; i++)
		free(s->paths[i].path);
	free(s->paths);
	free(s->ports);
	strv_deinit(&s->env.preserve);
	strv_deinit(&s->env.set);
	strv_deinit(&s->env.unset);
	strv_deinit(&s->plugins);
	strv_deinit(&s->plugin_args);
}

void policy_deinit(struct policy *policy)
{
	for (size_t i = 0; i < policy->n; i++)
		policy_rule_deinit(&policy->rules[i]);
	for (size_t i = 0; i < policy->n_bases; i++)
		policy_deinit(&policy->bases[i]);
	settings_deinit(&policy->settings);
	strv_deinit(&policy->extends);
	strv_deinit(&policy->warnings);
	free(policy->rules);
	free(policy->bases);
	free(policy->extends_at);
	free(policy->frequency);
	free(policy->name);
	free(policy->summary);
	free(policy->source);
	free(policy->date);
	*policy = (struct policy){0};
}

struct policy_rule *policy_add_rule(struct policy *policy)
{
	if (policy->n == policy->cap) {
		policy->cap = policy->cap ? 2 * policy->cap : 64;
		policy->rules = xreallocarray(policy->rules, policy->cap, sizeof(*policy->rules));
	}
	policy->rules[policy->n] = (struct policy_rule){0};
	return &policy->rules[policy->n++];
}

struct policy_cond *policy_add_cond(struct policy_rule *rule)
{
	if (rule->n_conds == POLICY_CONDS_MAX)
		return NULL;
	rule->conds = xreallocarray(rule->conds, rule->n_conds + 1, sizeof(*rule->conds));
	rule->conds[rule->n_conds] = (struct policy_cond){0};
	return &rule->conds[rule->n_conds++];
}

void policy_copy_rule(const struct policy_rule *from, struct policy_rule *to)
{
	*to = *from;
	to->conds = from->n_conds ? xcalloc(from->n_conds, sizeof(*to->conds)) : NULL;
	for (size_t i = 0; i < from->n_conds; i++) {
		to->conds[i] = from->conds[i];
		to->conds[i].text = xstrdup(from->conds[i].text);
		to->conds[i].mask_text = xstrdup(from->conds[i].mask_text);
	}
}

int policy_errno_parse(const char *text)
{
	static const struct {
		const char *name;
		int code;
	} aliases[] = {
		{"EWOULDBLOCK", EWOULDBLOCK}, {"EDEADLOCK", EDEADLOCK}, {"EOPNOTSUPP", EOPNOTSUPP}};
	uint64_t number;

	if (str_to_u64(text, 1, POLICY_ERRNO_MAX, &number) == 0)
		return (int)number;
	for (size_t i = 0; i < array_len(aliases); i++)
		if (str_eq(text, aliases[i].name))
			return aliases[i].code;
	for (int code = 1; code <= EHWPOISON; code++) {
		const char *known = strerrorname_np(code);

		if (known && str_eq(known, text))
			return code;
	}
	return 0;
}

void policy_action_print(const struct policy_action *action, struct buf *out)
{
	static const char *const names[] = {
		[POLICY_UNSET] = "unset", [POLICY_ALLOW] = "allow",
		[POLICY_LOG] = "log",	  [POLICY_NOTIFY] = "notify",
		[POLICY_TRAP] = "trap",	  [POLICY_KILL_THREAD] = "kill-thread",
		[POLICY_KILL] = "kill",
	};
	const char *name;

	if (action->kind != POLICY_ERRNO) {
		buf_adds(out, names[action->kind]);
		return;
	}
	name = strerrorname_np(action->error);
	if (name)
		buf_addf(out, "errno %s", name);
	else
		buf_addf(out, "errno %d", action->error);
}

const char *policy_limit_name(enum policy_limit limit)
{
	return limit_names[limit];
}

const char *policy_op_name(enum policy_op op)
{
	return op_names[op];
}

bool policy_env_matches(const struct strv *patterns, const char *name, size_t len)
{
	for (size_t i = 0; i < patterns->n; i++) {
		const char *pattern = patterns->items[i];
		size_t n = strlen(pattern);

		if (n && pattern[n - 1] == '*' ? len >= n - 1 && !memcmp(pattern, name, n - 1)
					       : len == n && !memcmp(pattern, name, n))
			return true;
	}
	return false;
}

void policy_warn(struct policy *policy, struct policy_pos at, const char *fmt, ...)
{
	auto_cleanup(buf) text = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	if (at.line)
		strv_addf(&policy->warnings, "%s:%u:%u: %s", policy->name, at.line, at.column,
			  text.data);
	else
		strv_addf(&policy->warnings, "%s: %s", policy->name, text.data);
}
