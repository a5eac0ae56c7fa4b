/*
 * summary-task.h - for summary.c: tasks as text, with what they belong to and where they are.
 *
 * Everything appended is printable lines.
 */
#ifndef LAB_SUMMARY_TASK_H
#define LAB_SUMMARY_TASK_H

#include "lab/vmcore/lines.h"
#include "lab/vmcore/tasks.h"
#include "lab/vmcore/unwind.h"

struct summary {
	struct buf *out;
	const struct kstate *k;
	const struct ktasks *tasks; /* NULL: they cannot be read */
	struct unwind *unwind;	    /* NULL: no */
	struct lines *lines;	    /* NULL: no source lines */
};

/* "sh, pid 57, uid 0, on CPU 0" */
void summary_task(const struct summary *s, const struct ktask *t);
/* Lines "seccomp" and "namespaces" of the header. */
void summary_task_confinement(const struct summary *s, const struct ktask *t);
/* A line for each frame, at most max, or one that says why there is none. */
void summary_backtrace(const struct summary *s, const struct ktask *t, size_t max);
/* The same from a CPU's registers. */
void summary_backtrace_cpu(const struct summary *s, const struct vmcore_cpu *cpu, size_t max);

#endif
