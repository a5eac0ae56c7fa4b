/* Dumps: ELF and kdump, plain and flattened, of both architectures; hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/kernel/elf.h"
#include "lab/vmcore/vmcore-elf.h"
#include "tests/unit/vmcore-make.h"

enum form { ELF_FORM, KDUMP_FORM, FLAT_FORM, N_FORMS };
static const enum arch arches[] = {ARCH_AMD64, ARCH_ARM64};

static int fd = -1;
static char path[64], folder[] = "/tmp/test-vmcore.XXXXXX";

static void put_file(const void *data, size_t len)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, data, len, 0), len);
}

static void make(const struct mk *m, enum form form, struct buf *out)
{
	auto_cleanup(buf) plain = {0};

	buf_reset(out);
	if (form == ELF_FORM)
		mk_elf(m, out);
	else if (form == KDUMP_FORM)
		mk_kdump(m, out);
	else {
		mk_kdump(m, &plain);
		mk_flatten(&plain, out);
	}
}

static struct vmcore *open_made(const struct mk *m, enum form form)
{
	auto_cleanup(buf) file = {0};
	struct vmcore *v = NULL;
	struct err err = {0};

	make(m, form, &file);
	put_file(file.data, file.len);
	if (vmcore_open(path, &v, &err) < 0)
		fail_msg("form %d: %s", form, err.msg);
	return v;
}

static void numbers(void **state)
{
	static const char text[] = "NUMBER(a)=-2\nXSYMBOL(b)=1\nSYMBOL(b)=ffffffff81000000\n\n"
				   "NUMBER(c)=0x10\nNUMBER(d)=\nNUMBER(e)=12z\nNUMBER(f)=0x\n"
				   "NUMBER(g)=99999999999999999999\nNUMBER(h)= 1\nno line\nLAST=9";
	static const struct {
		const char *key;
		bool found;
		uint64_t value;
	} cases[] = {
		{"NUMBER(a)", true, -2ULL}, {"SYMBOL(b)", true, 0xffffffff81000000},
		{"NUMBER(c)", true, 16},    {"NUMBER(d)", false, 0},
		{"NUMBER(e)", false, 0},    {"NUMBER(f)", false, 0},
		{"NUMBER(g)", false, 0},    {"NUMBER(h)", false, 0},
		{"LAST", true, 9},	    {"NUMBER", false, 0},
		{"no line", false, 0},	    {"", false, 0},
	};
	auto_cleanup(vmcoreinfo) v = {0};
	auto_free char *last = NULL;

	(void)state;
	assert_null(vmcoreinfo_string(&v, "LAST"));
	vmcoreinfo_init(&v, text, sizeof(text));
	assert_int_equal(v.len, sizeof(text) - 1);
	for (size_t i = 0; i < array_len(cases); i++) {
		uint64_t got = 0;

		if (vmcoreinfo_number(&v, cases[i].key, &got) != cases[i].found ||
		    got != cases[i].value)
			fail_msg("%s: %llx", cases[i].key, (unsigned long long)got);
	}
	last = vmcoreinfo_string(&v, "LAST");
	assert_string_equal(last, "9");
}

static void check_cpus(const struct vmcore *v, const struct mk *m)
{
	bool arm = m->arch == ARCH_ARM64;
	const struct vmcore_cpu *cpu = vmcore_cpu(v, 1);

	assert_int_equal(vmcore_cpus(v), 2);
	assert_null(vmcore_cpu(v, 2));
	assert_int_equal(cpu->n, arm ? 34 : 27 + 5);
	assert_int_equal(cpu->pc, 0x2000 + (arm ? 32 : 16));
	assert_int_equal(cpu->sp, 0x2000 + (arm ? 31 : 19));
	assert_int_equal(cpu->fp, 0x2000 + (arm ? 29 : 4));
	assert_string_equal(cpu->regs[0].name, arm ? "x0" : "r15");
	assert_string_equal(cpu->regs[26].name, arm ? "x26" : "gs");
	if (!arm) {
		assert_string_equal(cpu->regs[28].name, "cr2");
		assert_int_equal(cpu->regs[28].value, 0xc2);
	}
}

static void check_physical(struct vmcore *v, const struct mk *m)
{
	static uint8_t got[MK_SIZE];
	const struct vmcore_range *ranges;
	size_t n;

	ranges = vmcore_ranges(v, &n);
	assert_int_equal(n, 1);
	assert_int_equal(ranges[0].address, m->base);
	assert_int_equal(ranges[0].len, MK_SIZE);
	assert_int_equal(vmcore_read_physical(v, m->base, got, MK_SIZE), 0);
	assert_memory_equal(got, m->memory, MK_SIZE);
	assert_int_equal(vmcore_read_physical(v, m->base + 4095, got, 2), 0);
	assert_memory_equal(got, m->memory + 4095, 2);
	assert_int_equal(vmcore_read_physical(v, m->base + MK_SIZE - 1, got, 2), -EFAULT);
	assert_int_equal(vmcore_read_physical(v, m->base - 1, got, 1), -EFAULT);
	assert_int_equal(vmcore_read_physical(v, UINT64_MAX, got, 1), -EFAULT);
}

static void check_virtual(struct vmcore *v, const struct mk *m)
{
	const uint8_t *last = m->memory + MK_SIZE - MK_PAGE, *before = last - MK_PAGE;
	uint64_t physical, u64, expected;
	uint8_t got[MK_PAGE];
	char text[32];
	uint32_t u32;

	assert_int_equal(vmcore_read(v, m->image + 5, got, MK_PAGE), 0);
	assert_memory_equal(got, m->memory + MK_IMAGE_AT + 5, MK_PAGE);
	/* pages that follow each other only there */
	assert_int_equal(vmcore_read(v, m->vmalloc + MK_PAGE - 8, got, 16), 0);
	assert_memory_equal(got, last + MK_PAGE - 8, 8);
	assert_memory_equal(got + 8, before, 8);
	/* a page of 2 MiB */
	assert_int_equal(vmcore_translate(v, m->direct + 0x12345, &physical), 0);
	assert_int_equal(physical, m->base + 0x12345);
	assert_int_equal(vmcore_translate(v, m->direct + 0x12346, &physical), 0);
	assert_int_equal(physical, m->base + 0x12346);
	assert_int_equal(vmcore_read_u32(v, m->direct + MK_IMAGE_AT + 4, &u32), 0);
	assert_memory_equal(&u32, m->memory + MK_IMAGE_AT + 4, 4);
	assert_int_equal(vmcore_read_u64(v, m->vmalloc + MK_PAGE - 4, &u64), 0);
	memcpy(&expected, last + MK_PAGE - 4, 4);
	memcpy((char *)&expected + 4, before, 4);
	assert_true(u64 == expected);
	/* mapped, and beyond the dump's memory; not mapped; no address of the kernel's */
	assert_int_equal(vmcore_read(v, m->direct + MK_SIZE - 1, got, 2), -EFAULT);
	assert_int_equal(vmcore_read(v, m->vmalloc + 2 * MK_PAGE - 1, got, 2), -EFAULT);
	assert_int_equal(vmcore_read(v, 0x1000, got, 1), -EFAULT);
	assert_int_equal(vmcore_read(v, 0x8fff888000000000, got, 1), -EFAULT);
	assert_int_equal(vmcore_read_u64(v, 0, &u64), -EFAULT);
	/* strings end at their end, at max, and where memory ends */
	assert_int_equal(vmcore_read_string(v, m->vmalloc + 100, text, sizeof(text)), 0);
	assert_string_equal(text, "in memory");
	assert_int_equal(vmcore_read_string(v, m->vmalloc + 100, text, 5), 0);
	assert_string_equal(text, "in m");
	assert_int_equal(vmcore_read_string(v, m->vmalloc + 2 * MK_PAGE - 3, text, sizeof(text)),
			 0);
	assert_string_equal(text, "end");
	assert_int_equal(vmcore_read_string(v, m->vmalloc + 2 * MK_PAGE, text, 5), -EFAULT);
}

