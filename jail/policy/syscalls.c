#include "jail/policy/syscalls.h"

#include <stdlib.h>
#include <string.h>

#include "jail/base/str.h"

static const struct syscall_def table[] = {
#include "jail/policy/syscall-table.inc"
};

const size_t syscall_count = array_len(table);

static const unsigned short by_number[ARCH_COUNT][512] = {
#include "jail/policy/syscall-numbers.inc"
};

static int by_name(const void *key, const void *entry)
{
	return strcmp(key, ((const struct syscall_def *)entry)->name);
}

const struct syscall_def *syscall_find(const char *name)
{
	return bsearch(name, table, array_len(table), sizeof(table[0]), by_name);
}

const struct syscall_def *syscall_by_nr(enum arch arch, int nr)
{
	unsigned int place =
		nr >= 0 && nr < (int)array_len(by_number[arch]) ? by_number[arch][nr] : 0;

	return place ? &table[place - 1] : NULL;
}

const struct syscall_def *syscall_at(size_t index)
{
	return &table[index];
}

const char *syscall_name(enum arch arch, int nr)
{
	const struct syscall_def *call = syscall_by_nr(arch, nr);

	return call ? call->name : NULL;
}

const char *syscall_suggest(const char *name)
{
	const char *names[array_len(table)];

	for (size_t i = 0; i < array_len(table); i++)
		names[i] = table[i].name;
	return str_nearest(name, names, array_len(table));
}
