/*
 * cap-names.h - capabilities by name, as capabilities(7) has them.
 *
 * Pure: a table up to Linux 5.9's CAP_CHECKPOINT_RESTORE, the last one so far.
 */
#ifndef JAIL_POLICY_CAP_NAMES_H
#define JAIL_POLICY_CAP_NAMES_H

enum { CAP_NAMES_COUNT = 41 };

/* The number of a name with or without CAP_, in either case: "CAP_SYS_ADMIN", "sys_admin"; -1. */
int cap_name_find(const char *name);
/* "SYS_ADMIN", without CAP_; cap is below CAP_NAMES_COUNT. */
const char *cap_name(int cap);
/* The known name nearest to a misspelt one, without CAP_, or NULL. */
const char *cap_name_suggest(const char *name);

#endif
