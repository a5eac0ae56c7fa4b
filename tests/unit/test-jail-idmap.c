#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/plan/idmap.h"

static void lookups(void **state)
{
	auto_cleanup(buf) text = {0};
	struct idmap map = {0};

	(void)state;
	assert_int_equal(idmap_add(&map, "--uid-map", "0:1000:1", NULL), 0);
	assert_int_equal(idmap_add(&map, "--uid-map", "10:2000:5", NULL), 0);
	assert_int_equal(idmap_add(&map, "--uid-map", "15:4294967290:5", NULL), 0);
	idmap_print(&map, &text);
	assert_string_equal(text.data, "0 1000 1\n10 2000 5\n15 4294967290 5\n");
	assert_true(idmap_has_inside(&map, 0));
	assert_false(idmap_has_inside(&map, 1));
	assert_true(idmap_has_inside(&map, 14));
	assert_true(idmap_has_inside(&map, 19));
	assert_false(idmap_has_inside(&map, 20));
	assert_int_equal(idmap_to_inside(&map, 1000), 0);
	assert_int_equal(idmap_to_inside(&map, 2004), 14);
	assert_int_equal(idmap_to_inside(&map, 2005), -1);
	assert_int_equal(idmap_to_inside(&map, 4294967294U), 19);
}

static void refused(void **state)
{
	static const char *const table[] = {
		"",
		"1",
		"1:2",
		"1:2:3:4",
		"a:2:3",
		"1:2:3x",
		"1 :2:3:",
		"1::2:3",
		":1:2:3",
		"4294967295:0:1",
		"0:4294967295:1",
		"1:2:0",
		"0:0:4294967296",
		"1:2:4294967295",
		"9:0:1",
		"5:15:1",
		"0:10:6",
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct idmap map = {0};
		struct err err = {0};

		assert_int_equal(idmap_add(&map, "-m", "5:10:5", NULL), 0);
		if (idmap_add(&map, "-m", table[i], &err) != -EINVAL)
			fail_msg("'%s' was accepted", table[i]);
		assert_non_null(strstr(err.msg, "-m"));
		assert_int_equal(map.n, 1);
	}
}

static void too_many(void **state)
{
	struct idmap map = {0};

	(void)state;
	for (unsigned int i = 0; i < IDMAP_MAX; i++) {
		auto_free char *range = str_printf("%u:%u:1", i, i);

		assert_int_equal(idmap_add(&map, "-m", range, NULL), 0);
	}
	assert_int_equal(idmap_add(&map, "-m", "1000:1000:1", NULL), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups),
		cmocka_unit_test(refused),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
