/*
 * settings.h - what a policy says besides its rules becomes part of what the command line asks for.
 *
 * Pure.
 */
#ifndef JAIL_PLAN_SETTINGS_H
#define JAIL_PLAN_SETTINGS_H

#include "jail/plan/plan.h"

/* "host", "loopback" or "none". Returns 0 or -EINVAL. */
int network_parse(const char *name, enum policy_network *ret, struct err *err);

/* What the command line says itself. */
struct settings_given {
	bool caps, namespaces, network;
};

/*
 * Put the policy's namespaces, network, capabilities, environment, limits, paths and ports into
 * spec. The command line wins over the policy's capabilities and network; namespaces add up.
 * A user namespace that comes only of the policy has the caller's ids, not root. env is the
 * caller's environment; vars gets the command's, and spec->envp points into it. The spec points
 * into the policy, too. Returns 0, or -EINVAL (err says where the policy contradicts itself).
 */
int settings_apply(const struct policy *policy, const struct settings_given *given,
		   char *const *env, struct strv *vars, struct jail_spec *spec, struct err *err);

#endif
