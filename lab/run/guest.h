/*
 * guest.h - one guest without a scenario: a command in it, with a terminal of ours before it.
 */
#ifndef LAB_GUEST_H
#define LAB_GUEST_H

#include "lab/machine/accel.h"
#include "lab/machine/job.h"
#include "lab/machine/terminal.h"
#include "lab/scenario/outcome.h"

struct guest_options {
	const struct kernel *kernel;
	const struct strv *packages;
	unsigned int memory_mib;
	enum accel_want accel;
	const char *connect; /* libvirt URI; NULL: the embedded driver */
	bool offline, nokaslr;
	char *const *argv; /* NULL-terminated */
	char *const *env;  /* NULL-terminated */
	const char *out;   /* folder for the evidence, made when needed; NULL: none is kept, but
			      for that of a guest that crashed */
	struct terminal *terminal;
	kernel_progress_fn fetch; /* while packages are fetched and the image is built */
	/* "booting" with the accelerator, "started" with the machine's name for 'lab vm', "silent"
	   with it again: job.h says when. */
	void (*phase)(void *data, const char *what, const char *detail);
	void *data;
	const volatile int *cancel;
};

/*
 * Boot it, run argv to its end. Returns 0 with *ret filled however it ended (the caller releases it
 * in any case; *kept, NULL before, is the folder with the dump of a guest that crashed, allocated),
 * or a negative errno: the host lacks something, -EINVAL (a package that is not
 * pinned), -EEXIST (out holds something already).
 */
int guest_run(const struct guest_options *options, struct outcome *ret, char **kept,
	      struct err *err);

#endif
