/* ELF files on disk: symbols, addresses, sections, and holes where relocations were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/kernel/elf.h"

enum { RELA_SIZE = 1 << 16 };

/* A program with one segment, three symbols, and relocations of its debug information. */
static struct file {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdrs[2];
	Elf64_Sym symbols[4];
	char strings[64], names[64], debug[24];
	Elf64_Shdr shdrs[6];
	char rela[RELA_SIZE + 8192];
} file;
static char path[64];
static int fd;

static Elf64_Shdr section(uint32_t name, uint32_t type, const void *at, size_t size)
{
	return (Elf64_Shdr){.sh_name = name,
			    .sh_type = type,
			    .sh_offset = (uint64_t)((const char *)at - (const char *)&file),
			    .sh_size = size,
			    .sh_addralign = 1};
}

static Elf64_Sym symbol(uint32_t name, int type, uint16_t in, uint64_t value)
{
	return (Elf64_Sym){.st_name = name,
			   .st_info = ELF64_ST_INFO(STB_GLOBAL, type),
			   .st_shndx = in,
			   .st_value = value};
}

static void write_file(void)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, &file, sizeof(file), 0), sizeof(file));
}

static int setup(void **state)
{
	/* whole pages: a hole has no other size */
	size_t rela = (offsetof(struct file, rela) + 4095) & ~4095UL;

	(void)state;
	memset(&file, 0, sizeof(file));
	memcpy(file.ehdr.e_ident, ELFMAG, SELFMAG);
	file.ehdr.e_ident[EI_CLASS] = ELFCLASS64;
	file.ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
	file.ehdr.e_ident[EI_VERSION] = EV_CURRENT;
	file.ehdr.e_type = ET_EXEC;
	file.ehdr.e_machine = EM_X86_64;
	file.ehdr.e_version = EV_CURRENT;
	file.ehdr.e_ehsize = sizeof(Elf64_Ehdr);
	file.ehdr.e_phoff = offsetof(struct file, phdrs);
	file.ehdr.e_phentsize = sizeof(Elf64_Phdr);
	file.ehdr.e_phnum = 2;
	file.ehdr.e_shoff = offsetof(struct file, shdrs);
	file.ehdr.e_shentsize = sizeof(Elf64_Shdr);
	file.ehdr.e_shnum = 6;
	file.ehdr.e_shstrndx = 3;
	file.phdrs[0] = (Elf64_Phdr){.p_type = PT_NOTE, .p_vaddr = 1};
	file.phdrs[1] = (Elf64_Phdr){.p_type = PT_LOAD, .p_vaddr = 0xffffffff81000000};
	memcpy(file.strings, "\0start\0data\0other", 18);
	file.symbols[1] = symbol(1, STT_FUNC, 1, 0xffffffff81000040);
	file.symbols[2] = symbol(7, STT_OBJECT, 1, 0xffffffff81000080);
	file.symbols[3] = symbol(12, STT_FUNC, SHN_UNDEF, 0);
	memcpy(file.names, "\0.symtab\0.strtab\0.names\0.debug_str\0.rela", 41);
	memcpy(file.debug, "first\0second", 12);
	memset(file.rela, 0xaa, sizeof(file.rela));
	file.shdrs[1] = section(1, SHT_SYMTAB, file.symbols, sizeof(file.symbols));
	file.shdrs[1].sh_link = 2;
	file.shdrs[1].sh_entsize = sizeof(Elf64_Sym);
	file.shdrs[1].sh_addralign = 8;
	file.shdrs[2] = section(9, SHT_STRTAB, file.strings, sizeof(file.strings));
	file.shdrs[3] = section(17, SHT_STRTAB, file.names, sizeof(file.names));
	file.shdrs[4] = section(24, SHT_PROGBITS, file.debug, sizeof(file.debug));
	file.shdrs[5] = section(35, SHT_RELA, (char *)&file + rela, RELA_SIZE);
	file.shdrs[5].sh_entsize = sizeof(Elf64_Rela);
	write_file();
	return 0;
}

static int open_group(void **state)
{
	(void)state;
	fd = memfd_create("elf", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd < 0;
}

static int close_group(void **state)
{
	(void)state;
	return close(fd);
}

static int list(void *data, const char *name, uint64_t value, bool is_function)
{
	buf_addf(data, "%s %llx %d;", name, (unsigned long long)value, is_function);
	return str_eq(name, "data") ? 7 : 0;
}

static void symbols(void **state)
{
	auto_cleanup(buf) got = {0};
	struct err err = {0};

	(void)state;
	/* undefined and unnamed ones are left out; what fn returns ends it */
	assert_int_equal(elf_symbols(path, list, &got, &err), 7);
	assert_string_equal(got.data, "start ffffffff81000040 1;data ffffffff81000080 0;");
	file.shdrs[1].sh_type = SHT_PROGBITS;
	write_file();
	assert_int_equal(elf_symbols(path, list, &got, &err), -ENODATA);
	assert_non_null(strstr(err.msg, "no symbol table"));
	file.shdrs[1].sh_type = SHT_SYMTAB;
	file.shdrs[1].sh_size = sizeof(file) * 2;
	write_file();
	assert_int_equal(elf_symbols(path, list, &got, &err), -EBADMSG);
}

static void load_address(void **state)
{
	uint64_t address = 0;
	struct err err = {0};

	(void)state;
	assert_int_equal(elf_load_address(path, &address, &err), 0);
	assert_true(address == 0xffffffff81000000);
	file.ehdr.e_phnum = 1;
	write_file();
	assert_int_equal(elf_load_address(path, &address, &err), -EBADMSG);
	assert_int_equal(elf_load_address("/dev/null", &address, &err), -EBADMSG);
	assert_int_equal(elf_load_address("/nowhere", &address, &err), -ENOENT);
	file.ehdr.e_ident[0] = 'E';
	write_file();
	assert_int_equal(elf_load_address(path, &address, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "not an ELF file"));
}

static void sections(void **state)
{
	auto_cleanup(buf) got = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(elf_file_section(path, ".debug_str", 24, &got, &err), 0);
	assert_int_equal(got.len, 24);
	assert_memory_equal(got.data, "first\0second", 13);
	assert_int_equal(elf_file_section(path, ".debug_str", 23, &got, &err), -EFBIG);
	assert_int_equal(elf_file_section(path, ".nothing", 24, &got, &err), -ENODATA);
	assert_int_equal(got.len, 24);
}

static void holes(void **state)
{
	struct stat before, after;
	struct err err = {0};
	char head[offsetof(struct file, rela)], byte;

	(void)state;
	assert_int_equal(fstat(fd, &before), 0);
	assert_int_equal(elf_punch_relocations(path, &err), 0);
	assert_int_equal(fstat(fd, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_true(after.st_blocks * 512 <= before.st_blocks * 512 - RELA_SIZE);
	assert_int_equal(pread(fd, &byte, 1, (off_t)file.shdrs[5].sh_offset), 1);
	assert_int_equal(byte, 0);
	assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
	assert_memory_equal(head, &file, sizeof(head));
	/* those of an object are what gdb needs */
	setup(NULL);
	file.ehdr.e_type = ET_REL;
	write_file();
	assert_int_equal(elf_punch_relocations(path, &err), 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)file.shdrs[5].sh_offset), 1);
	assert_int_equal((unsigned char)byte, 0xaa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(symbols, setup),
		cmocka_unit_test_setup(load_address, setup),
		cmocka_unit_test_setup(sections, setup),
		cmocka_unit_test_setup(holes, setup),
	};

	return cmocka_run_group_tests(tests, open_group, close_group);
}
