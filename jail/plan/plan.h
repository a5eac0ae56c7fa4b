/*
 * plan.h - what the command line asks for becomes a list of set-up steps.
 *
 * Pure: the plan is made and printed without privileges and without touching the system. Steps are
 * applied (apply.h) from first to last; STEP_FORK and STEP_INIT continue in a child.
 * Ownership: plan_make() fills *ret, the caller releases it with plan_deinit(); the plan copies
 * everything but argv.
 */
#ifndef JAIL_PLAN_PLAN_H
#define JAIL_PLAN_PLAN_H

#include <stdint.h>
#include <sys/types.h>

#include "jail/base/err.h"
#include "jail/base/str.h"
#include "jail/plan/step.h"

/*
 * What the user asked for, on the command line and by the policy (settings.h), and what the plan
 * must know about who asks.
 */
struct jail_spec {
	unsigned int namespaces;      /* NS_* */
	struct strv uid_map, gid_map; /* INSIDE:OUTSIDE:COUNT */
	const char *root; /* NULL: the present root, or a new one when there is ro or rw */
	struct strv ro, rw;
	const char *hostname;
	int64_t boottime_s, monotonic_s;
	const char *cwd;     /* NULL: the present one when the new root has it, else / */
	bool no_init;	     /* the command itself is PID 1 of a pid namespace */
	uint64_t caps;	     /* bits of the capabilities that the command keeps */
	bool caps_are_all;   /* every capability held: caps is ignored */
	const char *policy;  /* file, named in the plan only; NULL: no filter */
	char **argv, **envp; /* envp NULL: the caller's, not shown */
	bool keep_ids;	     /* a user namespace has the caller's ids, not root */
	enum policy_network network;
	bool wants_usage;		 /* a cgroup that says what was used, if one can be had */
	const struct policy *limited_by; /* paths, ports and limits become steps; NULL: none */

	const char *present_cwd; /* absolute */
	uid_t uid;
	gid_t gid;
	bool may_set_ids; /* CAP_SETUID and CAP_SETGID here */
	bool may_admin;	  /* CAP_SYS_ADMIN: namespaces without a user namespace */
};

/*
 * Make the plan. Options that need a namespace bring it along; a caller without CAP_SYS_ADMIN gets
 * a user namespace with any other. Returns 0, or -EINVAL (err says which option, or where in the
 * policy, and why). *ret is written only on success.
 */
int plan_make(const struct jail_spec *spec, struct plan *ret, struct err *err);
/*
 * One numbered line for each step, then the limits and the names of the environment; or a JSON
 * object, "schema": 1 (limits: bytes, milliseconds, thousandths of a processor). Appends to out.
 */
void plan_print(const struct plan *plan, struct buf *out);
void plan_print_json(const struct plan *plan, struct buf *out);

#endif
