#include <string.h>

#include "jail/policy/policy-merge-parts.h"

/* The largest; none when one has none. */
static void merge_limit(const struct policy *policies, size_t n, enum policy_limit limit,
			struct policy_settings *ret, struct strv *notes)
{
	size_t limited = 0;

	for (size_t i = 0; i < n; i++) {
		const struct policy_settings *s = &policies[i].settings;

		if (!s->limits[limit].is_set || s->limits[limit].is_unlimited)
			continue;
		if (limited++ && s->limits[limit].value != ret->limits[limit].value)
			strv_addf(notes, "limits: %s: they differ: the largest",
				  policy_limit_name(limit));
		if (s->limits[limit].value >= ret->limits[limit].value)
			ret->limits[limit] = s->limits[limit];
	}
	if (limited == n || !limited)
		return;
	strv_addf(notes, "limits: %s: none, since not all have one", policy_limit_name(limit));
	memset(&ret->limits[limit], 0, sizeof(ret->limits[limit]));
}

static void add_missing(struct strv *to, const struct strv *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (!strv_has(to, from->items[i]))
			strv_add(to, from->items[i]);
}

/* NAME=VALUE; of two values the first stays. */
static void add_values(struct strv *to, const struct strv *from, const char *what,
		       struct strv *notes)
{
	for (size_t i = 0; i < from->n; i++) {
		const char *entry = from->items[i];
		const size_t len = strcspn(entry, "=") + 1;
		size_t k = 0;

		while (k < to->n && strncmp(to->items[k], entry, len))
			k++;
		if (k == to->n)
			strv_add(to, entry);
		else if (!str_eq(to->items[k], entry))
			strv_addf(notes, "%s: %.*s: they differ: the first", what, (int)len - 1,
				  entry);
	}
}

static void merge_env(const struct policy *policies, size_t n, struct policy_settings *ret,
		      struct strv *notes)
{
	bool all_keep_few = true;

	for (size_t i = 0; i < n; i++) {
		const struct policy_settings *s = &policies[i].settings;

		all_keep_few &= s->env.has_preserve && s->env.preserve_all != TRI_YES;
		add_values(&ret->env.set, &s->env.set, "env: set", notes);
	}
	ret->env.has_preserve = all_keep_few;
	ret->env.preserve_all = all_keep_few ? TRI_NO : TRI_UNSET;
	for (size_t i = 0; i < n && all_keep_few; i++)
		add_missing(&ret->env.preserve, &policies[i].settings.env.preserve);
	for (size_t i = 0; i < policies[0].settings.env.unset.n; i++) {
		const char *name = policies[0].settings.env.unset.items[i];
		size_t in = 1;

		while (in < n && strv_has(&policies[in].settings.env.unset, name))
			in++;
		if (in == n)
			strv_add(&ret->env.unset, name);
	}
}

static void add_path(struct policy_settings *ret, const struct policy_path *path)
{
	for (size_t i = 0; i < ret->n_paths; i++) {
		if (str_eq(ret->paths[i].path, path->path)) {
			ret->paths[i].rights |= path->rights;
			return;
		}
	}
	ret->paths = xreallocarray(ret->paths, ret->n_paths + 1, sizeof(*ret->paths));
	ret->paths[ret->n_paths++] =
		(struct policy_path){.path = xstrdup(path->path), .rights = path->rights};
}

static void add_port(struct policy_settings *ret, const struct policy_port *port)
{
	for (size_t i = 0; i < ret->n_ports; i++) {
		if (ret->ports[i].port == port->port) {
			ret->ports[i].rights |= port->rights;
			return;
		}
	}
	ret->ports = xreallocarray(ret->ports, ret->n_ports + 1, sizeof(*ret->ports));
	ret->ports[ret->n_ports++] =
		(struct policy_port){.port = port->port, .rights = port->rights};
}

static void merge_landlock(const struct policy *policies, size_t n, struct policy_settings *ret,
			   struct strv *notes)
{
	size_t with_paths = 0, with_ports = 0;

	for (size_t i = 0; i < n; i++) {
		with_paths += policies[i].settings.has_paths;
		with_ports += policies[i].settings.has_ports;
	}
	ret->has_paths = with_paths == n;
	ret->has_ports = with_ports == n;
	if (with_paths && !ret->has_paths)
		strv_add(notes, "paths: not limited, since not all limit them");
	if (with_ports && !ret->has_ports)
		strv_add(notes, "ports: not limited, since not all limit them");
	for (size_t i = 0; i < n; i++) {
		const struct policy_settings *s = &policies[i].settings;

		for (size_t k = 0; ret->has_paths && k < s->n_paths; k++)
			add_path(ret, &s->paths[k]);
		for (size_t k = 0; ret->has_ports && k < s->n_ports; k++)
			add_port(ret, &s->ports[k]);
	}
}

static void merge_isolation(const struct policy *policies, size_t n, struct policy_settings *ret,
			    struct strv *notes)
{
	/* from the mildest */
	static const enum policy_network networks[] = {NETWORK_UNSET, NETWORK_HOST,
						       NETWORK_LOOPBACK, NETWORK_NONE};
	unsigned int common = ~0U, any = 0;
	size_t mildest = array_len(networks) - 1;
	bool differ = false;

	for (size_t i = 0; i < n; i++) {
		const struct policy_settings *s = &policies[i].settings;

		ret->has_caps |= s->has_caps;
		ret->caps_are_all |= s->caps_are_all;
		ret->caps |= s->caps;
		ret->has_namespaces |= s->has_namespaces;
		common &= s->namespaces;
		any |= s->namespaces;
		differ |= s->network != policies[0].settings.network;
		for (size_t k = 0; k < mildest; k++)
			if (networks[k] == s->network)
				mildest = k;
		if (s->best_effort == TRI_YES)
			ret->best_effort = TRI_YES;
		add_missing(&ret->plugins, &s->plugins);
		add_values(&ret->plugin_args, &s->plugin_args, "plugins", notes);
	}
	ret->namespaces = common;
	ret->has_namespaces &= common != 0;
	ret->network = networks[mildest];
	if (any != common)
		strv_add(notes, "namespaces: they differ: those that all have");
	if (differ)
		strv_add(notes, "network: they differ: the mildest");
}

void policy_merge_settings(const struct policy *policies, size_t n, struct policy_settings *ret,
			   struct strv *notes)
{
	for (int limit = 0; limit < LIMIT_COUNT; limit++)
		merge_limit(policies, n, limit, ret, notes);
	merge_env(policies, n, ret, notes);
	merge_landlock(policies, n, ret, notes);
	merge_isolation(policies, n, ret, notes);
}
