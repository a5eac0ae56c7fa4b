/*
 * crash-line.h - the lines of a kernel's log, whoever brought it: a serial console, records of
 * /dev/kmsg, dmesg.
 *
 * Pure; the text is untrusted: any bytes, any length of line, in linear time and no memory.
 */
#ifndef LAB_CRASH_LINE_H
#define LAB_CRASH_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CRASH_LINE_MAX = 512,
	CRASH_CONTEXT_MAX = 12,
	CRASH_LINE_LOOK = 4096, /* printk's are shorter; what is longer counts as several */
};

struct crash_line {
	size_t start;	  /* offset of the line, prefix and all */
	const char *text; /* behind the prefix, without the end of the line */
	size_t len;
	const char *stamp; /* "1.234567" within the prefix; NULL: it had no time */
	size_t stamp_len;
	char context[CRASH_CONTEXT_MAX]; /* "T123", "C0" of CONFIG_PRINTK_CALLER; "" without */
	bool kernel;			 /* has printk's prefix */
	bool user; /* user space wrote it to /dev/kmsg, where that can be seen */
};

/*
 * The line at data[*at]; *at moves behind it. A prefix in the middle of a line begins another one:
 * the end of the line before got lost. Returns false at the end.
 */
bool crash_line_next(const char *data, size_t len, size_t *at, struct crash_line *ret);

/* The text as a string for the classifier: cut to CRASH_LINE_MAX, NULs are '?'. */
void crash_line_copy(const struct crash_line *line, char ret[CRASH_LINE_MAX]);

#endif
