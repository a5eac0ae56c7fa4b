/*
 * machine.h - one guest from boot to end: starts it, hands it the job, collects what comes out.
 *
 * The guest is untrusted: every length and total is bounded, file names are checked, and the host
 * never blocks on it. Evidence goes to dir as it arrives: stdout, stderr, strace.log, console.log,
 * dmesg.log, artefacts/.
 */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include "lab/accel.h"
#include "lab/image.h"
#include "lab/outcome.h"
#include "lab/virt.h"

struct job_file {
	const char *path; /* on the host */
	const char *name; /* in the guest's working folder; path_is_inside() */
};

struct job {
	const char *name; /* unique within this process; for the machine's name */
	const struct kernel *kernel;
	const struct image *image;
	bool kvm;
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
	/* Called from the running thread with "booting", "running", …; may be NULL. */
	void (*phase)(void *data, const char *what);
	void *data;
	const volatile int *cancel; /* non-zero: end at once with END_GONE, detail "interrupted" */
};

enum {
	MACHINE_STREAM_LIMIT = 8 << 20,	   /* default stream_limit_bytes */
	MACHINE_ARTEFACT_LIMIT = 64 << 20, /* all artefacts of a job together */
	MACHINE_ARTEFACT_FILES = 1000,
};

/*
 * Run one job in a fresh machine. dirfd/dir: the cell's folder, which exists. Returns 0 with *ret
 * filled (however the guest ended), or a negative errno when the host itself failed (no space left:
 * -ENOSPC; what was collected stays).
 */
int machine_run(struct virt *v, const struct job *job, const char *dir, struct outcome *ret,
		struct err *err);

#endif
