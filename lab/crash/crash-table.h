/*
 * crash-table.h - lab/data/crash-*.tab: headers of reports, frames that are never guilty, names
 * that mean the same.
 *
 * Pure. The tables are part of the program and parsed once; a line that does not parse is our own
 * mistake (an assertion). Any thread may ask.
 */
#ifndef LAB_CRASH_TABLE_H
#define LAB_CRASH_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum crash_flag {
	CRASH_PANIC = 1 << 0,
	CRASH_OOPS = 1 << 1,
	CRASH_STALL = 1 << 2,
	CRASH_HUNG = 1 << 3,
	CRASH_WARNING = 1 << 4,
	CRASH_INSIDE = 1 << 5, /* may be a line of a report that began before */
	CRASH_NAMES = 1 << 6,  /* and then says better what it is */
	CRASH_ONLY = 1 << 7,   /* is never the first line of one */
	CRASH_SEQUEL = 1 << 8, /* what the kernel does after a report */
	CRASH_ABOUT = 1 << 10, /* may be a line of one whose first line names it */
	CRASH_LOCK = 1 << 9,   /* who asks for the lock is guilty */
};

enum { CRASH_STARS = 4 };

struct crash_span {
	const char *p;
	size_t len;
};

struct crash_header {
	const char *pattern;
	const char *type, *class; /* class: of the signature; may hold %1 */
	const char *title;	  /* the columns are explained in crash-headers.tab */
	unsigned int flags;	  /* enum crash_flag */
};

/*
 * The header that line (without prefix, NUL-terminated) is, or NULL. star: what the pattern's
 * stars stand for, within line; unused ones are empty.
 */
const struct crash_header *crash_header_find(const char *line, struct crash_span star[CRASH_STARS]);

/* Whether any header begins with this byte: false for most lines, at no cost. */
bool crash_header_begins(char c);

/* Frames that are passed over, by kind of report. */
enum crash_skip { CRASH_SKIP_ALWAYS, CRASH_SKIP_STALL, CRASH_SKIP_HUNG, CRASH_SKIP_ANCHOR };
/* Whether function stands in the list. CRASH_SKIP_ANCHOR: is where a stall's walk ends. */
bool crash_frame_listed(const char *function, enum crash_skip list);

/*
 * The name under which a function is known whatever compiled it: in place, without "__x64_sys_"
 * and the like, and without the compiler's suffixes. Returns true when it was a system call's
 * entry.
 */
bool crash_name_normalise(char *function);
/* Another word for the same ("slab-use-after-free": "use-after-free"), or word itself. */
const char *crash_name_same(const char *word);
/* The i-th other title for a class, a template; NULL: there are no more. */
const char *crash_name_other(const char *class, size_t i);

#endif
