/* err.h: a plain value that says what failed; and arch.h's names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"

static void sets(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(err_set(&err, EINVAL, "line %d", 3), -EINVAL);
	assert_int_equal(err.code, EINVAL);
	assert_string_equal(err.msg, "line 3");
	err_set(&err, EINVAL, "\033[31m%s\x7f", "\t\né\r");
	assert_string_equal(err.msg, "?[31m\t\né??");
	errno = ENOENT;
	assert_int_equal(err_errno(&err, "open %s", "f"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.msg, "open f: No such file or directory");
	errno = 0; /* a failure stays one */
	assert_int_equal(err_errno(&err, "x"), -EIO);
}

static void wraps(void **state)
{
	struct err err = {0}, empty = {0};

	(void)state;
	err_set(&err, ENOSPC, "write f");
	assert_int_equal(err_wrap(&err, "cell %d", 7), -ENOSPC);
	assert_string_equal(err.msg, "cell 7: write f");
	assert_int_equal(err_wrap(&err, "run"), -ENOSPC);
	assert_string_equal(err.msg, "run: cell 7: write f");
	assert_int_equal(err_wrap(&empty, "never"), -EIO);
}

static void text_is_optional(void **state)
{
	(void)state;
	errno = EPERM;
	assert_int_equal(err_errno(NULL, "x"), -EPERM);
	assert_int_equal(err_set(NULL, EBADF, "x"), -EBADF);
	assert_int_equal(err_wrap(NULL, "x"), -EIO);
}

/* The text is cut at the end, always terminated, however long the pieces are. */
static void long_texts_are_cut(void **state)
{
	static const size_t lengths[] = {400, 490, 492, 493, 494, 495, 496, 497, 600};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char text[601];
		struct err err;

		memset(text, 'l', sizeof(text));
		text[lengths[i]] = '\0';
		memset(&err, 'z', sizeof(err));
		err_set(&err, EINVAL, "%s", text);
		assert_int_equal(strlen(err.msg), lengths[i] < 495 ? lengths[i] : 495);
		err_wrap(&err, "%s", text);
		assert_int_equal(strnlen(err.msg, sizeof(err.msg)), 495);
		errno = ENAMETOOLONG;
		err_errno(&err, "%s", text);
		assert_in_range(strnlen(err.msg, sizeof(err.msg)), 400, 495);
		assert_int_equal(err.msg[0], 'l');
	}
}

static void architectures(void **state)
{
	static const char *const unknown[] = {"",	"mips", "AMD64",
					      "amd64 ", "x86",	"x86_64-linux-gnu"};

	(void)state;
	assert_int_equal(arch_parse("amd64"), ARCH_AMD64);
	assert_int_equal(arch_parse("x86_64"), ARCH_AMD64);
	assert_int_equal(arch_parse("arm64"), ARCH_ARM64);
	assert_int_equal(arch_parse("aarch64"), ARCH_ARM64);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_int_equal(arch_parse(unknown[i]), -EINVAL);
	for (int a = 0; a < ARCH_COUNT; a++) {
		assert_int_equal(arch_parse(arch_name(a)), a);
		assert_int_equal(arch_parse(arch_machine(a)), a);
		assert_int_equal(strncmp(arch_triplet(a), arch_machine(a), strlen(arch_machine(a))),
				 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets),
		cmocka_unit_test(wraps),
		cmocka_unit_test(text_is_optional),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(architectures),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
