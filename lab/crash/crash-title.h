/*
 * crash-title.h - what a report is called: title, other titles, signature. Pure.
 */
#ifndef LAB_CRASH_TITLE_H
#define LAB_CRASH_TITLE_H

#include "lab/crash/crash-table.h"
#include "lab/crash/crash.h"

/* What one report's lines gave. */
struct crash_report {
	const struct crash_header *header;
	struct crash_span star[CRASH_STARS]; /* of the header's pattern */
	const char *first_line;		     /* without prefix */
	const char *access;		     /* "Read", "Write" or "" */
	const char *guilty;		     /* "": none */
};

/* Fills title, alternatives, type, signature, guilty and first_line of *ret, which is empty. */
void crash_title_make(const struct crash_report *r, struct crash *ret);

#endif
