/* The kernel's log buffer: records in all their states, lost ones, buffers that make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lab/vmcore/vmcore-log.h"
#include "tests/unit/vmcore-make.h"

static int fd = -1;
static char path[64];

enum { RESERVED, COMMITTED, FINALIZED, REUSABLE };

/* Record id with its text at begin; next is where the block ends. */
static void put(struct mk *m, uint64_t id, uint64_t state, uint64_t begin, uint64_t next,
		const char *text)
{
	size_t i = id % (1 << MK_DESC_BITS), len = strlen(text);
	uint64_t at = begin;

	mk_set(m, MK_DESCS + i * MK_DESC_SIZE, state << 62 | id, 8);
	mk_set(m, MK_DESCS + i * MK_DESC_SIZE + 8, begin, 8);
	mk_set(m, MK_DESCS + i * MK_DESC_SIZE + 16, next, 8);
	mk_set(m, MK_INFOS + i * MK_INFO_SIZE, id, 8);
	mk_set(m, MK_INFOS + i * MK_INFO_SIZE + 8, id * 1000000001, 8);
	mk_set(m, MK_INFOS + i * MK_INFO_SIZE + 16, len, 2);
	mk_set(m, MK_INFOS + i * MK_INFO_SIZE + 20, id % 2 ? 40 + id : 1U << 31, 4);
	if (begin >> MK_DATA_BITS != (next - 1) >> MK_DATA_BITS)
		at = 0; /* a block that has no room at the end is at the start */
	at %= 1 << MK_DATA_BITS;
	memcpy(m->memory + MK_IMAGE_AT + MK_DATA + at + 8, text, len);
	mk_set(m, MK_HEAD, id, 8);
}

static int read_log(struct mk *m, size_t max, struct buf *out, size_t *lost, struct err *err)
{
	auto_cleanup(buf) file = {0};
	auto_vmcore v = NULL;

	mk_kdump(m, &file);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, file.data, file.len, 0), file.len);
	assert_int_equal(vmcore_open(path, &v, err), 0);
	buf_reset(out);
	return vmcore_log(v, max, out, lost, err);
}

/*
 * The first record ends with the buffer, or has no room there and is at its start; positions begin
 * at a turn of the buffer. In a kernel that has just booted the first turn's is the highest number.
 */
enum { FITS, WRAPS, WRAPS_POSITIONS, N_MAKES };

static void make(struct mk *m, enum arch arch, int how)
{
	uint64_t at = how == WRAPS_POSITIONS ? -(2ULL << MK_DATA_BITS) : 0;

	mk_init(m, arch);
	mk_ring(m);
	mk_set(m, MK_TAIL, 6, 8);
	put(m, 6, FINALIZED, at + (how ? 0x3f0 : 0x3e0), at + (how ? 0x420 : 0x400), "the first");
	put(m, 7, FINALIZED, at + 0x420, at + 0x440, "two\nlines");
	put(m, 8, FINALIZED, 3, 3, "");
	put(m, 9, FINALIZED, at + 0x440, at + 0x4a0, "a \x1b[31m byte");
	put(m, 10, COMMITTED, at + 0x4a0, at + 0x4c0, "may grow");
	put(m, 11, RESERVED, at + 0x4c0, at + 0x4e0, "in the making");
}

#define LINE6 "[    6.000000][    C0] the first\n"
#define LINE7 "[    7.000000][   T47] two\n[    7.000000][   T47] lines\n"
#define LINE8 "[    8.000000][    C0] \n"
#define LINE9 "[    9.000000][   T49] a \x1b[31m byte\n"
#define LINE10 "[   10.000000][    C0] may grow\n"

static void records(void **state)
{
	static const enum arch arches[] = {ARCH_AMD64, ARCH_ARM64};
	auto_cleanup(buf) got = {0};
	struct err err = {0};
	size_t lost = 9;

	(void)state;
	for (size_t a = 0; a < N_MAKES * array_len(arches); a++) {
		auto_cleanup(mk) m = {0};

		make(&m, arches[a / N_MAKES], a % N_MAKES);
		assert_int_equal(read_log(&m, 1 << 20, &got, &lost, &err), 0);
		assert_string_equal(got.data, LINE6 LINE7 LINE8 LINE9 LINE10);
		assert_int_equal(lost, 0);
		/* the newest that have room */
		assert_int_equal(read_log(&m, strlen(LINE9 LINE10) + 3, &got, &lost, &err), 0);
		assert_string_equal(got.data, LINE9 LINE10);
		assert_int_equal(read_log(&m, 0, &got, &lost, &err), 0);
		assert_int_equal(got.len, 0);
	}
}

