/*
 * explain.h - what happens to one call, and why, for people.
 *
 * Pure.
 */
#ifndef JAIL_INSPECT_EXPLAIN_H
#define JAIL_INSPECT_EXPLAIN_H

#include "jail/filter/model.h"

struct explain_query {
	const struct syscall_def *call; /* as it was asked for */
	uint64_t args[6];
	unsigned int given; /* bits 1 << argument */
};

/*
 * Append lines: the action, the rule that gives it (or, when that depends on arguments that are not
 * given, those that may, in their order), what else speaks of the call and why it does not count,
 * what the program gets, the call's family.
 */
void explain_print(const struct filter_model *model, const struct explain_query *query,
		   struct buf *out);
/* The same as one JSON object and a newline. */
void explain_print_json(const struct filter_model *model, const struct explain_query *query,
			struct buf *out);

#endif
