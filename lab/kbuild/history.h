/*
 * history.h - how long builds took on this machine: cache_dir("builds")/NAME-ARCH.history, two
 * numbers. A file that is not right counts as none.
 */
#ifndef LAB_HISTORY_H
#define LAB_HISTORY_H

#include "jail/base/arch.h"

/* What the last whole build of it took, in seconds, and how many objects it made; 0: never built.
 */
struct kbuild_history {
	unsigned int seconds, objects;
};
void kbuild_history(const char *name, enum arch arch, struct kbuild_history *ret);

/* How many objects a build of it will make: as last time, or as a similar one, or a guess. */
unsigned int history_expect(const char *name, enum arch arch);
/* Failing to write it is no error. */
void history_write(const char *name, enum arch arch, const struct kbuild_history *h);

/* What an unfinished build in obj has made so far; zeroes: none, or it was finished. */
void history_read_part(const char *obj, struct kbuild_history *ret);
/* NULL: it is finished. */
void history_write_part(const char *obj, const struct kbuild_history *h);

#endif
