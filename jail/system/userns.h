/*
 * userns.h - id maps of a user namespace, and who to be inside.
 */
#ifndef JAIL_SYSTEM_USERNS_H
#define JAIL_SYSTEM_USERNS_H

#include <stdbool.h>
#include <sys/types.h>

#include "jail/base/err.h"

/*
 * For the parent: write the maps (the kernel's text) of the process pid, which has just created a
 * user namespace. The text says which map, and what an ordinary user may map.
 */
int userns_write_maps(pid_t pid, const char *uid_map, const char *gid_map, bool deny_setgroups,
		      struct err *err);

/*
 * For the child, once the maps are written: become these ids, without supplementary groups where
 * the namespace lets us drop them. Capabilities stay.
 */
int userns_become(uid_t uid, gid_t gid, bool setgroups_denied, struct err *err);

#endif