static void forms(void **state)
{
	struct err err = {0};

	(void)state;
	for (size_t a = 0; a < array_len(arches); a++)
		for (int form = 0; form < N_FORMS; form++) {
			auto_cleanup(mk) m = {0};
			auto_vmcore v = NULL;
			uint64_t slide;

			mk_init(&m, arches[a]);
			strcpy((char *)m.memory + MK_SIZE - MK_PAGE + 100, "in memory");
			memcpy(m.memory + MK_SIZE - MK_PAGE - 3, "end", 3);
			v = open_made(&m, (enum form)form);
			assert_int_equal(vmcore_arch(v), arches[a]);
			assert_int_equal(vmcore_info(v)->len, m.info.len);
			assert_string_equal(vmcore_info(v)->text, m.info.data);
			check_cpus(v, &m);
			check_physical(v, &m);
			check_virtual(v, &m);
			assert_int_equal(vmcore_slide(v, m.image - 0x10000000, &slide, &err), 0);
			assert_int_equal(slide, 0x10000000);
		}
}

/* A guest that had not told QEMU of its vmcoreinfo: it is looked for. */
static void info_in_memory(void **state)
{
	(void)state;
	for (size_t a = 0; a < array_len(arches); a++)
		for (int there = 0; there < 2; there++) {
			auto_cleanup(mk) m = {0};
			auto_cleanup(buf) info = {0};
			auto_vmcore v = NULL;
			struct err err = {0};
			uint64_t value;

			mk_init(&m, arches[a]);
			info = m.info;
			m.info = (struct buf){0};
			memset(m.memory + MK_IMAGE_AT, 0, MK_PAGE);
			if (there)
				memcpy(m.memory + MK_IMAGE_AT, info.data, info.len);
			v = open_made(&m, KDUMP_FORM);
			if (there) {
				assert_string_equal(vmcore_info(v)->text, info.data);
				assert_int_equal(vmcore_read_u64(v, m.image, &value), 0);
				continue;
			}
			assert_string_equal(vmcore_info(v)->text, "");
			assert_int_equal(vmcore_read_u64(v, m.image, &value), -ENODATA);
			assert_int_equal(vmcore_slide(v, 0, &value, &err), -ENODATA);
			assert_non_null(strstr(err.msg, "no vmcoreinfo"));
		}
}

