/*
 * terminal.h - this process's stdin, stdout and stderr as those of a guest's payload.
 *
 * Between a terminal and a guest with one of its own bytes pass unchanged both ways, and the
 * terminal is raw meanwhile: Ctrl-C and Ctrl-Z are the guest's. Ctrl-] twice is ours and ends it.
 * What the guest says goes to the user's terminal as it is, escape sequences too: he asked for it.
 * Otherwise bytes go in from stdin, its end too, and out to stdout and stderr.
 * Never waits, and holds a bounded number of bytes: a side that does not take them has the other
 * one wait. Only one in a process.
 */
#ifndef LAB_TERMINAL_H
#define LAB_TERMINAL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "jail/base/str.h"

enum {
	TERMINAL_FDS = 3,
	TERMINAL_KEY = 0x1d,	    /* Ctrl-] */
	TERMINAL_SHOWN = 256 << 10, /* not yet taken by stdout: the guest's channel waits */
	TERMINAL_PIPED = 256 << 10, /* not yet taken by the guest: stdin waits */
	TERMINAL_TYPED =
		4096 << 10, /* the same of a terminal: Ctrl-] behind a large paste is seen */
};

struct terminal {
	bool tty;	/* a terminal for the payload */
	bool raw;	/* the host's is, now */
	bool in_ended;	/* nothing more to read; */
	bool end_told;	/* and the guest knows */
	bool ended;	/* Ctrl-] twice */
	bool deaf;	/* nobody reads what the guest says */
	int64_t key_ms; /* when the last byte was Ctrl-]; 0: it was none */
	unsigned short rows, columns, told_rows, told_columns;
	int out[2];
	struct buf typed, shown[2];
	size_t taken, written[2]; /* bytes of them that are gone */
};

/* A terminal for the payload if stdin and stdout are one here; closed by terminal_close(). */
void terminal_open(struct terminal *t);
void terminal_close(struct terminal *t);

/* The payload runs: the host's terminal becomes raw. And back; both may be called again. */
void terminal_begin(struct terminal *t);
void terminal_restore(struct terminal *t);

/* What to wait for, TERMINAL_FDS of them, while the payload runs; and what to do then. */
void terminal_poll(const struct terminal *t, struct pollfd *fds);
void terminal_serve(struct terminal *t, const struct pollfd *fds);

/* What the guest said, for stdout (0) or stderr (1). When full, read no more of it for now. */
void terminal_show(struct terminal *t, int which, const void *data, size_t len);
bool terminal_full(const struct terminal *t);
/* Until all that was said is written, or *cancel, or nobody reads it. */
void terminal_drain(struct terminal *t, const volatile int *cancel);

/* Bytes for the guest: at most max, in place until terminal_take(). */
size_t terminal_typed(const struct terminal *t, const char **ret, size_t max);
void terminal_take(struct terminal *t, size_t n);
/* Whether stdin is at its end and all of it was taken, asked until end_told is set. */
bool terminal_at_end(const struct terminal *t);
/* Whether the size is another than the guest was told. */
bool terminal_resized(const struct terminal *t);

#endif
