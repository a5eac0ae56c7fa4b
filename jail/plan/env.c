#include "jail/plan/env.h"

#include <string.h>

/* Where the variable of this entry ("NAME=…") is set, from entry `from` on; n: nowhere. */
static size_t find_set(const struct strv *set, size_t from, const char *name, size_t len)
{
	for (size_t i = from; i < set->n; i++)
		if (strncmp(set->items[i], name, len) == 0 && set->items[i][len] == '=')
			return i;
	return set->n;
}

void env_make(const struct policy_settings *settings, char *const *from, struct strv *ret)
{
	const struct strv *set = &settings->env.set;
	bool keep_all = !settings->env.has_preserve || settings->env.preserve_all == TRI_YES;

	for (; *from; from++) {
		size_t len = strcspn(*from, "=");

		if (!(*from)[len] || policy_env_matches(&settings->env.unset, *from, len) ||
		    find_set(set, 0, *from, len) < set->n)
			continue;
		if (keep_all || policy_env_matches(&settings->env.preserve, *from, len))
			strv_add(ret, *from);
	}
	/* of two for one name the later counts: the policy's own come after the inherited ones */
	for (size_t i = 0; i < set->n; i++) {
		size_t len = strcspn(set->items[i], "=");

		if (find_set(set, i + 1, set->items[i], len) == set->n)
			strv_add(ret, set->items[i]);
	}
	if (!ret->items) { /* an envp has its NULL even when it is empty */
		strv_add(ret, "");
		free(ret->items[--ret->n]);
		ret->items[0] = NULL;
	}
}

const char *env_get(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

const char *env_search_path(char *const *env)
{
	const char *path = env_get(env, "PATH");

	return path ? path : "/usr/local/bin:/usr/bin:/bin";
}
