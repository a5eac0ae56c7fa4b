/*
 * groups.h - system calls that belong together: by what they do (@file-read), and as a family of
 * calls that do the same on different architectures and kernels (open, openat, openat2).
 *
 * Pure: tables.
 */
#ifndef JAIL_POLICY_GROUPS_H
#define JAIL_POLICY_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "jail/policy/syscalls.h"

struct call_group {
	const char *name; /* "@file-read" */
	const char *summary;
	const char *const *calls; /* ends with NULL; all known to syscall_find() */
};

extern const struct call_group call_groups[];
extern const size_t call_group_count;
/* name with its @. NULL: there is none; groups_suggest() has the nearest name, or NULL. */
const struct call_group *group_find(const char *name);
const char *group_suggest(const char *name);

/*
 * What stands for a call on an architecture that lacks it: open → openat, fork → clone. mask and
 * value: only when (first argument & mask) == value, so that fork does not become every clone; mask
 * 0: always. NULL when the architecture has the call, or nothing stands for it.
 */
struct call_equivalent {
	const char *call, *instead;
	unsigned char arg;
	uint64_t mask, value;
};
const struct call_equivalent *call_equivalent(const struct syscall_def *call, enum arch arch);

/*
 * The name of the family that a call belongs to ("open" for open, openat and openat2; "stat";
 * "fork" for fork, vfork, clone, clone3), or its own name. Families' members: family_calls(), ended
 * by NULL; NULL when the name is no family.
 */
const char *call_family(const char *call);
const char *const *family_calls(const char *family);

#endif
