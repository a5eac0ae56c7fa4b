#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/base/kver.h"
#include "jail/base/str.h"

static void test_versions(void **state)
{
	static const struct {
		const char *text;
		unsigned int part[3];
	} good[] = {
		{"6.1", {6, 1, 0}},
		{"6.1.176", {6, 1, 176}},
		{"6.1.0-50-cloud-amd64", {6, 1, 0}},
		{"6.12.95+deb13-arm64", {6, 12, 95}},
		{"7.2-rc3", {7, 2, 0}},
		{"6", {6, 0, 0}},
		{"6.1.2.3", {6, 1, 2}},
		{"6.", {6, 0, 0}},
	};
	static const char *const bad[] = {"",	  "v6.1",	 "-1",	   "latest",
					  " 6.1", "99999999999", "6.70000"};
	struct kver v;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < array_len(good); i++) {
		assert_int_equal(kver_parse(good[i].text, &v, &err), 0);
		assert_memory_equal(v.part, good[i].part, sizeof(v.part));
	}
	for (size_t i = 0; i < array_len(bad); i++) {
		if (kver_parse(bad[i], &v, &err) != -EINVAL)
			fail_msg("'%s' was accepted", bad[i]);
		assert_non_null(strstr(err.msg, "is not a kernel version"));
	}
}

static void test_ranges(void **state)
{
	static const struct {
		const char *range, *version;
		bool holds;
	} rows[] = {
		{">=5.11", "5.11", true},
		{">=5.11", "5.10.223", false},
		{">=5.11", "6.1", true},
		{"<5.11", "5.10.223", true},
		{"<5.11", "5.11.1", false},
		{"==6.1", "6.1.176", true},
		{"=6.1", "6.1.176", true},
		{"==6.1.175", "6.1.176", false},
		{"!=6.1", "6.1.176", false},
		{"!=6.1", "6.12", true},
		{"<=6.1", "6.1.176", true},
		{">6.1", "6.1.176", false},
		{">6.1", "6.2", true},
		{">=5.10 <6.1", "5.15.1", true},
		{">=5.10, <6.1", "6.1.0", false},
		{" >= 5.10,<6.1 ", "5.10", true},
		{"==6", "6.18.15", true},
		{">=6.9", "6.12", true},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		struct kver_range range;
		struct kver v;

		assert_int_equal(kver_range_parse(rows[i].range, &range, NULL), 0);
		assert_int_equal(kver_parse(rows[i].version, &v, NULL), 0);
		if (kver_in_range(&v, &range) != rows[i].holds)
			fail_msg("%s %s", rows[i].version, rows[i].range);
	}
	assert_true(kver_in_range(&(struct kver){{1, 2, 3}}, &(struct kver_range){0}));
}

static void test_bad_ranges(void **state)
{
	static const char *const bad[] = {
		"",	      " ",
		"6.1",	      ">=",
		"=>6.1",      ">=6.1.x",
		">=5.10-rc1", "<<5.1",
		">>6.1",      "~6.1",
		">=6.1|",     ">=6.1 or <5",
		">=6.1;",     "<1 <1 <1 <1 <1 <1 <1 <1 <1",
	};
	struct kver_range range = {.n = 77};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		if (kver_range_parse(bad[i], &range, &err) != -EINVAL)
			fail_msg("'%s' was accepted", bad[i]);
		assert_true(err.msg[0] && range.n == 77);
	}
}

static void test_compare(void **state)
{
	static const char *const sorted[] = {"5.10", "5.10.1", "5.11", "6.1.9", "6.1.176", "6.12"};

	(void)state;
	for (size_t i = 0; i < array_len(sorted); i++)
		for (size_t k = 0; k < array_len(sorted); k++) {
			struct kver a, b;
			int c;

			assert_int_equal(kver_parse(sorted[i], &a, NULL), 0);
			assert_int_equal(kver_parse(sorted[k], &b, NULL), 0);
			c = kver_compare(&a, &b);
			assert_int_equal((c > 0) - (c < 0), (i > k) - (i < k));
		}
}

static void test_a_range_as_text(void **state)
{
	auto_cleanup(buf) out = {0};
	struct kver_range range;

	(void)state;
	assert_int_equal(kver_range_parse(">= 5.10, <6.1.3 !=6", &range, NULL), 0);
	kver_range_print(&out, &range);
	assert_string_equal(out.data, ">=5.10 <6.1.3 !=6");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),	cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_a_range_as_text), cmocka_unit_test(test_bad_ranges),
		cmocka_unit_test(test_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
