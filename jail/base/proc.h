/*
 * proc.h - start helper programs by posix_spawn(3) and collect what they say.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

/*
 * Start argv (argv[0] searched in PATH) with these descriptors as 0, 1, 2 (-1: /dev/null for 0, and
 * inherited for 1 and 2). Signals are reset to their defaults. Returns the pid, or a negative
 * errno. The caller reaps it.
 */
pid_t proc_spawn(char *const argv[], int in, int out, int errfd, struct err *err);

/* As proc_spawn(), with more that is not this process's own. */
struct proc_how {
	char *const *env; /* NULL: inherited */
	const char *dir;  /* its working folder; NULL: inherited */
	bool own_group;	  /* leads a process group: kill(-pid) reaches all it starts */
};
pid_t proc_spawn_how(char *const argv[], int in, int out, int errfd, const struct proc_how *how,
		     struct err *err);

/*
 * Run argv to its end. Its stdout (at most 64 MiB) is appended to out unless out is NULL, its
 * stderr (at most 64 KiB kept) to errout unless NULL. Returns the wait status as a shell would say
 * it (exit code, or 128+signal), or a negative errno when it could not be run or said too much.
 */
int proc_run(char *const argv[], struct buf *out, struct buf *errout, struct err *err);

/*
 * The file that program is in PATH, allocated; NULL: none, or not to be executed. Folders of PATH
 * that are not absolute are passed over.
 */
char *proc_find(const char *program);

/* 0..255 of a wait status: the exit code, or 128+signal. */
int proc_exit_code(int wait_status);

#endif
