/*
 * unwind.h - the calls on a kernel stack in a dump.
 *
 * amd64: by ORC, of the image and of modules (their own tables in the dump's memory), or where the
 * kernel was built without by frame pointers, as arm64. Both go through exceptions and interrupts
 * (struct pt_regs on the stack), and from IRQ and exception stacks back to the task's. Where
 * neither leads on, return addresses that lie on the stack are given as guesses (reliable false),
 * as the kernel's own "? f+0x1/0x2" are.
 */
#ifndef LAB_UNWIND_H
#define LAB_UNWIND_H

#include "lab/vmcore/kstate.h"

enum { UNWIND_MAX = 128 };

struct kframe {
	uint64_t address; /* of the instruction that runs, or that is returned to */
	bool reliable;
	bool exact;	  /* it runs there, or was interrupted there: not a return, which belongs
			     to the call before it (a line or name of it: address - 1) */
	bool interrupted; /* by an exception or an interrupt, which the frames before it handle */
	bool user;	  /* where user space goes on, or was interrupted; the last one */
	bool outermost;	  /* nothing called this one: the stack was followed to its end */
};

struct unwind;
/* k must live longer. Works without types and without ORC, by guesses. */
int unwind_open(const struct kstate *k, struct unwind **ret, struct err *err);
void unwind_close(struct unwind *u);
/*
 * Frames from the innermost on, at most max; returns how many. pc and sp of a CPU of the dump stand
 * for all its registers; others are those of a task that sleeps, whose pc is a return address.
 */
size_t unwind_stack(struct unwind *u, uint64_t pc, uint64_t sp, uint64_t fp, struct kframe *ret,
		    size_t max);

#endif
