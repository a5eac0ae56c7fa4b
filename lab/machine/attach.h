/*
 * attach.h - the debugger's side of one machine: its relay, and what waits for a debugger.
 *
 * Without job->debug gdbs may attach from the start on, and nobody waits for them. With it the
 * place where they attach appears when the guest is where one is waited for, so that who waits for
 * the place comes at the right time; but a place that the user chose is taken before the machine
 * starts, so that one that is in use is no boot's cost.
 */
#ifndef LAB_ATTACH_H
#define LAB_ATTACH_H

#include <pthread.h>

#include "lab/debug/relay.h"
#include "lab/machine/job.h"
#include "lab/machine/virt.h"

struct attach {
	const struct job *job;
	char *place; /* for relay_start() */
	char *stub;  /* QEMU's own socket */
	struct relay *relay;
	enum {
		WAIT_NOTHING, /* the guest goes on by itself */
		WAIT_START,   /* stands at its first instruction */
		WAIT_HELD,    /* its payload does not go on by itself */
	} wait;
	bool was_held;
	bool told_panic;
	unsigned int resumed;	      /* as it began to wait */
	pthread_mutex_t lock;	      /* of machine and over, which the relay's thread looks at */
	struct virt_machine *machine; /* NULL: not started yet, or gone */
	bool over;
};

/* Before the machine starts. run_dir: virt_run_dir(). Errors as relay_start(). */
int attach_open(struct attach *a, const struct job *job, const char *run_dir, struct err *err);
/* It has started (paused, with wait_at_start). */
int attach_machine(struct attach *a, struct virt_machine *m, struct err *err);
/* Where gdbs attach, now or later. */
const char *attach_place(const struct attach *a);
int attach_event_fd(const struct attach *a); /* becomes readable; -1: nothing to wait for yet */

/*
 * Look at what has changed. running: the payload was started (and is held, if it is to be). Returns
 * 1 when it is to go on, 0, or a negative errno.
 */
int attach_advance(struct attach *a, bool running, struct err *err);
/* Who debugs has time: a client is attached, or one is waited for. */
bool attach_stands(const struct attach *a);
/* Why the machine is to end, as far as debuggers go; NULL: it is not. */
const char *attach_end(const struct attach *a);
/* The kernel has panicked: a client that waits for its guest gets control, once. */
void attach_panic(struct attach *a);

/* The payload has ended, and the machine is about to: for a client that waits for its guest. */
void attach_ended(struct attach *a);
/* Nobody may attach any more. The machine is dead already, or goes on for who was attached. */
void attach_close(struct attach *a);

#endif
