/*
 * policy-backend-ai.h - policies of Backend.AI Jail, in YAML, as policies.
 *
 * Pure. Its keys: allowed_syscalls, traced_syscalls, whitelist_paths, exec_allowance,
 * fork_allowance, max_child_procs, extra_envs, preserved_env_keys, diff_to_default. What that
 * program listed and never really enforced, and jail does, is a warning each.
 */
#ifndef JAIL_POLICY_POLICY_BACKEND_AI_H
#define JAIL_POLICY_POLICY_BACKEND_AI_H

#include "jail/base/yaml.h"
#include "jail/policy/policy.h"

/*
 * Folders that stay readable and executable (/dev: writable) whatever is listed: without them no
 * interpreter starts.
 */
enum { BACKEND_AI_FOLDERS = 7 };
extern const char *const policy_backend_ai_folders[BACKEND_AI_FOLDERS];

/* Whether the document looks like one: has a key that only this format has. */
bool policy_backend_ai_is(const struct yaml *y);
/* As policy_from_yaml(). diff_to_default makes it extend the built-in profile `compute`. */
int policy_from_backend_ai(const struct yaml *y, struct policy *ret, struct err *err);
/* As policy_print_oci(). */
void policy_print_backend_ai(const struct policy *policy, struct buf *out, struct strv *lost);

#endif
