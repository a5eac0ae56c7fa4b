/*
 * run.h - one run from plan to evidence: machines in parallel, a result for each cell.
 *
 * The run's folder is made first and filled as things happen, so that whatever ends lab leaves what
 * was collected. Only one run at a time in a process (the cancel flag is the process's).
 */
#ifndef LAB_RUN_H
#define LAB_RUN_H

#include "lab/crash/known.h"
#include "lab/machine/accel.h"
#include "lab/machine/dump.h"
#include "lab/run/plan.h"
#include "lab/run/result.h"

struct run_options {
	unsigned int jobs;	 /* machines at once; 0: one for each processor, at most 8 */
	int64_t timeout_ms;	 /* replaces every scenario's; 0: theirs */
	const char *out;	 /* the run's folder; NULL: a new one below RESULTS_DIR */
	const char *connect;	 /* libvirt URI; NULL: the embedded driver */
	int64_t boot_timeout_ms; /* start of a machine to its agent's first word; 0: default */
	enum accel_want accel;
	bool offline;
	enum dump_form dump;
	unsigned int dump_on;	  /* enum dump_on; 0: nothing is dumped */
	uint64_t max_dump_bytes;  /* of all dumps of the run */
	struct known_list *known; /* crashes that are noted only; NULL: none */
	bool record;  /* each machine is recorded (replay/record.h); accel is ACCEL_TCG */
	bool nokaslr; /* kernels stay where they were linked */
	const struct job_debug *debug; /* of the plan's cell, which is the only one; or NULL */
};

/* What the front end is told; calls never overlap. */
struct run_events {
	void *data;
	kernel_progress_fn fetch;
	/* Under which accelerator guests of arch run. */
	void (*accel)(void *data, enum arch arch, const char *why);
	/* Slot (0..jobs-1) is doing what with a cell; cell NULL: idle. */
	void (*phase)(void *data, unsigned int slot, const struct cell *cell, const char *what);
	void (*done)(void *data, const struct cell *cell, const struct result *result);
};

/* End the run soon; async-signal-safe. */
void run_cancel(void);
bool run_cancelled(void);
/* For what takes it as a flag (kernel.h): not zero once it is cancelled. */
const volatile int *run_cancel_flag(void);

struct run;

/*
 * Begin connecting to libvirt in the background (it takes a while; kernels can be resolved
 * meanwhile). options and events must outlive the run.
 */
int run_begin(const struct run_options *options, const struct run_events *events, struct run **ret,
	      struct err *err);

/*
 * Run the plan. command is the argv to keep in run.json. Returns 0 when every cell has a result or
 * the run was cancelled; *dir is the run's folder (allocated; also set when cells were lost).
 * -EEXIST: options->out holds a run already. -ENOSPC: no room for evidence; what is there stays.
 * Another: this host lacks what machines need, nothing was started.
 */
int run_execute(struct run *run, const struct plan *plan, char *const *command, char **dir,
		struct err *err);
void run_end(struct run *run); /* NULL is fine */

#endif
