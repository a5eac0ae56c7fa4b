/*
 * unshare.h - enter new namespaces, and set what belongs to a fresh one.
 *
 * Errors say the reason only, with what to do about it: the caller names the step.
 */
#ifndef JAIL_SYSTEM_UNSHARE_H
#define JAIL_SYSTEM_UNSHARE_H

#include "jail/base/err.h"
#include "jail/plan/namespace.h"

int unshare_one(const struct ns_kind *kind, struct err *err);
/* Offsets of a time namespace that nobody has entered yet, in the text of timens_offsets. */
int unshare_set_clocks(const char *offsets, struct err *err);
int unshare_set_hostname(const char *name, struct err *err);
int unshare_loopback_up(struct err *err);

#endif
