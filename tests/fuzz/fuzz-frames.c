/*
 * Frames of a kernel's tables (first byte even) or code (odd), and the entries that come of them
 * fill the section. Tables: as many entries as fit, 10 bytes each.
 */
#include <assert.h>
#include <string.h>

#include "lab/symbols/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ksym syms[] = {{0x1000, 't', "f"}, {0x1040, 't', "g"}, {0x1100, 'T', "el0t_h"}};
	struct ksyms s = {.items = syms, .n = array_len(syms)};
	auto_cleanup(buf) frames = {0};
	size_t n = len / 10, at = 0;

	if (len && data[0] % 2) {
		struct elf_part text = {.name = ".text",
					.address = 0x1000,
					.size = len - 1,
					.data = data + 1,
					.is_loaded = true,
					.is_code = true};

		frames_of_kernel(ARCH_ARM64, &text, 1, &s, &frames);
	} else {
		struct elf_part parts[] = {
			{.name = ".orc_unwind_ip", .address = 0x1000, .size = n * 4, .data = data},
			{.name = ".orc_unwind", .size = n * 6, .data = data + n * 4}};

		frames_of_kernel(ARCH_AMD64, parts, 2, &s, &frames);
	}
	while (at < frames.len) {
		uint32_t size;

		assert(frames.len - at >= 4);
		memcpy(&size, frames.data + at, 4);
		assert(size <= frames.len - at - 4 && (size + 4) % 8 == 0);
		at += 4 + size;
	}
	return 0;
}
