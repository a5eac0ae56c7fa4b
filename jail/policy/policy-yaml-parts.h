/*
 * policy-yaml-parts.h - what the files that read jail's own format share. Not for others.
 */
#ifndef JAIL_POLICY_POLICY_YAML_PARTS_H
#define JAIL_POLICY_POLICY_YAML_PARTS_H

#include "jail/base/yaml.h"
#include "jail/policy/policy.h"

enum {
	POLICY_RULES_MAX = 20000,  /* of one file */
	POLICY_VARIANTS_MAX = 256, /* rules that one entry with lists of values becomes */
};

/* The lists of rules: "allow", "deny", … */
enum { POLICY_LISTS = 7 };
extern const char *const policy_list_names[POLICY_LISTS];
extern const enum policy_kind policy_list_kinds[POLICY_LISTS];

/* "EPERM" or 1..POLICY_ERRNO_MAX. */
int policy_yaml_errno(const struct yaml *y, const struct yaml_node *node, int *ret,
		      struct err *err);
/* The name of a system call; a misspelt one is an error that suggests. */
int policy_yaml_call(const struct yaml *y, const struct yaml_node *node,
		     const struct syscall_def **ret, struct err *err);
/* A list of rules, added to the policy; list is an index into policy_list_names. */
int policy_yaml_rules(const struct yaml *y, const struct yaml_node *node, unsigned int list,
		      const struct policy_when *when, struct policy *policy, struct err *err);
/* Names of capabilities, one or a list, as a mask. */
int policy_yaml_caps(const struct yaml *y, const struct yaml_node *node, const char *what,
		     uint64_t *ret, struct err *err);
/* limits, env, paths, ports, …: those of the file's keys that are no rules. */
int policy_yaml_settings(const struct yaml *y, struct policy *policy, struct err *err);

/* "is no X (did you mean 'near'?)" for an unknown word; near may be NULL, then known is said. */
int policy_yaml_unknown(const struct yaml *y, const struct yaml_node *node, const char *what,
			const char *near, const char *known, struct err *err);
static inline struct policy_pos policy_yaml_pos(const struct yaml_node *node)
{
	return (struct policy_pos){node->line, node->column};
}

#endif
