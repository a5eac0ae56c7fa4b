/*
 * ELF files of anybody's (--vmlinux, a debug package): whatever is in one, what is read stays
 * within it, and an error has a text.
 */
#include <assert.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/kernel/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int on_symbol(void *data, const char *name, uint64_t value, bool is_function)
{
	size_t *sum = data;

	*sum += strlen(name) + value + is_function;
	return 0;
}

static void check(int r, struct err *err)
{
	assert(r >= 0 || (err->code == -r && err->msg[0]));
	*err = (struct err){0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const sections[] = {".debug_str", ".debug_line_str", ".symtab"};
	int fd = memfd_create("elf", MFD_CLOEXEC);
	auto_free char *path = str_printf("/proc/self/fd/%d", fd), *id = NULL;
	uint64_t address;
	struct err err = {0};
	size_t sum = 0;

	assert(fd >= 0 && io_write_all(fd, data, len) == 0);
	check(elf_build_id(path, &id, &err), &err);
	check(elf_load_address(path, &address, &err), &err);
	check(elf_symbols(path, on_symbol, &sum, &err), &err);
	for (size_t i = 0; i < array_len(sections); i++) {
		auto_cleanup(buf) text = {0};

		check(elf_file_section(path, sections[i], 1 << 20, &text, &err), &err);
		assert(text.len <= 1 << 20 && text.len <= len + 1);
		buf_reset(&text);
		check(elf_section(data, len, sections[i], &text, &err), &err);
	}
	check(elf_punch_relocations(path, &err), &err);
	close(fd);
	return 0;
}
