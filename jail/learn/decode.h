/*
 * decode.h - a system call as a line: openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC).
 *
 * Pure but for the reader that the caller gives. The program's memory may change meanwhile: what is
 * printed is for people, never for decisions.
 */
#ifndef JAIL_LEARN_DECODE_H
#define JAIL_LEARN_DECODE_H

#include <sys/types.h>

#include "jail/policy/call-args.h"

/* Read at most size bytes at address; returns how many, or a negative errno. */
struct call_memory {
	ssize_t (*read)(void *context, uint64_t address, void *to, size_t size);
	void *context;
};

/*
 * Append the call. memory may be NULL: then addresses are printed. Strings are cut
 * (CALL_STRING_MAX) and made printable.
 */
enum { CALL_STRING_MAX = 96 };
void call_print(struct buf *out, enum arch arch, int nr, const uint64_t args[6],
		const struct call_memory *memory);
/* Append argument i (0 to 5) alone, as above; addresses are printed. */
void call_print_arg(struct buf *out, enum arch arch, const struct syscall_def *def, unsigned int i,
		    uint64_t value);

#endif