/* Whatever is in it, what is read ends, and an error has a text. */
static int try_all(int expected)
{
	static uint8_t got[MK_SIZE];
	auto_vmcore v = NULL;
	struct err err = {0};
	int r = vmcore_open(path, &v, &err);

	if (r < 0) {
		assert_int_equal(err.code, -r);
		assert_non_null(strstr(err.msg, path));
		return r;
	}
	if (expected == 0) {
		r = vmcore_read_physical(v, vmcore_ranges(v, &(size_t){0})[0].address, got,
					 MK_SIZE);
		for (uint64_t at = 0; at < 3; at++)
			vmcore_read(v, 0xffffffff91000000 + at * MK_PAGE, got, 16);
	}
	return r;
}

static void truncated(void **state)
{
	(void)state;
	for (size_t a = 0; a < array_len(arches); a++)
		for (int form = 0; form < N_FORMS; form++) {
			auto_cleanup(mk) m = {0};
			auto_cleanup(buf) file = {0};

			mk_init(&m, arches[a]);
			make(&m, (enum form)form, &file);
			put_file(file.data, file.len);
			assert_int_equal(try_all(0), 0);
			for (size_t len = 0; len < file.len;
			     len += len < 2 * MK_PAGE ? 61 : MK_PAGE) {
				put_file(file.data, len);
				assert_int_equal(try_all(0), -EBADMSG);
			}
			memset(file.data, 0, file.len);
			put_file(file.data, file.len);
			assert_int_equal(try_all(0), -EBADMSG);
		}
}

