/*
 * policy.h - seccomp policies: text in, rules out. docs/jail-policy.5 is the format.
 *
 * Pure but for policy_parse_file(). Input is untrusted; the limits are those of yaml.h. Every
 * mistake is name:line:column: text, and an unknown system call comes with the nearest known name.
 * A call that only another architecture has is not a mistake: a policy is portable. Ownership:
 * policy_parse() fills *ret, the caller releases it with policy_deinit().
 */
#ifndef JAIL_POLICY_H
#define JAIL_POLICY_H

#include <stddef.h>

#include "jail/base/cleanup.h"
#include "jail/base/err.h"
#include "jail/base/str.h"
#include "jail/syscalls.h"

enum policy_kind {
	POLICY_ALLOW,
	POLICY_LOG,   /* allowed, and written to the kernel's log */
	POLICY_ERRNO, /* refused: the call fails with error */
	POLICY_KILL,  /* the whole process dies by SIGSYS */
};

struct policy_action {
	enum policy_kind kind;
	int error; /* POLICY_ERRNO only: positive errno */
};

struct policy_rule {
	const struct syscall_def *call;
	struct policy_action action;
	unsigned int line, column; /* where the policy says so */
};

struct policy {
	char *name;		       /* as given to policy_parse() */
	struct policy_action fallback; /* for every call that no rule names */
	struct policy_rule *rules;
	size_t n;
};

/*
 * Parse one policy. name is used in messages only. Returns 0, or -EINVAL, -E2BIG (err says
 * name:line:column and what was expected). *ret is written only on success.
 */
int policy_parse(const char *name, const char *text, size_t len, struct policy *ret,
		 struct err *err);
/* The same for a file; path is the name in messages. Returns also what reading gave. */
int policy_parse_file(const char *path, struct policy *ret, struct err *err);
void policy_deinit(struct policy *policy);
DEFINE_CLEANUP(policy, policy_deinit)

/* "allow", "log", "errno EPERM", "kill": appends to out. */
void policy_action_print(const struct policy_action *action, struct buf *out);

#endif
