/*
 * stats.h - what a filter costs: how many instructions it has, and how many a call runs.
 *
 * Pure.
 */
#ifndef JAIL_INSPECT_STATS_H
#define JAIL_INSPECT_STATS_H

#include "jail/filter/compile.h"

struct filter_stats {
	size_t insns;
	unsigned int longest; /* instructions on the longest way through */
	double average;	      /* over all calls of the architecture, each once, arguments 0 */
};

/* The filter must have passed filter_check(). */
void filter_stats(const struct filter *filter, enum arch arch, struct filter_stats *ret);

#endif
