/*
 * procmem.h - a look at a process from outside: for people to read, never for decisions, since it
 * may change or be another process by the time it is read.
 */
#ifndef JAIL_SUPERVISE_PROCMEM_H
#define JAIL_SUPERVISE_PROCMEM_H

#include <stdint.h>
#include <sys/types.h>

enum { PROGRAM_MAX = 16 };

/* Up to size bytes at address, fewer where unmapped memory begins. Bytes, or a negative errno. */
ssize_t procmem_read(pid_t thread, uint64_t address, void *to, size_t size);
/* The name of the thread's program (comm), NUL-terminated, as untrusted as the program; or "?". */
void procmem_program(pid_t thread, char ret[PROGRAM_MAX]);
/* The process that a thread belongs to; the thread itself when /proc does not say. */
pid_t procmem_process(pid_t thread);

#endif
