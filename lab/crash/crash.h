/*
 * crash.h - the reports in a kernel's log: what each is called, and which are the same bug.
 *
 * Pure. What a report looks like, which frames are never guilty and which names mean the same are
 * tables: lab/data/crash-*.tab, one line per pattern, embedded in the program. The text is
 * untrusted: any bytes, any length of line; the time is linear in it.
 */
#ifndef LAB_CRASH_H
#define LAB_CRASH_H

#include <stdbool.h>
#include <stddef.h>

#include "jail/base/str.h"

enum { CRASH_MAX = 64 }; /* reports of one text; later ones are passed over */

struct crash {
	char *title;		  /* "KASAN: slab-use-after-free Read in f"; printable */
	struct strv alternatives; /* other titles of the same bug: "bad-access in f" */
	char *type;	  /* of the tables: "panic", "oops", "kasan", "warning", "hung-task" … */
	char *signature;  /* the same for the same bug on another kernel, architecture, compiler */
	char *guilty;	  /* function; NULL: none could be named */
	char *first_line; /* of the report, without the log's prefix; printable */
	bool corrupted;	  /* lost its header's rest or its stack: opens no new bug */
	bool fatal;	  /* the machine cannot go on: a panic, here or later in the text */
	bool oops;	  /* the kernel killed what ran and may go on */
	bool stall;	  /* a report of time: hung task, RCU stall, lockup */
	bool warning;	  /* WARN_ON and its like: `warnings: note` lets it pass */
	size_t offset, len; /* of the report within the text */
};
void crash_deinit(struct crash *c);
struct crash crash_copy(const struct crash *c);
DEFINE_CLEANUP(crash, crash_deinit)

struct crashes {
	struct crash *items; /* in the text's order */
	size_t n;
};

/*
 * text: a serial console, /dev/kmsg records or dmesg. from_kernel: lines that do not have the
 * kernel's prefix ("[    1.234567] ", "6,123,456,-;") are others' and are not looked at, unless no
 * line has one; records of /dev/kmsg that user space wrote (facility not 0) never are.
 */
void crashes_find(const char *text, size_t len, bool from_kernel, struct crashes *ret);
void crashes_deinit(struct crashes *c);
DEFINE_CLEANUP(crashes, crashes_deinit)

/*
 * The one that names the cell: the first that is not followed by a better one of the same event
 * (the panic that an oops became does not rename it). A stall that the kernel survived, as guests
 * do on a busy host, gives way to another report that a panic followed. NULL: n is 0.
 */
const struct crash *crashes_main(const struct crashes *c);

#define CRASH_TYPE_HANG "hang"
/*
 * A machine that hangs and says nothing: stack is what its processor is in, from the innermost
 * frame on, as the kernel prints them ("f+0x1/0x2 [module]"). Returns false, and leaves *ret, when
 * nothing in it is guilty: it idles, or is in user space.
 */
bool crash_of_hang(const struct strv *stack, struct crash *ret);

/*
 * A log that is still being written, in pieces of any size: what matters to who watches the
 * machine.
 */
struct crash_watch {
	bool panic;	 /* a panic has begun */
	bool panic_over; /* and been printed to its end */
	bool oops;	 /* an oops has begun (a report that sets crash.oops) */
	bool oops_over;	 /* and been printed to its end ("---[ end trace") */
	bool boots;	 /* the kernel's first lines came a second time */
	bool at_banner;	 /* private, as all below: one boot's were seen */
	long long last_us;
	size_t n;
	char line[512];
};
void crash_watch_feed(struct crash_watch *w, const char *data, size_t len);

#endif
