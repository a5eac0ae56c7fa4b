/*
 * progress.h - what a run is doing, on stderr: a live display on a terminal, plain lines otherwise.
 */
#ifndef LAB_PROGRESS_H
#define LAB_PROGRESS_H

#include "lab/run/run.h"

struct progress;

/* total cells, jobs slots. The events of *ret_events go to the display. quiet: says nothing. */
struct progress *progress_start(bool quiet, struct run_events *ret_events);
/* The plan is known: cells are counted from here on. */
void progress_plan(struct progress *p, size_t total);
/* Remove the display; from here on events print nothing: the terminal is somebody else's. */
void progress_silence(struct progress *p);
/* The same, and free p: no events come any more. NULL is fine. */
void progress_stop(struct progress *p);

/*
 * For commands that only fetch or build (lab kernel pull): the same bar, of bytes or of the objects
 * of a kernel; data is a struct progress.
 */
void progress_fetch(void *data, const char *what, uint64_t done, uint64_t total);
void progress_build(void *data, const char *what, uint64_t done, uint64_t total);

#endif
