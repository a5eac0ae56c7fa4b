/*
 * landlock.h - the paths and TCP ports that a policy lists, and nothing else: landlock(7).
 *
 * The kernel's rights for what a policy says (write: every change of a file's content or of a
 * folder's, and ioctls on devices; execute includes reading, as the kernel reads what it runs).
 * What the running kernel cannot enforce of that is an error, or with best_effort left out: the
 * ABI says which rights it has.
 */
#ifndef JAIL_SYSTEM_LANDLOCK_H
#define JAIL_SYSTEM_LANDLOCK_H

#include "jail/policy/policy.h"

enum { LANDLOCK_PATHS = 1, LANDLOCK_PORTS = 2 };

enum { LANDLOCK_TEXT_MAX = 240 };
/*
 * Whether a kernel with this ABI (from 1; -ENOSYS: it has none; -EOPNOTSUPP: not switched on)
 * cannot enforce all of what (LANDLOCK_*); then text says what not, and what it needs. Pure, and
 * allocates nothing.
 */
bool landlock_missing(int abi, unsigned int what, char text[LANDLOCK_TEXT_MAX]);

/*
 * Compare a policy with the running kernel before anything is started. Returns 0, or -EOPNOTSUPP
 * (err says where in the policy, what is missing and what to do). With best-effort a line for each
 * thing goes to notes instead.
 */
int landlock_check(const struct policy *policy, struct strv *notes, struct err *err);

/* --- for the child: allocates nothing; errors say the reason only --- */

/*
 * Begin a ruleset that forbids all of what. Returns its descriptor; with best_effort, when the
 * kernel can enforce nothing of it, -ENOENT: there is nothing to do.
 */
int landlock_begin(unsigned int what, bool best_effort, struct err *err);
/* A path and all below it; rights are PATH_*. Returns -ENOENT when it is not there. */
int landlock_allow_path(int ruleset, const char *path, unsigned int rights, struct err *err);
/* rights are PORT_*. */
int landlock_allow_port(int ruleset, uint16_t port, unsigned int rights, struct err *err);
/* Enforce the ruleset on this process and all it starts; no_new_privs must be set. */
int landlock_restrict(int ruleset, struct err *err);

#endif
