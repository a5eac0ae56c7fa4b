/*
 * outcome.h - how one cell went, before anybody judges it.
 */
#ifndef LAB_OUTCOME_H
#define LAB_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "jail/base/str.h"
#include "lab/crash/crash.h"
#include "lab/machine/dump.h"

enum ending {
	END_EXITED,  /* the payload ended: exit_code or signal */
	END_TIMEOUT, /* the payload passed its time; the agent killed it: the guest lives */
	END_PANIC,   /* the guest's kernel panicked */
	END_OOPS,    /* it killed what ran, and the scenario does not go on after that */
	END_REBOOT,  /* it started anew: a reboot that nobody asked for, or a triple fault */
	END_HUNG,    /* no progress on channel and console, or the absolute limit */
	END_GONE,    /* QEMU died or the machine powered off in mid-run */
	END_NO_BOOT, /* the agent never said HELLO */
	END_BROKEN,  /* the guest broke the protocol, or the agent or host failed */
};

struct stream {
	uint64_t seen, kept; /* bytes; seen > kept: bounded */
};

struct outcome {
	enum ending ending;
	int exit_code; /* -1 unless END_EXITED by exit */
	int signal;    /* 0 unless ended by one */
	struct stream out, err, trace, console;
	char *detail;	   /* one printable line for anything but END_EXITED; NULL: none */
	struct strv notes; /* printable lines: what was bounded or refused */
	bool lives;	   /* the guest ran on after a report of its own end on the console: that
			      was a program's text */
	struct dump_done dump;
	struct crash hang; /* of a machine that hung: what its dump says; no title: nothing */
	char *release;	   /* what the guest said of itself; untrusted, made printable */
	int64_t boot_ms, run_ms, total_ms; /* start to HELLO; JOB to EXIT; all. -1: never got there
					    */
	int64_t ended; /* when (io_now_ms()) what ended it began: a panic's first line, say;
			  0: not known */
};

void outcome_deinit(struct outcome *o);
/*
 * It ends so, unless it is *over, which it is then. detail is taken over; NULL: what was noted as
 * such stays.
 */
void outcome_end(struct outcome *o, bool *over, enum ending ending, char *detail);
DEFINE_CLEANUP(outcome, outcome_deinit)

#endif
