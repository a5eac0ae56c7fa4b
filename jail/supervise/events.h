/*
 * events.h - what happens during a run, as it happens: lines for people, and JSON lines.
 *
 * A JSON line is an object: "event" (start, refused, watched, call, signal, limit, exit), "time" in
 * seconds since 1970, and what belongs to it; docs/jail.1 has them. A reader that is slow or gone
 * never stops jail: a line that finds no room for EVENTS_WAIT_MS is dropped and counted ("lost", in
 * the line that follows). A descriptor that fails, or took half a line, is given up.
 */
#ifndef JAIL_SUPERVISE_EVENTS_H
#define JAIL_SUPERVISE_EVENTS_H

#include "jail/base/json.h"

enum { EVENTS_WAIT_MS = 1000 };

struct events {
	/* not owned; -1: nobody wants them */
	int show_fd;	       /* lines for people */
	int log_fd, status_fd; /* JSON: both get every line */
	bool is_show_stuck, is_log_stuck, is_status_stuck;
	uint64_t lost;
	int log_error; /* the errno for which the log was given up */
};

static inline bool events_are_logged(const struct events *e)
{
	return e->log_fd >= 0 || e->status_fd >= 0;
}

/* Begin the object of an event: the caller adds members (json.h), and events_end() writes it. */
void events_begin(struct buf *object, const char *event);
void events_end(struct events *e, struct buf *object);
/* The time of day, "12:01:02.345 ", as a line for people begins. */
void events_add_time(struct buf *line);
/* Write a line (without its \n) for people. */
void events_show(struct events *e, struct buf *line);

#endif
