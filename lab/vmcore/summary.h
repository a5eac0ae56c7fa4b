/*
 * summary.h - vmcore.txt: what a dump says, for a person.
 */
#ifndef LAB_SUMMARY_H
#define LAB_SUMMARY_H

#include "lab/crash/crash.h"
#include "lab/vmcore/kstate.h"

/* What is the same for every dump of a kernel. */
struct summary_kernel {
	struct kstate k;
	struct lines *lines; /* NULL: no source lines */
	int result;	     /* of kstate_load(), with err */
	struct err err;
};
/*
 * kernel: the one that ran, which must live longer; vmlinux, if it is one with DWARF, gives source
 * lines; or NULL. What cannot be read summary_write() says.
 */
void summary_prepare(const struct kernel *kernel, const char *vmlinux, struct summary_kernel *ret);
void summary_kernel_deinit(struct summary_kernel *s);
DEFINE_CLEANUP(summary_kernel, summary_kernel_deinit)

/*
 * Read the dump and append its summary to out: kernel and build id, slide, uptime, panicking task
 * with its backtrace, its namespaces and seccomp mode, registers, all CPUs, tasks in D state,
 * modules, memory totals, the log. What cannot be read is a line that says so; only a dump that
 * cannot be opened, or is another kernel's, is an error (as vmcore_open(), kstate_open()).
 * Everything in it is printable. s is used up.
 *
 * log gets the kernel's log (as vmcore_log() has it), also when there is no summary; empty: it
 * cannot be read.
 * hang, if not NULL: the machine hung, and *hang (empty) becomes what that is called, by the log's
 * report of its NMI or by where its processors are. No title: nothing of the kernel is guilty.
 * answers: its agent still did, and ended a payload that was late; then only a process of the
 * payload's that it could not end has a place to name, what the idle kernel did meanwhile has none.
 */
int summary_write(const char *vmcore, struct summary_kernel *s, struct crash *hang, bool answers,
		  struct buf *log, struct buf *out, struct err *err);

#endif
