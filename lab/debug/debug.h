/*
 * debug.h - a gdb beside a run of one cell: started while the guest boots, attached when the
 * payload is about to run, and the machine ends with it.
 *
 * gdb has this process's terminal. While it lives SIGINT is for gdb and the guest it debugs, not
 * for lab, unless it works through scripts; the terminal's modes are put back after it, however it
 * ended. All calls from one thread.
 */
#ifndef LAB_DEBUG_H
#define LAB_DEBUG_H

#include "lab/debug/gdb.h"
#include "lab/machine/job.h"

struct debug_options {
	struct gdb_how how; /* address is filled in here */
	bool wait_at_start;
	const char *listen; /* for debuggers from elsewhere: none is started; or NULL */
	const volatile int *cancel;
	void *data; /* of what follows */
	/* gdb gets the terminal now. */
	void (*foreground)(void *data);
	/* With listen: debuggers may attach at address. */
	void (*listening)(void *data, const char *address);
};

/*
 * Whether the kernel has what each of breaks ("FUNC" or "FUNC:COND", NULL-terminated or NULL)
 * names, before anything boots. kernel ("6.1 amd64") is for messages. -EINVAL (the text suggests
 * the nearest name), or why the symbols cannot be read. With full symbols a function that is only
 * inlined passes: gdb knows where. *notes gets a line for each name that several functions have.
 */
int debug_check_breaks(const struct symbols *symbols, const char *kernel, char *const *breaks,
		       struct strv *notes, struct err *err);

struct debug;

/*
 * Find the gdb (errors as gdb_find()) and fill *job, for run_options.debug. kernel, symbols and
 * options must outlive *ret.
 */
int debug_create(const struct kernel *kernel, const struct symbols *symbols,
		 const struct debug_options *options, struct debug **ret, struct job_debug *job,
		 struct err *err);

enum debug_end {
	DEBUG_NOT_STARTED, /* no debugger was */
	DEBUG_GUEST_FIRST, /* the guest came to its end by itself */
	DEBUG_LEFT,	   /* the debugger's end was the guest's */
};
/*
 * After the run: wait until gdb has ended (a person may still look at what it has), or end it when
 * it waits for a guest that never came, or is cancelled. *exit_code is gdb's, 128+n for a signal.
 */
enum debug_end debug_finish(struct debug *d, int *exit_code);
void debug_destroy(struct debug *d); /* NULL is fine */

#endif
