/*
 * call-args.h - the arguments of system calls: names, types, the constants they take.
 *
 * Pure: a table of the calls whose arguments people filter or want to read; the man pages of
 * section 2 are its source. One table serves the policy reader (names, 32-bit comparisons), the
 * decoder and the learner.
 */
#ifndef JAIL_POLICY_CALL_ARGS_H
#define JAIL_POLICY_CALL_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/policy/syscalls.h"

enum arg_type {
	ARG_NONE, /* the call has no such argument, or it is not known */
	ARG_INT,  /* the kernel looks at 32 bits: int, unsigned int, mode_t, pid_t */
	ARG_LONG, /* 64 bits */
	ARG_FD,	  /* 32 bits */
	ARG_PTR,
	ARG_PATH, /* a NUL-terminated string in the program's memory */
	ARG_STRV, /* argv, envp */
	ARG_SOCKADDR,
};

struct arg_def {
	const char *name; /* "domain"; NULL: none */
	enum arg_type type;
	/*
	 * prefixes of the constants it takes, separated by blanks ("AF_ PF_"), those not meant
	 * behind a '-' ("MAP_ -MAP_HUGE_"); NULL: numbers
	 */
	const char *constants;
	bool are_flags;	 /* or-ed together */
	bool is_octal;	 /* modes */
	bool is_learned; /* its values are kept by --learn: ioctl's cmd, socket's domain, … */
};

/* Six of them for every call; for one that the table does not have all are ARG_NONE. */
const struct arg_def *call_args(const struct syscall_def *call);
/* 0..5 of "arg0".."arg5" or of the argument's own name; -1. */
int call_arg_find(const struct syscall_def *call, const char *name);
/* Whether the kernel looks at the low 32 bits only. */
bool call_arg_is_32bit(const struct syscall_def *call, unsigned int arg);

/* --- named constants: constant-table.inc, written by scripts/update-constants --- */

/* The value on each architecture. Returns 0, or -ENOENT. Knows every name, whatever the call. */
int constant_find(const char *name, uint64_t value[ARCH_COUNT]);
/* The known name nearest to a misspelt one, or NULL. */
const char *constant_suggest(const char *name);
/*
 * The name of a value among the constants of an argument, for one value or or-ed flags
 * ("O_RDONLY|O_CLOEXEC"); a rest without a name as a number. Appends to out; false, and
 * nothing appended, when the argument takes none or the value has no name at all.
 */
struct buf;
bool constant_print(const struct arg_def *arg, enum arch arch, uint64_t value, struct buf *out);

#endif
