/*
 * mountinfo.h - read /proc/PID/mountinfo: text in, mount points out.
 *
 * Pure, allocates nothing: the text is changed in place. Lines that a kernel would not write are
 * -EINVAL.
 */
#ifndef JAIL_PLAN_MOUNTINFO_H
#define JAIL_PLAN_MOUNTINFO_H

#include <stdbool.h>

/*
 * Take one line off *cursor; *ret is its mount point, unescaped, in the caller's text. Returns 1, 0
 * at the end, -EINVAL. Several mounts may lie on one point: which of them a path leads to cannot be
 * told from here.
 */
int mountinfo_next(char **cursor, const char **ret);
/* Whether point is dir or lies below it. */
bool mountinfo_is_below(const char *point, const char *dir);

#endif
