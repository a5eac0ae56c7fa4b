/*
 * output.h - stdout and stderr of a sandbox that may write only so much.
 *
 * The command writes to pipes, and a process of jail's own, the copier, hands on what comes to
 * jail's stdout and stderr. Past the limit it tells jail and closes the pipes. It may block when
 * nobody reads what jail prints; jail itself never does. Where both lead to one file, so do the
 * pipes: the order is kept.
 */
#ifndef JAIL_SYSTEM_OUTPUT_H
#define JAIL_SYSTEM_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "jail/base/cleanup.h"
#include "jail/base/err.h"

struct output {
	int out_fd, err_fd; /* for the command; -1: it has jail's own */
	int event_fd;	    /* becomes readable when the limit is passed, or all is copied */
	pid_t pid;	    /* the copier */
	bool is_over_limit; /* after output_over_limit() or output_finish() */
};
#define OUTPUT_INIT                                        \
	{                                                  \
		.out_fd = -1, .err_fd = -1, .event_fd = -1 \
	}

/* Start a copier for at most limit bytes, both streams together. *ret only on success. */
int output_start(uint64_t limit, struct output *ret, struct err *err);
/* For the child: its stdout and stderr become the pipes. Allocates nothing. */
int output_use(const struct output *output, struct err *err);
/* Once the command has them: jail's own ends of the pipes would keep them open. */
void output_started(struct output *output);
/* Whether the limit has been passed; does not wait. */
bool output_over_limit(struct output *output);
/*
 * When all who may write have ended: wait until everything is copied. A signal that would end jail
 * (INT, TERM, HUP, QUIT; blocked) ends the copier instead: then nobody may be reading.
 */
void output_finish(struct output *output);
/* Ends the copier, when it still runs. */
void output_deinit(struct output *output);
DEFINE_CLEANUP(output, output_deinit)

#endif