static void damaged(void **state)
{
	enum { PH = sizeof(Elf64_Ehdr), LOAD = PH + sizeof(Elf64_Phdr) };
	static const struct {
		enum form form;
		size_t at, len;
		uint64_t value;
		int expected;
		const char *text;
	} cases[] = {
		{ELF_FORM, 0, 1, 'X', -EBADMSG, "no dump"},
		{ELF_FORM, EI_CLASS, 1, ELFCLASS32, -EBADMSG, NULL},
		{ELF_FORM, EI_DATA, 1, ELFDATA2MSB, -EBADMSG, NULL},
		{ELF_FORM, offsetof(Elf64_Ehdr, e_type), 2, ET_EXEC, -EBADMSG, "core"},
		{ELF_FORM, offsetof(Elf64_Ehdr, e_machine), 2, EM_386, -ENOTSUP, "64-bit mode"},
		{ELF_FORM, offsetof(Elf64_Ehdr, e_machine), 2, EM_PPC64, -ENOTSUP, "architecture"},
		{ELF_FORM, offsetof(Elf64_Ehdr, e_phoff), 8, 1ULL << 63, -EBADMSG, NULL},
		{ELF_FORM, offsetof(Elf64_Ehdr, e_phoff), 8, 1ULL << 40, -EBADMSG, NULL},
		{ELF_FORM, offsetof(Elf64_Ehdr, e_phnum), 2, 1, -EBADMSG, "no memory"},
		{ELF_FORM, offsetof(Elf64_Ehdr, e_phnum), 2, 0xfffe, -EBADMSG, NULL},
		{ELF_FORM, offsetof(Elf64_Ehdr, e_phnum), 2, 0xffff, -EBADMSG, NULL},
		{ELF_FORM, PH + offsetof(Elf64_Phdr, p_filesz), 8, 1ULL << 62, -EBADMSG,
		 "cut short"},
		{ELF_FORM, LOAD + offsetof(Elf64_Phdr, p_filesz), 8, -1ULL, -EBADMSG, "cut short"},
		{ELF_FORM, LOAD + offsetof(Elf64_Phdr, p_offset), 8, -8ULL, -EBADMSG, "cut short"},
		{ELF_FORM, LOAD + offsetof(Elf64_Phdr, p_paddr), 8, -8ULL, -EBADMSG, "beyond all"},
		/* over the other segment: the first of each byte counts */
		{ELF_FORM, LOAD + offsetof(Elf64_Phdr, p_paddr), 8, 0, -EFAULT, NULL},
		{KDUMP_FORM, 0, 1, 'X', -EBADMSG, "no dump"},
		{KDUMP_FORM, 12 + 4 * 65, 6, 0x343663707070, 0, NULL}, /* the notes tell */
		{KDUMP_FORM, MK_STATUS, 4, 2, -ENOTSUP, "lzo"},
		{KDUMP_FORM, MK_STATUS, 4, 4, -ENOTSUP, "snappy"},
		{KDUMP_FORM, MK_STATUS, 4, 0x20, -ENOTSUP, "zstd"},
		{KDUMP_FORM, MK_BLOCK_SIZE, 4, 0, -EBADMSG, "blocks of 0"},
		{KDUMP_FORM, MK_BLOCK_SIZE, 4, 5000, -EBADMSG, "blocks of 5000"},
		{KDUMP_FORM, MK_BLOCK_SIZE, 4, 1 << 30, -EBADMSG, "blocks of"},
		{KDUMP_FORM, MK_BLOCK_SIZE + 4, 4, -1U, -EBADMSG, NULL},
		{KDUMP_FORM, MK_BITMAP_BLOCKS, 4, 0, -EBADMSG, "bitmap"},
		{KDUMP_FORM, MK_BITMAP_BLOCKS, 4, -1U, -EBADMSG, "cut short"},
		{KDUMP_FORM, MK_SUB_MAX_MAPNR, 8, 1ULL << 63, -EBADMSG, "bitmap"},
		{KDUMP_FORM, MK_SUB_MAX_MAPNR, 8, 1ULL << 29, -EBADMSG, "bitmap"},
		{KDUMP_FORM, MK_SUB_NOTE, 8, -1ULL, -EBADMSG, "notes"},
		{KDUMP_FORM, MK_SUB_NOTE + 8, 8, 1ULL << 40, -EBADMSG, "notes"},
		/* the bitmap's second half: of what is in the dump */
		{KDUMP_FORM, 4 * MK_PAGE, 2, 0, -EBADMSG, "no memory"},
		{KDUMP_FORM, 4 * MK_PAGE, 2, 0x3ffe, -EFAULT, NULL},
		/* the first page's descriptor: offset, size, flags */
		{KDUMP_FORM, 5 * MK_PAGE, 8, -1ULL, -EBADMSG, NULL},
		{KDUMP_FORM, 5 * MK_PAGE, 8, 1ULL << 63, -EBADMSG, NULL},
		{KDUMP_FORM, 5 * MK_PAGE + 8, 4, -1U, -EBADMSG, NULL},
		{KDUMP_FORM, 5 * MK_PAGE + 8, 4, 3, -EBADMSG, NULL},
		{KDUMP_FORM, 5 * MK_PAGE + 12, 4, 2, -EBADMSG, NULL},
		{KDUMP_FORM, 5 * MK_PAGE + 12, 4, 0, -EBADMSG, NULL},
		{FLAT_FORM, 16, 8, 0, -EBADMSG, "header"},
		{FLAT_FORM, MK_PAGE, 8, -1ULL, -EBADMSG, NULL},	    /* a piece's offset */
		{FLAT_FORM, MK_PAGE + 8, 8, -1ULL, -EBADMSG, NULL}, /* its length */
		{FLAT_FORM, MK_PAGE + 8, 8, 0, -EBADMSG, NULL},
		{FLAT_FORM, MK_PAGE, 8, 0x100, -EBADMSG, "each other"}, /* over the first one */
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(mk) m = {0};
		auto_cleanup(buf) file = {0};
		auto_vmcore v = NULL;
		struct err err = {0};
		uint64_t value = cases[i].value;
		int r;

		mk_init(&m, ARCH_AMD64);
		make(&m, cases[i].form, &file);
		if (cases[i].form == FLAT_FORM)
			value = htobe64(value);
		mk_put(&file, cases[i].at, value, cases[i].len);
		put_file(file.data, file.len);
		r = try_all(0);
		if (r != cases[i].expected)
			fail_msg("case %zu: %d", i, r);
		if (cases[i].text &&
		    (vmcore_open(path, &v, &err) != r || !strstr(err.msg, cases[i].text)))
			fail_msg("case %zu: %s", i, err.msg);
	}
}

