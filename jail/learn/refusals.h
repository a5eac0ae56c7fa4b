/*
 * refusals.h - what was refused: which calls, how often, by which rule, and the lines to add.
 *
 * Pure.
 */
#ifndef JAIL_LEARN_REFUSALS_H
#define JAIL_LEARN_REFUSALS_H

#include "jail/filter/model.h"

struct refusals; /* bounded: REFUSALS_MAX different ones, then only counted */
enum { REFUSALS_MAX = 512 };
struct refusals *refusals_create(void);
void refusals_destroy(struct refusals *refusals);

/* One refused call. program: the comm of the process, untrusted. */
void refusals_add(struct refusals *refusals, const struct decision *decision, enum arch arch,
		  int nr, const uint64_t args[6], const char *program);
/* How many in all. */
uint64_t refusals_total(const struct refusals *refusals);
/*
 * Whether one of them is more than a call that programs probe and do without (ENOSYS to clone3):
 * when not, and the command did well, there is nothing to tell.
 */
bool refusals_matter(const struct refusals *refusals);
/*
 * The summary for the end of a run, lines that end by \n, to be read by a person: most frequent
 * first; then where to add which lines if that was not meant. Calls that libc probes and has a
 * fallback for (ENOSYS to an unknown call) are named apart, since nothing is lost by them. policy:
 * the one that was run, with all it extends.
 */
void refusals_print(const struct refusals *refusals, const struct policy *policy, struct buf *out);
/* The same as members of a JSON object ("refused": […], "add": […]). */
void refusals_print_json(const struct refusals *refusals, const struct policy *policy,
			 struct buf *out);

#endif
