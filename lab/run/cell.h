/*
 * cell.h - one cell of a run: its image, its machine, what it left, the verdict. What run.c and
 * cell.c share.
 */
#ifndef LAB_CELL_H
#define LAB_CELL_H

#include <pthread.h>

#include "lab/run/cell-dump.h"
#include "lab/run/run.h"

struct run {
	const struct run_options *options;
	const struct run_events *events;
	const struct plan *plan;
	const char *dir;

	pthread_t opener; /* connects to libvirt */
	bool opened;	  /* opener was joined, or */
	bool abandoned;	  /* given up: it may still write to what follows */
	struct virt *virt;
	struct err open_err;
	int open_result;

	pthread_mutex_t lock;  /* events, next, failed, failure */
	pthread_mutex_t build; /* one image or accelerator probe at a time */
	struct dump_budget dumps;
	size_t next; /* cell to take */
	int failed;  /* the host failed: nothing more is started; negative errno */
	struct err failure;
	struct accel accel[ARCH_COUNT];
	int accel_result[ARCH_COUNT]; /* 1: not asked yet */
	struct err accel_err[ARCH_COUNT];
};

struct worker {
	struct run *run;
	unsigned int slot;
	const struct cell *cell;
	pthread_t thread;
	struct cell_dump dump;
};

/* Tell the front end what a worker does; data is the worker. */
void worker_phase(void *data, const char *what);
/* A cell that was not run yet; the caller's. */
struct result cell_result(const struct cell *c);
/*
 * Run the worker's cell with its evidence in dir, and fill *result. Returns 0 however it went,
 * -ENOSPC when the host has no room, -ECANCELED when the run was cancelled.
 */
int cell_run(struct worker *w, const char *dir, struct result *result);

#endif
