/*
 * make.h - run make of a kernel's source, or a script of it: watched, cancellable, read line by
 * line.
 *
 * It runs in a process group of its own that ends with lab, however lab ends: a shell beside it
 * holds a pipe, and when nobody is left at its other end sends SIGTERM (make then removes what it
 * was writing) and 10 seconds later SIGKILL. The environment is clean: PATH, HOME, TMPDIR, what
 * ccache looks at, LC_ALL=C; nothing of an outer make or of kbuild's own variables.
 */
#ifndef LAB_MAKE_H
#define LAB_MAKE_H

#include "jail/base/err.h"
#include "jail/base/str.h"
#include "lab/kbuild/toolchain.h"

enum { MAKE_LINE_MAX = 4096, MAKE_LOG_MAX = 256 << 20 };

struct make_run {
	char *const *argv;
	const char *dir;	    /* it runs there; NULL: here */
	const char *source;	    /* what messages leave out of paths; NULL */
	const char *obj;	    /* while it runs, MAKE_MARK is there; NULL: no mark */
	int log;		    /* a file that it writes to, O_RDWR | O_APPEND; -1: none.
				       A pipe would end make before it has tidied up */
	const char *log_path;	    /* for messages; NULL */
	const volatile int *cancel; /* may be NULL */
	void (*line)(void *data, const char *line); /* may be NULL; at most MAKE_LINE_MAX of one */
	void *data;
};
#define MAKE_MARK ".lab-running" /* in obj; stays when nothing could be tidied up */

/*
 * Returns 0; -EINTR (cancelled: everything it started has ended); -ENOSPC (a disk is full: err says
 * which one, what was made stays); -EFBIG (it said more than MAKE_LOG_MAX);
 * -EIO (it failed: err quotes its first error and names the log);
 * or why it cannot be started.
 */
int make_run(const struct make_run *run, struct err *err);

/* "make", "-C", source, "O=obj", and the toolchain's: the start of a command. */
void make_argv(struct strv *argv, const char *source, const char *obj, const struct toolchain *tc);

/*
 * kbuild does not take such folders, or make does not, or -ffile-prefix-map= does not: -EINVAL.
 * what: "where the source is".
 */
int make_check_path(const char *path, const char *what, struct err *err);

/* A line of kbuild's that stands for one file made: "  CC      fs/open.o", "  LD [M]  …". */
bool make_line_is_object(const char *line);

/*
 * After an end in which nothing could be tidied up (power lost, everything killed): remove what
 * obj holds that was written in the last minute before, since it may not be whole.
 */
int make_repair(const char *obj, struct err *err);

#endif
