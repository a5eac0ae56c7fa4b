#include "jail/policy/syscalls.h"

#include <stdlib.h>
#include <string.h>

#include "jail/base/str.h"

static const struct syscall_def table[] = {
#include "jail/policy/syscall-table.inc"
};

static int by_name(const void *key, const void *entry)
{
	return strcmp(key, ((const struct syscall_def *)entry)->name);
}

const struct syscall_def *syscall_find(const char *name)
{
	return bsearch(name, table, array_len(table), sizeof(table[0]), by_name);
}

const char *syscall_name(enum arch arch, int nr)
{
	for (size_t i = 0; nr >= 0 && i < array_len(table); i++)
		if (table[i].nr[arch] == nr)
			return table[i].name;
	return NULL;
}

const char *syscall_suggest(const char *name)
{
	const char *names[array_len(table)];

	for (size_t i = 0; i < array_len(table); i++)
		names[i] = table[i].name;
	return str_nearest(name, names, array_len(table));
}
