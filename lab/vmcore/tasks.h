/*
 * tasks.h - the tasks in a dump.
 */
#ifndef LAB_TASKS_H
#define LAB_TASKS_H

#include "lab/vmcore/kstate.h"

enum { KTASKS_MAX = 32768, KTASK_COMM = 32 };

struct ktask {
	uint64_t address;	    /* of its task_struct */
	uint64_t stack, stack_size; /* lowest address, bytes; 0: not known */
	uint64_t pc, sp, fp;	    /* where a sleeping task goes on; 0 for one that runs */
	int pid, tgid;
	int cpu;	       /* that it runs on; -1: it does not run */
	char comm[KTASK_COMM]; /* printable */
	char state;	       /* as ps(1): R S D T t Z X I */
	bool kernel_thread;
	int seccomp; /* SECCOMP_MODE_*; -1: not known */
	uint32_t uid;
};

struct ktasks {
	struct ktask *items; /* the idle tasks first, then by pid */
	size_t n;
	bool cut; /* the list was damaged or too long */
};
/* -ENODATA: this kernel's types or its init_task are not known. */
int ktasks_read(const struct kstate *k, struct ktasks *ret, struct err *err);
void ktasks_deinit(struct ktasks *t);
DEFINE_CLEANUP(ktasks, ktasks_deinit)
/* The task that runs on a CPU, or NULL. */
const struct ktask *ktasks_on_cpu(const struct ktasks *t, int cpu);
/*
 * The task whose kernel panicked or oopsed: that of the CPU whose registers and stack are in the
 * panic path, else CPU 0's.
 */
const struct ktask *ktasks_panicked(const struct kstate *k, const struct ktasks *t);
/* The task that the last report in a log's text names. comm is printable. */
bool ktasks_named_in(const char *text, size_t len, int *pid, char comm[KTASK_COMM]);
/* The task of "INFO: task COMM:PID blocked …". */
bool ktasks_blocked_in(const char *line, int *pid, char comm[KTASK_COMM]);
/* NULL: there is none of that number and name (any more). */
const struct ktask *ktasks_find(const struct ktasks *t, int pid, const char *comm);

#endif
