#include "jail/policy/policy-inherit.h"

#include <string.h>

static bool sets(const struct strv *set, const char *name, size_t len)
{
	for (size_t i = 0; i < set->n; i++)
		if (!strncmp(set->items[i], name, len) && set->items[i][len] == '=')
			return true;
	return false;
}

static void add_all(struct strv *to, const struct strv *from)
{
	for (size_t i = 0; i < from->n; i++)
		strv_add(to, from->items[i]);
}

static void inherit_env(struct policy_settings *own, const struct policy_settings *base)
{
	struct strv unset = {0};

	if (own->env.preserve_all == TRI_UNSET && !own->env.has_preserve) {
		own->env.preserve_all = base->env.preserve_all;
		own->env.has_preserve = base->env.has_preserve;
		add_all(&own->env.preserve, &base->env.preserve);
	}
	for (size_t i = 0; i < base->env.unset.n; i++) {
		const char *name = base->env.unset.items[i];

		if (!sets(&own->env.set, name, strlen(name)))
			strv_add(&unset, name);
	}
	for (size_t i = 0; i < base->env.set.n; i++) {
		const char *entry = base->env.set.items[i];
		size_t len = strcspn(entry, "=");

		if (!sets(&own->env.set, entry, len) &&
		    !policy_env_matches(&own->env.unset, entry, len))
			strv_add(&own->env.set, entry);
	}
	add_all(&own->env.unset, &unset);
	strv_deinit(&unset);
}

static void inherit_paths(struct policy_settings *own, const struct policy_settings *base)
{
	if (!own->has_paths && base->has_paths) {
		own->has_paths = true;
		own->paths_at = base->paths_at;
		own->n_paths = base->n_paths;
		own->paths = xcalloc(base->n_paths + 1, sizeof(*own->paths));
		for (size_t i = 0; i < base->n_paths; i++) {
			own->paths[i] = base->paths[i];
			own->paths[i].path = xstrdup(base->paths[i].path);
		}
	}
	if (!own->has_ports && base->has_ports) {
		own->has_ports = true;
		own->ports_at = base->ports_at;
		own->n_ports = base->n_ports;
		own->ports = xcalloc(base->n_ports + 1, sizeof(*own->ports));
		for (size_t i = 0; i < base->n_ports; i++)
			own->ports[i] = base->ports[i];
	}
}

static void inherit_settings(struct policy_settings *own, const struct policy_settings *base)
{
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		if (!own->limits[i].is_set)
			own->limits[i] = base->limits[i];
	inherit_env(own, base);
	inherit_paths(own, base);
	if (own->best_effort == TRI_UNSET)
		own->best_effort = base->best_effort;
	if (!own->has_caps && base->has_caps) {
		own->has_caps = true;
		own->caps_are_all = base->caps_are_all;
		own->caps = base->caps;
		own->caps_at = base->caps_at;
	}
	if (!own->has_namespaces && base->has_namespaces) {
		own->has_namespaces = true;
		own->namespaces = base->namespaces;
		own->namespaces_at = base->namespaces_at;
	}
	if (own->network == NETWORK_UNSET) {
		own->network = base->network;
		own->network_at = base->network_at;
	}
	for (size_t i = 0; i < base->plugins.n; i++)
		if (!strv_has(&own->plugins, base->plugins.items[i]))
			strv_add(&own->plugins, base->plugins.items[i]);
	for (size_t i = 0; i < base->plugin_args.n; i++) {
		const char *arg = base->plugin_args.items[i];

		if (!sets(&own->plugin_args, arg, strcspn(arg, "=")))
			strv_add(&own->plugin_args, arg);
	}
}

void policy_inherit(struct policy *policy)
{
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		if (policy->settings.limits[i].is_set)
			policy->settings.limits[i].file = policy->name;
	for (size_t i = 0; i < policy->settings.n_paths; i++)
		policy->settings.paths[i].file = policy->name;
	for (size_t i = 0; i < policy->settings.n_ports; i++)
		policy->settings.ports[i].file = policy->name;
	for (size_t i = 0; i < policy->n_bases; i++) {
		struct policy *base = &policy->bases[i];

		inherit_settings(&policy->settings, &base->settings);
		add_all(&policy->warnings, &base->warnings);
		strv_deinit(&base->warnings);
		base->warnings = (struct strv){0};
	}
}

bool policy_has_fallback(const struct policy *policy)
{
	bool has = policy->fallback.kind != POLICY_UNSET;

	for (size_t i = 0; !has && i < policy->n_bases; i++)
		has = policy_has_fallback(&policy->bases[i]);
	return has;
}
