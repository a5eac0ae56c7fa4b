/*
 * qmp.h - a small client of QEMU's monitor (QMP), for machines that libvirt does not start.
 *
 * Nothing here waits longer than QMP_MS. What QEMU says is bounded.
 */
#ifndef LAB_QMP_H
#define LAB_QMP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { QMP_MS = 60000 }; /* a snapshot of a large guest on a slow disk */

struct qmp {
	int fd;
	struct buf in;
	unsigned int stops; /* how often it was told that the guest stopped */
	bool off;	    /* the guest powered off, or was reset */
	bool ended;	    /* QEMU is gone, or did not answer in time */
};

/* Connect as soon as QEMU listens on path; *cancel (may be NULL) non-zero ends the wait: -EINTR. */
int qmp_connect(struct qmp *q, const char *path, const volatile int *cancel, struct err *err);
void qmp_close(struct qmp *q);

/*
 * Run a command; arguments is consumed, or NULL. *ret (may be NULL) is what it returned, the
 * caller's. -EPROTO: QEMU refused, the text is its own; -EPIPE: it is gone; -ETIMEDOUT.
 */
int qmp_command(struct qmp *q, const char *command, json_t *arguments, json_t **ret,
		struct err *err);
/* A command of the human monitor; its output is appended to out (NULL: not wanted). */
int qmp_monitor(struct qmp *q, const char *command, struct buf *out, struct err *err);
/* How many instructions were executed so far (record and replay). */
int qmp_icount(struct qmp *q, int64_t *ret, struct err *err);
/* Take in events that come within timeout_ms. Returns 0 or a negative errno. */
int qmp_wait(struct qmp *q, int timeout_ms, struct err *err);

#endif
