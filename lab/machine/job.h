/*
 * job.h - what one guest is asked to do, and the bounds on what may come out of it. Plain data.
 */
#ifndef LAB_JOB_H
#define LAB_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jail/base/err.h"

#include "lab/machine/dump.h"

struct image;
struct outcome;
struct kernel;
struct terminal;

struct job_file {
	const char *path; /* on the host */
	const char *name; /* in the guest's working folder; path_is_inside() */
};

/*
 * A debugger on the machine. Callbacks come from the running thread.
 */
struct job_debug {
	bool wait_at_start; /* the machine stops at its first instruction */
	bool hold;	    /* the payload waits before its command until a debugger lets go on */
	const char *listen; /* where debuggers attach (relay.h); NULL: beside the other sockets */
	/* The machine is about to be started; a debugger may wait for address meanwhile. */
	int (*starting)(void *data, const char *address, struct err *err);
	/* The guest is where a debugger is waited for: attach at address. */
	int (*ready)(void *data, const char *address, struct err *err);
	/* Asked at least every 50 ms; true: the debugger has ended, so does the machine. */
	bool (*over)(void *data);
	void *data;
};

struct job {
	const char *name; /* unique within this process; for the machine's name */
	const char *what; /* a scenario's name, "shell": for who lists machines */
	const struct kernel *kernel;
	const struct image *image;
	bool kvm;
	bool nokaslr; /* the kernel stays where it was linked */
	unsigned int memory_mib, cpus;
	char *const *argv; /* NULL-terminated */
	char *const *env;  /* NULL-terminated or NULL */
	const struct job_file *files;
	size_t n_files;
	char *const *artefacts; /* NULL-terminated or NULL */
	bool trace;
	int64_t timeout_ms;	     /* of the payload */
	int64_t boot_timeout_ms;     /* start to HELLO; 0: default for the accelerator */
	int64_t no_progress_ms;	     /* nothing on channel and console; 0: default */
	uint64_t stream_limit_bytes; /* each of stdout, stderr, strace, console; 0: default */
	/* Called from the running thread with "booting", "running", "in gdb", and with a terminal
	   "started" (before it becomes raw) and "silent" (no sign of life; it goes on); may be
	   NULL. */
	void (*phase)(void *data, const char *what);
	void *data;
	struct terminal *terminal; /* what the payload reads and writes; NULL: nothing, and files.
				      With one timeout_ms 0 is no limit */
	const struct job_debug *debug; /* NULL: who wants to may attach, nobody waits for it */
	struct dump_policy dump;
	/* The job has ended and its machine is still there: what has become of it, for dump.on.
	   NULL: such a machine is not dumped. */
	enum dump_on (*judge)(void *data, const struct outcome *o);
	/* A dump will probably be taken (once, from the running thread); it is whole, and the
	   machine is being ended meanwhile (from another thread). May be NULL. */
	void (*dumping)(void *data);
	void (*dumped)(void *data, const struct outcome *o);
	bool oops_continue;	    /* an oops does not end the machine */
	const volatile int *cancel; /* non-zero: end at once with END_GONE, detail "interrupted" */
};

enum {
	MACHINE_STREAM_LIMIT = 8 << 20,	   /* default stream_limit_bytes */
	MACHINE_ARTEFACT_LIMIT = 64 << 20, /* all artefacts of a job together */
	MACHINE_ARTEFACT_FILES = 1000,
};

#endif
