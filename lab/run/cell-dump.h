/*
 * cell-dump.h - what becomes of a cell's dump: read in a thread of its own, beside what else there
 * is to do. What the kernel's image says is made ready from a report's first line on; and while the
 * machine is ended, the dump is read.
 */
#ifndef LAB_CELL_DUMP_H
#define LAB_CELL_DUMP_H

#include <pthread.h>
#include <semaphore.h>

#include "lab/kernel/kernel.h"
#include "lab/scenario/outcome.h"

struct cell_dump {
	const struct kernel *kernel; /* the caller sets these two, which live longer */
	const char *dir;
	bool started; /* what follows is cell-dump.c's */
	pthread_t thread;
	sem_t decided;	 /* whether there is a dump */
	sem_t read;	 /* it has been, if there is one */
	bool there;	 /* the answer */
	bool hung, late; /* the machine did; or its payload did not end in time */
	enum dump_form form;
	struct crash hang;
	struct buf log;
	struct strv notes;
};

/* For struct job's dumping and dumped. */
void cell_dump_begin(struct cell_dump *d);
void cell_dump_ready(struct cell_dump *d, const struct outcome *o);
/*
 * Once the machine is gone, in any case: wait for what was begun. Then dir/vmcore.txt is written;
 * an ELF file has the kernel's mapping; dir/dmesg.log has the rest of the log, if the guest
 * crashed; o->hang says what hung. Source lines come from what is on this disk: nothing is fetched.
 * What fails becomes a note of o; without a dump nothing is done.
 */
void cell_dump_finish(struct cell_dump *d, struct outcome *o);
/* After that: ends the thread, which may still be giving its memory back. */
void cell_dump_deinit(struct cell_dump *d);

#endif