static void no_files(void **state)
{
	struct err err = {0};
	struct vmcore *v;

	(void)state;
	assert_int_equal(vmcore_open("/nowhere", &v, &err), -ENOENT);
	assert_int_equal(vmcore_open("/dev/zero", &v, &err), -EBADMSG);
	assert_int_equal(vmcore_open("/", &v, &err), -EBADMSG);
	vmcore_close(NULL);
}

/* 16 KiB pages are said, five levels and 39 bits are walked, and tables that loop end. */
static void tables(void **state)
{
	(void)state;
	for (size_t a = 0; a < array_len(arches); a++) {
		auto_cleanup(mk) m = {0};
		auto_vmcore v = NULL;
		struct err err = {0};
		uint64_t physical;

		mk_init(&m, arches[a]);
		for (size_t i = 0; i < 512; i++)
			mk_table(&m, m.root)[i] = m.root | (m.arch == ARCH_ARM64 ? 3 : 0x67);
		v = open_made(&m, ELF_FORM);
		assert_int_equal(vmcore_translate(v, m.image + 7, &physical), 0);
		assert_int_equal(physical, m.root + 7);
		if (m.arch == ARCH_ARM64) {
			*strstr(m.info.data, "4096") = '9';
			v = (vmcore_close(v), NULL);
			auto_cleanup(buf) file = {0};

			make(&m, ELF_FORM, &file);
			put_file(file.data, file.len);
			assert_int_equal(vmcore_open(path, &v, &err), -ENOTSUP);
			assert_non_null(strstr(err.msg, "4 KiB"));
		}
	}
}

