/*
 * replay.h - a recorded machine runs again: the same instructions, the same console; forwards for a
 * comparison, and to any of its instructions for a debugger, which may then go back.
 */
#ifndef LAB_REPLAY_H
#define LAB_REPLAY_H

#include "lab/kernel/kernel.h"
#include "lab/machine/job.h"
#include "lab/replay/rr-qemu.h"

struct replay_want {
	const char *run_dir; /* short private folder for sockets */
	const volatile int *cancel;
	/* instructions so far, and in all; may be NULL */
	void (*progress)(void *data, int64_t done, int64_t total);
	void *data;
};

struct replay_report {
	int64_t icount;	      /* instructions executed; those after a reset was asked for count
				 as recorded */
	int64_t serial_bytes; /* that the console got */
	int64_t differs;      /* first byte of the console that differs; -1: none */
};

/*
 * Run it from start to end. snapshots: states of the machine are kept on the way, denser towards
 * the end, so that going back takes seconds; when they are there already nothing is run and *ret
 * is what was recorded. -ETIMEDOUT (it got stuck: a damaged log), -EPIPE (QEMU ended: its words),
 * -EINTR, -ESTALE (another QEMU).
 */
int replay_run(const struct recording *rec, const struct replay_want *want, bool snapshots,
	       struct replay_report *ret, struct err *err);

/*
 * Let debuggers attach to it at an instruction, at the farthest ten thousand before the last one:
 * job's callbacks are called as by a run of the cell, with address once it is there (job.h). listen
 * NULL: beside the other sockets. Returns when job->over() says so.
 */
int replay_debug(const struct recording *rec, const struct replay_want *want,
		 const struct kernel *kernel, int64_t icount, const struct job_debug *job,
		 struct err *err);

#endif
