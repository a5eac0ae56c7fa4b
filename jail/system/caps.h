/*
 * caps.h - capabilities: names to a mask, and dropping the others. The only module that uses
 * libcap.
 */
#ifndef JAIL_SYSTEM_CAPS_H
#define JAIL_SYSTEM_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "jail/base/err.h"

/*
 * "none", "all", or names with or without CAP_, separated by commas. *all is set for "all". Returns
 * 0 or -EINVAL (the text names the unknown one).
 */
int caps_parse(const char *list, uint64_t *mask, bool *all, struct err *err);

/* The mask of those that this process has in effect. */
uint64_t caps_held(void);

/* -EPERM, naming one, when a capability of mask is not held. */
int caps_check_held(uint64_t mask, struct err *err);

/*
 * For the child: keep those of mask, or with all every one held, in all sets that survive execve;
 * drop the rest, from the bounding set too. no_new_privs must be set: without CAP_SETPCAP the
 * bounding set stays, and only no_new_privs makes that harmless. Allocates nothing.
 */
int caps_apply(uint64_t mask, bool all, struct err *err);

/* Drop all but these from what is in effect, for a helper process that does not exec. */
int caps_reduce(uint64_t mask, struct err *err);

#endif
