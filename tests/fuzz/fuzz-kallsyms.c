/*
 * A kernel's image, amd64 or arm64 by the first byte: symbols are in order and have names, and the
 * file made of them and of their frames is an ELF file.
 */
#include <assert.h>
#include <string.h>

#include "lab/kernel/elf.h"
#include "lab/symbols/frames.h"
#include "lab/symbols/kallsyms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	enum arch arch = len && data[0] == 0x7f ? ARCH_AMD64 : ARCH_ARM64;
	auto_cleanup(buf) frames = {0}, elf = {0}, note = {0};
	auto_cleanup(ksyms) s = {0};
	struct elf_part parts[16];
	struct err err = {0};
	size_t n;

	if (ksyms_find(data, len, arch, &s, &err) < 0) {
		assert(err.code == EBADMSG && err.msg[0]);
		return 0;
	}
	for (size_t i = 0; i < s.n; i++)
		assert(s.items[i].name[0] && (!i || s.items[i - 1].address <= s.items[i].address));
	if (elf_parts(data, len, &s, parts, array_len(parts), &n, &err) < 0) {
		assert(err.code == EBADMSG && err.msg[0]);
		return 0;
	}
	frames_of_kernel(arch, parts, n, &s, &frames);
	elf_write(arch, s.text, parts, n, &s, &(struct elf_ids){"0123", NULL}, &elf);
	assert(elf_section(elf.data, elf.len, ".note.gnu.build-id", &note, &err) == 0);
	return 0;
}
