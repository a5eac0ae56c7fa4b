/*
 * offspring.h - what a command leaves behind: daemons that forked away, sessions of their own.
 */
#ifndef JAIL_SUPERVISE_OFFSPRING_H
#define JAIL_SUPERVISE_OFFSPRING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Become the parent of every descendant whose own parent ends, so that offspring_end() finds them.
 */
void offspring_adopt(void);
/*
 * Kill and reap every child but `spare` (0: none), and the children that these leave behind, until
 * there is no other; ended (NULL: nobody) is told of each, and of whoever the caller traces. Needs
 * /proc, unless there is nobody left. SIGCHLD must be blocked. Returns whether all are gone within
 * timeout_ms (what hangs in the kernel is not).
 */
bool offspring_end(int64_t timeout_ms, pid_t spare,
		   void (*ended)(void *context, pid_t pid, int status), void *context);

#endif
