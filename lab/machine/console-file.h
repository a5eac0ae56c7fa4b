/*
 * console-file.h - the file of a guest's serial console, watched and bounded.
 *
 * QEMU appends without a limit; a guest may flood it. Beyond the limit the middle is given back to
 * the file system as it grows (a hole), and at the end the file is cut to its head and its tail.
 * Where a daemon starts QEMU its virtlogd would rotate the file: there QEMU speaks to a socket, and
 * head and tail are written here.
 */
#ifndef LAB_CONSOLE_FILE_H
#define LAB_CONSOLE_FILE_H

#include <stdbool.h>

#include "jail/base/err.h"
#include "jail/base/str.h"
#include "lab/crash/crash.h"
#include "lab/scenario/outcome.h"

enum { CONSOLE_TAIL = 64 << 10 }; /* of a flooded console: kept besides the head */

struct console_file {
	int fd, socket;		     /* socket: -1 when QEMU writes the file itself */
	uint64_t limit, size, freed; /* freed: where the hole ends */
	struct buf tail;	     /* the last bytes, for messages and panics */
	struct crash_watch watch;    /* what the text tells of */
	bool unbounded;		     /* over the limit, and this file system has no holes */
};

/* Create dir/console.log anew; QEMU is to open it for appending. */
int console_file_open(struct console_file *c, const char *dir, uint64_t limit, struct err *err);
/* Take the console from a socket on which QEMU listens. */
int console_file_connect(struct console_file *c, const char *path, struct err *err);
/* Look at what is new. Returns the bytes that came, or a negative errno. */
ssize_t console_file_poll(struct console_file *c, struct err *err);
/* The last line that is not blank, printable, allocated; NULL: the console is empty. */
char *console_file_last_line(const struct console_file *c);
/* "TEXT; the console ends: LINE"; takes text over. */
char *console_file_behind(const struct console_file *c, char *text);
/* The line of a panic, printable, allocated. */
char *console_file_panic_line(const struct console_file *c);
/* Take away what lies behind from, and append it to ret. Nobody writes to the file any more. */
int console_file_split(struct console_file *c, uint64_t from, struct buf *ret, struct err *err);
/* QEMU is gone: cut the file to its limit, say so in it, and fill *ret. */
int console_file_finish(struct console_file *c, struct stream *ret, struct err *err);
void console_file_close(struct console_file *c);

#endif
