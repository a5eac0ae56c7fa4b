/*
 * rr-qemu.h - a QEMU that records or replays, started by lab itself.
 *
 * A child of this process that ends with it, however that goes (guardian.h). libvirt is not used:
 * docs/architecture.md says why.
 */
#ifndef LAB_RR_QEMU_H
#define LAB_RR_QEMU_H

#include <sys/types.h>

#include "lab/replay/qmp.h"
#include "lab/replay/recording.h"

struct rr_qemu {
	pid_t pid; /* 0: none */
	struct qmp qmp;
	char *serial;	  /* the file its console is appended to */
	char *stub, *log; /* socket of its debug stub; what it said */
	char *monitor;
};

struct rr_how {
	bool replay;		    /* else it records */
	bool paused;		    /* stands before its first instruction */
	const char *run_dir, *name; /* sockets are run_dir/NAME.*, short */
	const volatile int *cancel;
};

/*
 * Record: all of r but what tells of the end is known, and its files are there. -ENOENT: no such
 * QEMU; -ESTALE: another version than the one that recorded.
 */
int rr_qemu_start(struct rr_qemu *q, const struct recording *r, const struct rr_how *how,
		  struct err *err);
/* Whether it has ended by itself. */
bool rr_qemu_gone(struct rr_qemu *q);
/* The last line that it said; allocated, printable, or NULL. */
char *rr_qemu_last_words(const struct rr_qemu *q);
/* End it: in order, so that a recording is whole; killed when it does not within 20 s. */
void rr_qemu_end(struct rr_qemu *q);
DEFINE_CLEANUP(rr_qemu, rr_qemu_end)

#endif
