/*
 * mountinfo.h - read /proc/PID/mountinfo: text in, mount points and flags out.
 *
 * Pure, allocates nothing: the text is changed in place. Lines that a kernel would not write are
 * -EINVAL.
 */
#ifndef JAIL_MOUNTINFO_H
#define JAIL_MOUNTINFO_H

#include <stdbool.h>

struct mountinfo {
	char *point;	     /* unescaped; in the caller's text */
	unsigned long flags; /* MS_*: the mount's own, not the file system's */
};

/* Take one line off *cursor. Returns 1, 0 at the end, -EINVAL. */
int mountinfo_next(char **cursor, struct mountinfo *ret);
/* Whether point is dir or lies below it. */
bool mountinfo_is_below(const char *point, const char *dir);

#endif