static void other_depths(void **state)
{
	auto_cleanup(mk) five = {0}, three = {0};
	auto_vmcore v = NULL;
	auto_vmcore w = NULL;
	uint64_t physical;

	(void)state;
	/* the root's only entry leads to what was the root: 5 levels of amd64 */
	mk_init(&five, ARCH_AMD64);
	memcpy(five.memory + five.next * MK_PAGE, five.memory, MK_PAGE);
	memset(five.memory, 0, MK_PAGE);
	mk_table(&five, 0)[511] = five.next * MK_PAGE | 0x67;
	*strstr(five.info.data, "enabled)=0") = 'E';
	buf_adds(&five.info, "NUMBER(pgtable_l5_enabled)=1\n");
	v = open_made(&five, ELF_FORM);
	assert_int_equal(vmcore_translate(v, five.image + 9, &physical), 0);
	assert_int_equal(physical, MK_IMAGE_AT + 9);
	/* the root is of the third level: 39 bits of arm64 */
	mk_init(&three, ARCH_ARM64);
	memcpy(three.memory,
	       mk_table(&three, mk_table(&three, three.root)[three.image >> 39 & 511] & ~0xfffULL),
	       MK_PAGE);
	memcpy(strstr(three.info.data, "0x10"), "0x19", 4);
	w = open_made(&three, ELF_FORM);
	assert_int_equal(vmcore_translate(w, three.image | 0xffffff8000000000, &physical), 0);
	assert_int_equal(physical, three.base + MK_IMAGE_AT);
	assert_int_equal(vmcore_translate(w, three.image, &physical), -EFAULT);
}

static bool maps(const struct elf_segment *s, size_t n, uint64_t virtual, uint64_t physical,
		 uint64_t len)
{
	for (size_t i = 0; i < n; i++)
		if (s[i].type == PT_LOAD && s[i].virtual == virtual && s[i].physical == physical &&
		    s[i].file_size == len && s[i].size == len)
			return true;
	return false;
}

static void check_mapped(const char *file, const struct mk *m)
{
	auto_free struct elf_segment *s = NULL;
	auto_vmcore v = NULL;
	struct err err = {0};
	int machine;
	size_t n;

	assert_int_equal(vmcore_open(file, &v, &err), 0);
	check_cpus(v, m);
	check_physical(v, m);
	assert_string_equal(vmcore_info(v)->text, m->info.data);
	assert_int_equal(elf_segments(file, &s, &n, &machine, &err), 0);
	assert_int_equal(machine, m->arch == ARCH_ARM64 ? EM_AARCH64 : EM_X86_64);
	assert_true(maps(s, n, m->image, m->base + MK_IMAGE_AT, MK_IMAGE * MK_PAGE));
	assert_true(maps(s, n, m->vmalloc, m->base + MK_SIZE - MK_PAGE, MK_PAGE));
	assert_true(maps(s, n, m->vmalloc + MK_PAGE, m->base + MK_SIZE - 2 * MK_PAGE, MK_PAGE));
}

