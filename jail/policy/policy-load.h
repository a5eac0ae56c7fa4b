/*
 * policy-load.h - from a name to a policy with all that it extends.
 *
 * A name without '/' that is a built-in profile is that profile; anything else is a file, those
 * that a file extends being relative to its folder. The format (jail's own, an OCI profile,
 * Backend.AI Jail's) is seen from the content. A policy that cannot be read stops the start: it
 * never falls back to another.
 */
#ifndef JAIL_POLICY_POLICY_LOAD_H
#define JAIL_POLICY_POLICY_LOAD_H

#include "jail/policy/policy.h"

enum { POLICY_EXTENDS_DEPTH_MAX = 8, POLICY_EXTENDS_MAX = 64 };

/*
 * Read the policy and all that it extends, inherit the settings, and check that something says what
 * happens to a call without a rule. Returns 0, or a negative errno (err says name:line:column; in a
 * cycle of extends, the whole way round). *ret is written only on success. Its warnings are those
 * of all files.
 */
int policy_load(const char *name, struct policy *ret, struct err *err);
/* The same without what it extends: for tools that look at one file. */
int policy_load_one(const char *name, struct policy *ret, struct err *err);
/* The same for text that is already there; extends are relative to the present folder. */
int policy_load_text(const char *name, const char *text, size_t len, struct policy *ret,
		     struct err *err);

/* The built-in profiles' names, and the text of one (NULL when there is none of that name). */
extern const char *const policy_builtin_names[];
extern const size_t policy_builtin_count;
const char *policy_builtin_text(const char *name);

#endif
