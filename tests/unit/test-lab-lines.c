/* Lines of this program's own debug information. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

#include "jail/base/str.h"
#include "lab/vmcore/lines.h"

static __attribute__((noinline)) uint64_t where(void)
{
	asm volatile(""); /* two calls are two */
	return (uint64_t)__builtin_return_address(0);
}

static int line_of_call;
static inline __attribute__((always_inline)) uint64_t inlined(void)
{
	line_of_call = __LINE__ + 1;
	return where();
}

static int take_slide(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	*(uint64_t *)data = info->dlpi_addr;
	return 1; /* the program is the first */
}

static void test_find(void **state)
{
	auto_free char *expected = NULL, *found = NULL;
	struct lines *l = NULL;
	struct err err = {0};
	uint64_t slide, at;

	(void)state;
	dl_iterate_phdr(take_slide, &slide);
	assert_int_equal(lines_open("/proc/self/exe", &l, &err), 0);
	at = where() - 1 - slide;
	expected = str_printf("tests/unit/test-lab-lines.c:%d", __LINE__ - 1);
	found = lines_find(l, at);
	assert_non_null(found);
	assert_string_equal(found, expected);
	free(take_ptr(expected));
	free(take_ptr(found));
	at = inlined() - 1 - slide;
	expected = str_printf("tests/unit/test-lab-lines.c:%d, inlined at "
			      "tests/unit/test-lab-lines.c:%d",
			      line_of_call, __LINE__ - 3);
	found = lines_find(l, at);
	assert_non_null(found);
	assert_string_equal(found, expected);
	assert_null(lines_find(l, 0));
	assert_null(lines_find(l, UINT64_MAX));
	assert_null(lines_find(l, (uint64_t)&environ - slide));
	lines_close(l);
	lines_close(NULL);
}

static void test_refused(void **state)
{
	char empty[] = "/tmp/lab-lines-XXXXXX";
	struct lines *l = NULL;
	struct err err = {0};
	int fd = mkstemp(empty);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(lines_open(empty, &l, &err), -EBADMSG);
	assert_int_equal(write(fd, "\177ELF\2\1\1", 7), 7);
	assert_int_equal(lines_open(empty, &l, &err), -ENODATA);
	close(fd);
	unlink(empty);
	assert_int_equal(lines_open(empty, &l, &err), -ENOENT);
	assert_null(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