static void written(void **state)
{
	auto_free char *to = str_printf("%s/out", folder);

	(void)state;
	for (size_t a = 0; a < array_len(arches); a++) {
		auto_cleanup(mk) m = {0};
		auto_vmcore v = NULL;
		struct err err = {0};
		struct stat st;

		mk_init(&m, arches[a]);
		v = open_made(&m, FLAT_FORM);
		assert_int_equal(vmcore_write_elf(v, to, &err), 0);
		assert_int_equal(stat(to, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		check_mapped(to, &m);
		assert_int_equal(vmcore_map_elf(to, &err), 0); /* it is */
		assert_int_equal(unlink(to), 0);
		assert_int_equal(rmdir(folder), 0); /* nothing else is in it */
		assert_int_equal(vmcore_write_elf(v, to, &err), -ENOENT);
		assert_int_equal(mkdir(folder, 0700), 0);
	}
}

static void mended(void **state)
{
	(void)state;
	for (size_t a = 0; a < array_len(arches); a++) {
		auto_cleanup(buf) info = {0}, file = {0};
		auto_cleanup(mk) m = {0};
		struct err err = {0};
		struct stat once, twice;

		mk_init(&m, arches[a]);
		make(&m, ELF_FORM, &file);
		put_file(file.data, file.len);
		assert_int_equal(vmcore_map_elf(path, &err), 0);
		assert_int_equal(fstat(fd, &once), 0);
		check_mapped(path, &m);
		assert_int_equal(vmcore_map_elf(path, &err), 0);
		assert_int_equal(fstat(fd, &twice), 0);
		assert_int_equal(once.st_size, twice.st_size);
		make(&m, KDUMP_FORM, &file);
		put_file(file.data, file.len);
		assert_int_equal(vmcore_map_elf(path, &err), -EBADMSG);
		info = m.info;
		m.info = (struct buf){0};
		make(&m, ELF_FORM, &file);
		put_file(file.data, file.len);
		assert_int_equal(vmcore_map_elf(path, &err), -ENODATA);
		/* found in memory: debuggers want it as a note */
		memset(m.memory + MK_IMAGE_AT, 0, MK_PAGE);
		memcpy(m.memory + MK_IMAGE_AT, info.data, info.len);
		make(&m, ELF_FORM, &file);
		put_file(file.data, file.len);
		assert_int_equal(vmcore_map_elf(path, &err), 0);
		m.info = info;
		info = (struct buf){0};
		check_mapped(path, &m);
	}
}

static void full_disk(void **state)
{
	auto_free char *to = str_printf("%s/out", folder);
	struct rlimit old, limit;
	auto_cleanup(mk) m = {0};
	auto_vmcore v = NULL;
	struct err err = {0};

	(void)state;
	mk_init(&m, ARCH_AMD64);
	v = open_made(&m, ELF_FORM);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){.rlim_cur = 5 * MK_PAGE, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(vmcore_write_elf(v, to, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(err.msg, to));
	assert_int_equal(rmdir(folder), 0); /* nothing is left */
	assert_int_equal(mkdir(folder, 0700), 0);
}

static int open_group(void **state)
{
	(void)state;
	fd = memfd_create("vmcore", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd < 0 || !mkdtemp(folder);
}

static int close_group(void **state)
{
	(void)state;
	return close(fd) | io_remove_tree(AT_FDCWD, folder, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),	  cmocka_unit_test(forms),
		cmocka_unit_test(info_in_memory), cmocka_unit_test(truncated),
		cmocka_unit_test(damaged),	  cmocka_unit_test(no_files),
		cmocka_unit_test(tables),	  cmocka_unit_test(other_depths),
		cmocka_unit_test(written),	  cmocka_unit_test(mended),
		cmocka_unit_test(full_disk),
	};

	return cmocka_run_group_tests(tests, open_group, close_group);
}
