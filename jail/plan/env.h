/*
 * env.h - the environment of the command: what a policy keeps of the caller's, sets and removes.
 *
 * Pure.
 */
#ifndef JAIL_PLAN_ENV_H
#define JAIL_PLAN_ENV_H

#include "jail/policy/policy.h"

/*
 * The variables for the command, added to ret (whose items are then an envp), in the order of
 * `from`, then those that are set. Without `preserve` every variable is kept; `unset` removes from
 * what is kept; `set` replaces, and wins over `unset`. An entry without '=' is left out.
 */
void env_make(const struct policy_settings *settings, char *const *from, struct strv *ret);
/* The value of a variable, or NULL. */
const char *env_get(char *const *env, const char *name);
/* Where commands are searched: PATH, or what a shell takes without one. */
const char *env_search_path(char *const *env);

#endif
