/*
 * namespace.h - the kinds of namespaces, by the names of the command line.
 *
 * Pure. A set of namespaces is a mask of NS_* bits, in the order in which they are entered: the
 * user namespace first, since it gives the right to create the others.
 */
#ifndef JAIL_PLAN_NAMESPACE_H
#define JAIL_PLAN_NAMESPACE_H

#include "jail/base/err.h"
#include "jail/base/str.h"

enum {
	NS_USER = 1 << 0,
	NS_MOUNT = 1 << 1,
	NS_UTS = 1 << 2,
	NS_IPC = 1 << 3,
	NS_NET = 1 << 4,
	NS_CGROUP = 1 << 5,
	NS_PID = 1 << 6,
	NS_TIME = 1 << 7,
};

struct ns_kind {
	unsigned int bit;
	const char *name;   /* "mount" */
	int flag;	    /* CLONE_NEW* */
	const char *config; /* the kernel's option */
	const char *limit;  /* /proc/sys/user/… that bounds their number */
	const char *since;  /* the kernel that brought it */
};

enum { NS_COUNT = 8 };
extern const struct ns_kind ns_kinds[NS_COUNT];

/* "user", "mount", …, "all" → bits, added to *mask. Returns 0 or -EINVAL. */
int ns_parse(const char *name, unsigned int *mask, struct err *err);
/* "user,mount" */
void ns_print(unsigned int mask, struct buf *out);

#endif
