/*
 * supervisor.h - what is done with the calls that a filter hands to jail.
 *
 * A decision looks at registers only, never at the memory of the program, which may change
 * meanwhile; its text is for people.
 */
#ifndef JAIL_RUN_SUPERVISOR_H
#define JAIL_RUN_SUPERVISOR_H

#include "jail/filter/model.h"
#include "jail/learn/learn.h"
#include "jail/learn/refusals.h"
#include "jail/supervise/events.h"
#include "jail/supervise/notify.h"
#include "jail/supervise/plugins.h"
#include "jail/supervise/procmem.h"
#include "jail/supervise/tracer.h"

enum supervisor_mode {
	SUPERVISE_ENFORCE, /* do what the policy says, and count what is refused */
	SUPERVISE_WATCH,   /* make every call, show those that would be refused */
	SUPERVISE_LEARN,   /* make every call, and remember it */
};

#define SUPERVISOR_INIT                                       \
	{                                                     \
		.notify = {.fd = -1}, .procmem = PROCMEM_INIT \
	}
struct supervisor {
	/* set by the caller, who owns all of them */
	enum supervisor_mode mode;
	bool shows_refused, shows_all; /* lines for people */
	const struct filter_model *model;
	struct refusals *refusals; /* ENFORCE, WATCH */
	struct learn *learn;	   /* LEARN */
	struct events *events;
	uint64_t exec_limit, fork_limit; /* UINT64_MAX: none */
	struct plugins *plugins;	 /* asked about what the policy allows; NULL: none */

	/* filled in by supervisor_start() and meanwhile */
	struct notify notify; /* fd -1: no listener, now or any more */
	struct procmem procmem;
	int exec_nrs[2], fork_nrs[4];
	pid_t command; /* in jail's pid namespace */
	bool has_killed_command;
	const char *killed_by; /* the plugin that wanted it; NULL: the policy did */
	bool is_asking;	       /* a plugin, about the call that notify holds */
	uint64_t execs, forks; /* calls let through, when the filter hands them over */
	uint64_t other_abi;    /* LEARN: calls by another ABI, which no policy can allow */
	bool is_exec_over, is_fork_over; /* a limit was hit */
};

/*
 * Take a listener over, whether it succeeds or not. command: the process that sent it. Returns 0 or
 * a negative errno.
 */
int supervisor_start(struct supervisor *s, int listener, pid_t command, struct err *err);
/* For plugins and tracer: calls that a tracer sees are decided in the same way. */
struct tracer_watcher supervisor_watcher(struct supervisor *s);
int64_t supervisor_read(void *supervisor, int thread, uint64_t address, void *to, size_t size);
/* Answer one call; when poll(2) says that there is one. Returns 0, or a negative errno. */
int supervisor_handle(struct supervisor *s, struct err *err);
void supervisor_deinit(struct supervisor *s);
DEFINE_CLEANUP(supervisor, supervisor_deinit)

#endif
