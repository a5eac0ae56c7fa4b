/*
 * syscalls.h - the names of system calls and their numbers on each architecture.
 *
 * Pure: a table (syscall-table.inc, written by scripts/update-syscalls) that also holds names that
 * only other architectures have, and names newer than libseccomp.
 */
#ifndef JAIL_POLICY_SYSCALLS_H
#define JAIL_POLICY_SYSCALLS_H

#include "jail/base/arch.h"
#include "jail/base/kver.h"

struct syscall_def {
	const char *name;
	int nr[ARCH_COUNT]; /* -1: this architecture has no such call */
	struct kver since;  /* the kernel that brought it; {0}: 3.0 or before */
};

/* NULL when no architecture has a call of this name. The entry lives for ever. */
const struct syscall_def *syscall_find(const char *name);
/* The call of a number, NULL when the architecture has none (or it is too new). */
const struct syscall_def *syscall_by_nr(enum arch arch, int nr);
/* All calls in the order of their names, for those who look for something else: index < count. */
extern const size_t syscall_count;
const struct syscall_def *syscall_at(size_t index);
/* The name of a call by its number, NULL when the architecture has none (or it is too new). */
const char *syscall_name(enum arch arch, int nr);
/* The known name nearest to a misspelled one, or NULL. */
const char *syscall_suggest(const char *name);

#endif