static void damaged_records(void **state)
{
	static const struct {
		uint64_t state, id_error, begin, next;
	} cases[] = {
		{FINALIZED, 0, 1, 1},		   /* its text did not fit */
		{FINALIZED, 16, 0x400, 0x420},	   /* of another turn */
		{FINALIZED, 0, 0x420, 0x400},	   /* ends before it begins */
		{FINALIZED, 0, 0x400, 0x404},	   /* no room for what a block begins with */
		{FINALIZED, 0, 0x400, 0x401},	   /* not aligned */
		{FINALIZED, 0, 0, 1ULL << 40},	   /* larger than the buffer */
		{FINALIZED, 0, 1ULL << 63, -8ULL}, /* the same */
	};
	auto_cleanup(buf) got = {0};
	struct err err = {0};
	size_t lost;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(mk) m = {0};

		make(&m, ARCH_AMD64, FITS);
		put(&m, 7, cases[i].state, 0x420, 0x440, "two\nlines");
		mk_set(&m, MK_DESCS + 7 * MK_DESC_SIZE,
		       cases[i].state << 62 | (7 + cases[i].id_error), 8);
		mk_set(&m, MK_DESCS + 7 * MK_DESC_SIZE + 8, cases[i].begin, 8);
		mk_set(&m, MK_DESCS + 7 * MK_DESC_SIZE + 16, cases[i].next, 8);
		mk_set(&m, MK_HEAD, 11, 8);
		assert_int_equal(read_log(&m, 1 << 20, &got, &lost, &err), 0);
		assert_string_equal(got.data, LINE6 LINE8 LINE9 LINE10);
		assert_int_equal(lost, 1);
	}
}

static void long_text(void **state)
{
	auto_cleanup(buf) got = {0};
	auto_cleanup(mk) m = {0};
	struct err err = {0};
	size_t lost;

	(void)state;
	make(&m, ARCH_AMD64, FITS);
	/* says that it is longer than its block */
	mk_set(&m, MK_INFOS + 7 * MK_INFO_SIZE + 16, 0xffff, 2);
	assert_int_equal(read_log(&m, 1 << 20, &got, &lost, &err), 0);
	assert_int_equal(lost, 0);
	assert_int_equal(got.len, strlen(LINE6 LINE7 LINE8 LINE9 LINE10) + 0x20 - 8 - 9);
}

static void no_log(void **state)
{
	static const struct {
		size_t at, len;
		uint64_t value;
	} cases[] = {
		{0, 8, 0},
		{0, 8, 0xffffffffffffff00},
		{MK_COUNT_BITS, 4, 64},
		{MK_COUNT_BITS, 4, 23},
		{MK_COUNT_BITS, 4, 2}, /* more records than there is room for */
		{MK_SIZE_BITS, 4, 32},
		{MK_TAIL, 8, 12}, /* behind the head */
		{MK_TAIL, 8, 0},
	};
	auto_cleanup(buf) got = {0};
	size_t lost;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(mk) m = {0};
		struct err err = {0};

		make(&m, ARCH_AMD64, FITS);
		mk_set(&m, cases[i].at, cases[i].value, cases[i].len);
		if (read_log(&m, 1 << 20, &got, &lost, &err) != -EBADMSG ||
		    !strstr(err.msg, "makes no sense"))
			fail_msg("case %zu: %s", i, err.msg);
	}
	for (int i = 0; i < 2; i++) {
		auto_cleanup(mk) m = {0};
		struct err err = {0};

		make(&m, ARCH_AMD64, FITS);
		if (i)
			memcpy(strstr(m.info.data, "SIZE(prb_desc)=24"), "SIZE(prb_desc)=99999\n",
			       21);
		else
			*strstr(m.info.data, "SYMBOL(prb)") = 'X';
		assert_int_equal(read_log(&m, 1 << 20, &got, &lost, &err), i ? -EBADMSG : -ENODATA);
	}
}

/* Records that all are nowhere: it ends. */
static void nowhere(void **state)
{
	auto_cleanup(buf) got = {0};
	auto_cleanup(mk) m = {0};
	struct err err = {0};
	size_t lost;

	(void)state;
	make(&m, ARCH_ARM64, WRAPS);
	mk_set(&m, MK_COUNT_BITS, 22, 4);
	mk_set(&m, MK_RING + 8, 0xffff800000000000, 8);
	mk_set(&m, MK_HEAD, (1 << 22) + 5, 8);
	assert_int_equal(read_log(&m, 1 << 20, &got, &lost, &err), 0);
	assert_int_equal(got.len, 0);
	assert_true(lost >= 1000 && lost < 1 << 20);
}

static int open_group(void **state)
{
	(void)state;
	fd = memfd_create("vmcore", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),   cmocka_unit_test(damaged_records),
		cmocka_unit_test(long_text), cmocka_unit_test(no_log),
		cmocka_unit_test(nowhere),
	};

	return cmocka_run_group_tests(tests, open_group, NULL);
}
