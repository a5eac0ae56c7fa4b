/*
 * command.h - find and start the command of a sandbox.
 */
#ifndef JAIL_SYSTEM_COMMAND_H
#define JAIL_SYSTEM_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "jail/base/err.h"

/*
 * The file that name stands for, searched in search_path (PATH's form) when it has no slash, into
 * ret[size]. Returns 0; -ENOENT when there is none; -EACCES when it cannot be executed. Allocates
 * nothing.
 */
int command_find(const char *name, const char *search_path, char *ret, size_t size,
		 struct err *err);

/*
 * execve, with the cookie that a filter knows it by (compile.h); by its path, since a script's
 * interpreter opens it again. Returns only on failure, a negative errno.
 */
int command_exec(const char *path, char *const argv[], char *const envp[], uint64_t cookie,
		 struct err *err);

#endif
