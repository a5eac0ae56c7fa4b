/*
 * console-frame.h - lines of a kernel's console, and the stack frames in them.
 *
 * Pure; for console.c only. The text is untrusted: lines are cut to CONSOLE_LINE_MAX.
 */
#ifndef LAB_CONSOLE_FRAME_H
#define LAB_CONSOLE_FRAME_H

#include <stdbool.h>
#include <stddef.h>

enum { CONSOLE_LINE_MAX = 512, CONSOLE_FUNCTION_MAX = 128 };

struct console_line {
	char text[CONSOLE_LINE_MAX]; /* without printk's prefix and the end of the line */
	char context[16]; /* "T123", "C0" of CONFIG_PRINTK_CALLER; "" when there is none */
};

/* The line at data[*at]; *at moves behind it. Returns false at the end. */
bool console_next_line(const char *data, size_t len, size_t *at, struct console_line *ret);

/*
 * The function that a line of a report names as the place of the fault ("RIP: 0010:f+0x1/0x2",
 * "pc : f+…") or as a reliable frame of the stack (" f+0x1/0x2 [module]", not " ? f+…"). Suffixes
 * of the compiler (.isra.0, .cold) are removed. Returns false when there is none.
 */
bool console_frame(const char *line, char ret[CONSOLE_FUNCTION_MAX]);

/* Whether function is machinery (of reporting, allocating, copying, locking, scheduling). */
bool console_frame_is_machinery(const char *function);

/* "__x64_sys_read" → "read"; returns function itself when it is not the entry of a system call. */
const char *console_syscall_name(const char *function);

#endif
