/*
 * A stack and a kernel's tables: 16 bytes say where the walk starts, then 64 entries of ORC (for
 * arm64 the instructions of a function), the rest is the stack, in which what is small stands for
 * code and what is larger for the stack's own addresses. The walk ends, and only its last frame is
 * one.
 */
#include <assert.h>
#include <string.h>

#include "lab/vmcore/unwind-walk.h"

enum { CODE_SIZE = 0x1000, ORCS = 64, START = 16, TABLE = ORCS * ORC_ENTRY };
#define CODE 0xffffffff81000000
#define STACK 0xffffc90000000000

struct input {
	const uint8_t *table, *stack;
	size_t stack_size;
	struct orc_format format;
};

static uint64_t widen(uint16_t is)
{
	if (is < CODE_SIZE)
		return CODE + is;
	return is < 0xf000 ? STACK + is - CODE_SIZE : is & 0xfffu;
}

static bool read_memory(void *data, uint64_t address, void *ret, size_t len)
{
	const struct input *in = data;

	if (address - CODE < CODE_SIZE && len <= CODE_SIZE - (address - CODE)) {
		for (size_t i = 0; i < len; i++)
			((uint8_t *)ret)[i] = in->table[(address - CODE + i) % TABLE];
		return true;
	}
	if (address < STACK || len > in->stack_size || address - STACK > in->stack_size - len)
		return false;
	for (size_t i = 0; i < len; i += 8) {
		uint64_t word;
		uint16_t half;

		memcpy(&half, in->stack + (address - STACK + i) % (in->stack_size - 1), 2);
		word = widen(half);
		memcpy((uint8_t *)ret + i, &word, len - i < 8 ? len - i : 8);
	}
	return true;
}

static bool is_code(void *data, uint64_t address)
{
	(void)data;
	return address - CODE < CODE_SIZE;
}

static bool row_amd64(void *data, uint64_t address, struct frame_row *ret)
{
	const struct input *in = data;

	if (!is_code(data, address))
		return false;
	*ret = orc_row(&in->format, in->table + (address / 16 % ORCS) * ORC_ENTRY);
	return true;
}

static bool row_arm64(void *data, uint64_t address, struct frame_row *ret)
{
	const struct input *in = data;

	if (!is_code(data, address))
		return false;
	*ret = frames_arm64_row(in->table, TABLE / 4, CODE, CODE + address % TABLE / 4 * 4);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {.table = data + START};
	enum arch arch = len && data[0] & 1 ? ARCH_ARM64 : ARCH_AMD64;
	struct walk_env env = {
		.data = &in,
		.arch = arch,
		.read = read_memory,
		.is_code = is_code,
		.row = arch == ARCH_AMD64 ? row_amd64 : row_arm64,
		.stack_size = 0x4000,
		.kernel_bits = ~0ull << 48,
		.by_fp = len && data[0] & 8,
		.frame_meta = len && data[0] & 2,
	};
	struct walk w = {.env = &env, .exact = len && data[0] & 4};
	struct kframe frames[UNWIND_MAX];
	uint16_t from[4];
	size_t n;

	if (len < START + TABLE + 8)
		return 0;
	in.stack = data + START + TABLE;
	in.stack_size = len - START - TABLE;
	in.format = orc_find_format(in.table, ORCS);
	memcpy(from, data + 2, sizeof(from));
	w.pc = widen(from[0]);
	walk_set(&w, walk_sp(&w), widen(from[1]));
	walk_set(&w, arch == ARCH_AMD64 ? AMD64_BP : ARM64_FP, widen(from[2]));
	walk_set(&w, arch == ARCH_AMD64 ? 10 : ARM64_LR, widen(from[3]));
	n = walk_stack(&w, frames, UNWIND_MAX);
	assert(n && n <= UNWIND_MAX);
	for (size_t i = 0; i < n; i++) {
		assert(i == n - 1 || (!frames[i].user && !frames[i].outermost));
		assert(!i || frames[i].reliable <= frames[i - 1].reliable);
	}
	return 0;
}
