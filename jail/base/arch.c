#include "jail/base/arch.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name, *machine, *triplet;
} arches[ARCH_COUNT] = {
	[ARCH_AMD64] = {"amd64", "x86_64", "x86_64-linux-gnu"},
	[ARCH_ARM64] = {"arm64", "aarch64", "aarch64-linux-gnu"},
};

const char *arch_name(enum arch arch)
{
	return arches[arch].name;
}

const char *arch_machine(enum arch arch)
{
	return arches[arch].machine;
}

const char *arch_triplet(enum arch arch)
{
	return arches[arch].triplet;
}

int arch_parse(const char *name)
{
	for (int i = 0; i < ARCH_COUNT; i++)
		if (strcmp(name, arches[i].name) == 0 || strcmp(name, arches[i].machine) == 0)
			return i;
	return -EINVAL;
}

enum arch arch_native(void)
{
#if defined(__x86_64__)
	return ARCH_AMD64;
#elif defined(__aarch64__)
	return ARCH_ARM64;
#else
#error "hosts are amd64 or arm64"
#endif
}
