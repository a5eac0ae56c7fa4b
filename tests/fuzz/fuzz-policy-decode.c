/* Any call with any arguments, its strings and structures being what the program wrote: a line. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/str.h"
#include "jail/learn/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LINE_MAX_LEN = 8192 };

struct memory {
	const uint8_t *data;
	size_t len;
};

/* Addresses count from 1, as 0 is NULL. */
static ssize_t read_memory(void *context, uint64_t address, void *to, size_t size)
{
	const struct memory *memory = context;

	if (!address || address - 1 >= memory->len)
		return -EFAULT;
	if (size > memory->len - (address - 1))
		size = memory->len - (address - 1);
	memcpy(to, memory->data + (address - 1), size);
	return (ssize_t)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct {
		uint32_t nr, arch;
		uint64_t args[6];
	} call;
	struct memory memory = {data, len};
	const struct call_memory reader = {read_memory, &memory};
	auto_cleanup(buf) line = {0};

	if (len < sizeof(call))
		return 0;
	memcpy(&call, data, sizeof(call));
	memory.data += sizeof(call);
	memory.len -= sizeof(call);
	call_print(&line, call.arch % ARCH_COUNT, (int)call.nr, call.args, &reader);
	if (line.len > LINE_MAX_LEN || !str_ends(line.data, ")"))
		abort();
	for (size_t i = 0; i < line.len; i++)
		if ((unsigned char)line.data[i] < ' ' || line.data[i] == 0x7f)
			abort();
	return 0;
}
