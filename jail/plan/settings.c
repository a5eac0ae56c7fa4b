#include "jail/plan/settings.h"

#include "jail/plan/env.h"
#include "jail/plan/namespace.h"

int network_parse(const char *name, enum policy_network *ret, struct err *err)
{
	static const struct {
		const char *name;
		enum policy_network network;
	} kinds[] = {
		{"host", NETWORK_HOST}, {"loopback", NETWORK_LOOPBACK}, {"none", NETWORK_NONE}};

	for (size_t i = 0; i < array_len(kinds); i++) {
		if (str_eq(name, kinds[i].name)) {
			*ret = kinds[i].network;
			return 0;
		}
	}
	return err_set(err, EINVAL, "--network '%.40s': host, loopback or none expected", name);
}

static int apply_network(const struct policy *policy, const struct settings_given *given,
			 struct jail_spec *spec, struct err *err)
{
	const struct policy_settings *s = &policy->settings;

	if (given->network || s->network == NETWORK_UNSET)
		return 0;
	if (s->network == NETWORK_HOST && s->has_namespaces && s->namespaces & NS_NET)
		return err_set(err, EINVAL,
			       "%s:%u:%u: network: host, but namespaces has net: leave one out",
			       policy->name, s->network_at.line, s->network_at.column);
	/* a net namespace asked for by --namespace has lo, unless the policy forbids even that */
	if (s->network != NETWORK_HOST)
		spec->network = s->network;
	return 0;
}

int settings_apply(const struct policy *policy, const struct settings_given *given,
		   char *const *env, struct strv *vars, struct jail_spec *spec, struct err *err)
{
	const struct policy_settings *s = &policy->settings;
	int r = apply_network(policy, given, spec, err);

	if (r < 0)
		return r;
	if (s->has_namespaces)
		spec->namespaces |= s->namespaces;
	spec->keep_ids = !given->namespaces && (spec->namespaces || spec->network == NETWORK_NONE ||
						spec->network == NETWORK_LOOPBACK);
	if (s->has_caps && !given->caps) {
		spec->caps = s->caps;
		spec->caps_are_all = s->caps_are_all;
	}
	env_make(s, env, vars);
	spec->envp = vars->items;
	spec->limited_by = policy;
	return 0;
}
