/*
 * console.h - a kernel's console: is there a crash in it, and what is it called?
 *
 * Pure. The text is untrusted. Recognises the headers of kernel reports (BUG:, WARNING:, Oops,
 * Kernel panic, general protection fault, Unable to handle kernel, KASAN, UBSAN, INFO: … stall,
 * "Internal error:", …) with the traps listed in docs (ODEBUG:, user-space faults), and names the
 * report by kind and by the first frame that is not the reporting machinery.
 */
#ifndef LAB_CONSOLE_H
#define LAB_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

struct crash {
	char *title; /* "kernel panic: sysrq triggered crash", "WARNING in foo"; printable */
	bool fatal;  /* the machine cannot go on: an oops, or a panic here or later in the text */
	bool stall;  /* a report of time: hung task, RCU stall, lockup */
	size_t offset, len; /* of the report within the text */
};

/* The first report. Returns true and fills *ret (title is the caller's), or false. */
bool console_find_crash(const char *text, size_t len, struct crash *ret);

/* Whether text says that the panic's printing is over ("end Kernel panic") or is a panic at all. */
bool console_has_panic(const char *text, size_t len);

#endif
