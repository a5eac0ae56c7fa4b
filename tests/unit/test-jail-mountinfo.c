#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/base/str.h"
#include "jail/plan/mountinfo.h"

static void lines(void **state)
{
	auto_free char *text = xstrdup("25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
				       "30 25 0:24 / /a\\040b\\134c "
				       "ro,nosuid,nodev,noexec,noatime,nodiratime - tmpfs t rw\n"
				       "31 25 0:25 / /x\\777 rw - tmpfs t rw\n");
	char *cursor = text;
	const char *point;

	(void)state;
	assert_int_equal(mountinfo_next(&cursor, &point), 1);
	assert_string_equal(point, "/");
	assert_int_equal(mountinfo_next(&cursor, &point), 1);
	assert_string_equal(point, "/a b\\c");
	assert_int_equal(mountinfo_next(&cursor, &point), 1);
	assert_string_equal(point, "/x\\777"); /* no byte has this value */
	assert_int_equal(mountinfo_next(&cursor, &point), 0);
}

static void malformed(void **state)
{
	static const char *const table[] = {
		"25 1 254:0 / / rw",
		"25 1 254:0 /\n",
		"\n",
		"25 1 254:0 / nowhere rw - x y z\n",
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_free char *text = xstrdup(table[i]);
		char *cursor = text;
		const char *point;

		assert_int_equal(mountinfo_next(&cursor, &point), -EINVAL);
	}
}

static void below(void **state)
{
	(void)state;
	assert_true(mountinfo_is_below("/a", "/"));
	assert_true(mountinfo_is_below("/a", "/a"));
	assert_true(mountinfo_is_below("/a/b", "/a"));
	assert_false(mountinfo_is_below("/ab", "/a"));
	assert_false(mountinfo_is_below("/", "/a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(malformed),
		cmocka_unit_test(below),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
