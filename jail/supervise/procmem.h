/*
 * procmem.h - a look at a process from outside: for people to read, never for decisions, since it
 * may change or be another process by the time it is read.
 */
#ifndef JAIL_SUPERVISE_PROCMEM_H
#define JAIL_SUPERVISE_PROCMEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "jail/base/cleanup.h"

enum { PROGRAM_MAX = 16, PROCMEM_READ_MAX = 4096, PROCMEM_WAIT_MS = 100 };

/*
 * Who reads memory for us, in a process of its own: what backs a page may be the program itself (by
 * userfaultfd, or FUSE), and then only SIGKILL ends the wait for it. It ends when fd is closed; one
 * that waits is left to offspring_end().
 */
struct procmem {
	int fd;	      /* to the reader, which is started at the first read; -1: none */
	bool is_lost; /* it was made to wait: there are no more reads */
};
#define PROCMEM_INIT      \
	{                 \
		.fd = -1, \
	}
void procmem_deinit(struct procmem *procmem);
DEFINE_CLEANUP(procmem, procmem_deinit)

/*
 * Up to size bytes (and PROCMEM_READ_MAX) at address, fewer where unmapped memory begins. Bytes, or
 * a negative errno: -ETIMEDOUT when it took longer than PROCMEM_WAIT_MS, now or before.
 */
ssize_t procmem_read(struct procmem *procmem, pid_t thread, uint64_t address, void *to,
		     size_t size);
/* The name of the thread's program (comm), NUL-terminated, as untrusted as the program; or "?". */
void procmem_program(pid_t thread, char ret[PROGRAM_MAX]);
/* The process that a thread belongs to; the thread itself when /proc does not say. */
pid_t procmem_process(pid_t thread);
/* The parent of a process; 0 when /proc does not say. */
pid_t procmem_parent(pid_t process);

#endif
