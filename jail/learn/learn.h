/*
 * learn.h - calls that were seen become the smallest policy that would have sufficed.
 *
 * Pure.
 */
#ifndef JAIL_LEARN_LEARN_H
#define JAIL_LEARN_LEARN_H

#include "jail/filter/model.h"

struct learn; /* what was seen */
struct learn *learn_create(void);
void learn_destroy(struct learn *learn);

/* One call. A number without a name is kept too, and said by learn_finish(). */
void learn_add(struct learn *learn, enum arch arch, int nr, const uint64_t args[6]);
/* The same for a call that is known, several times. */
void learn_add_call(struct learn *learn, const struct syscall_def *call, const uint64_t args[6],
		    uint64_t count);
/* The same by name, without arguments: lists, strace logs. -ENOENT: no such call. */
int learn_add_name(struct learn *learn, const char *name, uint64_t count);
/* What an earlier run had learned: its rules with their counts. */
void learn_add_policy(struct learn *learn, const struct policy *policy);

/*
 * The policy: families and not one architecture's names, arguments where call-args.h says that they
 * are learned (no more than LEARN_VALUES_MAX different ones, then the call as a whole), counts and
 * frequency. base (may be NULL): the policy extends it by its name and holds only what it refuses.
 * default is {errno: EPERM}. What a person should know is said in notes, a line each: numbers
 * without a name, calls that are left out on purpose.
 */
enum { LEARN_VALUES_MAX = 32 };
void learn_finish(const struct learn *learn, const struct policy *base, struct policy *ret,
		  struct strv *notes);
/*
 * Move what else an earlier file held (settings, summary, fallback, what it extends, …) to the
 * policy that replaces it: people edit learned policies.
 */
void learn_keep(struct policy *earlier, struct policy *ret);

#endif
