/*
 * simulate.h - run a filter on a system call without a kernel.
 *
 * Pure. Knows the instructions that the kernel's seccomp_check_filter() lets through
 * (kernel/seccomp.c) and refuses every other, and every jump or load that leads out.
 */
#ifndef JAIL_FILTER_SIMULATE_H
#define JAIL_FILTER_SIMULATE_H

#include <linux/seccomp.h>

#include "jail/filter/compile.h"

/* -EINVAL: the kernel would not load it, err says which instruction and why. */
int filter_check(const struct filter *filter, struct err *err);
/*
 * Run a checked program. Returns its value (SECCOMP_RET_*); *steps, unless NULL, is how many
 * instructions ran.
 */
uint32_t filter_simulate(const struct filter *filter, const struct seccomp_data *data,
			 unsigned int *steps);

#endif
