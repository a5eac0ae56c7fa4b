/*
 * compile.h - from the model to a program for the kernel's filter (classic BPF, seccomp(2)).
 *
 * Pure. The program checks the ABI, finds the call by a search tree over ranges of numbers with the
 * same outcome (the most frequent call's path is the shortest), then compares arguments.
 */
#ifndef JAIL_FILTER_COMPILE_H
#define JAIL_FILTER_COMPILE_H

#include <linux/filter.h>

#include "jail/filter/model.h"

/* Who is asked for a call that the kernel need not decide alone. */
enum filter_mode {
	FILTER_PLAIN, /* nobody: every action is the kernel's; POLICY_NOTIFY is allowed */
	FILTER_COUNT, /* refusals by errno and by killing the process come to jail, which counts
			 and carries them out; POLICY_NOTIFY too */
	FILTER_WATCH, /* every refusal comes to jail, which makes the call: --watch */
	FILTER_EVERYTHING, /* every call comes to jail: --learn */
};

struct filter_options {
	enum filter_mode mode;
	/*
	 * The runtime's own execve, execveat and, but for FILTER_PLAIN, sendmsg (by which it hands
	 * the listener over), and no others, carry this number as their sixth argument (which none
	 * of them has) and are let through, whatever the rules; 0: there is none.
	 */
	uint64_t exec_cookie;
	bool notify_exec, notify_fork; /* allowed calls of these kinds come to jail to be counted */
	/* further calls that come to jail although they are allowed; by number */
	const int *notify_calls;
	size_t n_notify_calls;
	/* calls that, when allowed, stop for a tracer instead (SECCOMP_RET_TRACE); by number */
	const int *trace_calls;
	size_t n_trace_calls;
};

struct filter {
	struct sock_filter *insns; /* owned */
	size_t n;
};
void filter_deinit(struct filter *filter);
DEFINE_CLEANUP(filter, filter_deinit)

/* What the kernel is told for an action (SECCOMP_RET_*); nr is -1 for a call of another ABI. */
uint32_t filter_value(const struct filter_options *options, enum arch arch, int nr,
		      const struct policy_action *action);

/* Returns 0, or -E2BIG when it would have more than BPF_MAXINSNS instructions. */
int filter_compile(const struct filter_model *model, const struct filter_options *options,
		   struct filter *ret, struct err *err);

/* The program as text: one instruction a line, call names and constants as comments. */
void filter_print(const struct filter *filter, enum arch arch, struct buf *out);

#endif
