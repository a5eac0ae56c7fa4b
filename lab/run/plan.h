/*
 * plan.h - which cells a run is made of.
 *
 * Pure. A target is one kernel on one architecture; a cell is one scenario on one target (once for
 * each repetition). Cells come target by target, scenarios in the order given.
 */
#ifndef LAB_PLAN_H
#define LAB_PLAN_H

#include <jansson.h>

#include "lab/kernel/kernel.h"
#include "lab/scenario/scenario.h"

struct cell {
	const struct scenario *scenario;
	const struct kernel *kernel;
	unsigned int repeat; /* from 1 */
	char *dir;  /* below the run's folder: "6.1-amd64/userns/overlay", with "@2" from the second
		       repetition on */
	char *skip; /* why it is not run, or NULL */
};

struct plan {
	struct cell *cells;
	size_t n;
};

/* Kernels and scenarios must outlive the plan. Two scenarios of one name are the caller's mistake.
 */
void plan_build(const struct kernel *kernels, size_t n_kernels, const struct scenario *scenarios,
		size_t n_scenarios, unsigned int repeat, struct plan *ret);
void plan_deinit(struct plan *p);
DEFINE_CLEANUP(plan, plan_deinit)

/* What is expected of a scenario on this kernel, or NULL: the first entry whose when holds. */
const struct expect *plan_expectation(const struct scenario *s, const struct kernel *k);

/* The plan as `--dry-run` prints it; a new reference. */
json_t *plan_json(const struct plan *p);

#endif
