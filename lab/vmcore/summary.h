/*
 * summary.h - vmcore.txt: what a dump says, for a person.
 */
#ifndef LAB_SUMMARY_H
#define LAB_SUMMARY_H

#include "lab/crash/crash.h"
#include "lab/kernel/kernel.h"

/*
 * Read the dump and append its summary to out: kernel and build id, slide, uptime, panicking task
 * with its backtrace, its namespaces and seccomp mode, registers, all CPUs, tasks in D state,
 * modules, memory totals, the log. kernel: the one that ran; its vmlinux, if it has one with DWARF
 * (vmlinux, or NULL), gives source lines. What cannot be read is a line that says so; only a dump
 * that cannot be opened, or is another kernel's, is an error (as vmcore_open(), kstate_open()).
 * Everything in it is printable.
 *
 * hang, if not NULL: the machine hung, and *hang (empty) becomes what that is called, by the log's
 * report of its NMI or by where its processors are. No title: nothing of the kernel is guilty.
 * answers: its agent still did, and ended a payload that was late; then only a process of the
 * payload's that it could not end has a place to name, what the idle kernel did meanwhile has none.
 */
int summary_write(const char *vmcore, const struct kernel *kernel, const char *vmlinux,
		  struct crash *hang, bool answers, struct buf *out, struct err *err);

#endif
