/* str.h: buffers, lists, numbers with units, suggestions, untrusted text, paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/base/str.h"

static void buffer_grows(void **state)
{
	auto_cleanup(buf) b = {0};

	(void)state;
	buf_add(&b, "", 0);
	assert_string_equal(b.data, "");
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "%03d ", i);
	assert_int_equal(b.len, 4000);
	assert_memory_equal(b.data, "000 001 002 ", 12);
	assert_string_equal(b.data + 3992, "998 999 ");
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_add(&b, "a\0b", 3);
	buf_adds(&b, "c");
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "a\0bc", 5);
	buf_deinit(&b);
	assert_null(b.data);
}

static void list_is_an_argv(void **state)
{
	auto_cleanup(strv) v = {0};

	(void)state;
	for (int i = 20; i > 0; i--) {
		strv_addf(&v, "%02d", i);
		assert_null(v.items[v.n]);
	}
	assert_int_equal(v.n, 20);
	assert_true(strv_has(&v, "07"));
	assert_true(strv_equal(&v, &v));
	assert_false(strv_equal(&v, &(struct strv){0}));
	assert_false(strv_has(&v, "7"));
	strv_sort(&v);
	assert_string_equal(v.items[0], "01");
	assert_string_equal(v.items[19], "20");
	assert_null(v.items[20]);
	strv_deinit(&v);
	strv_sort(&v);
	assert_false(strv_has(&v, "01"));
}

static void list_splits(void **state)
{
	static const struct {
		const char *text, *parts; /* joined by | */
	} rows[] = {
		{"", ""},	   {",", ""},	       {" , ,", ""},
		{"6.1", "6.1"},	   {"a,b", "a|b"},     {" a , b c ,", "a|b c"},
		{",,a,,b", "a|b"}, {"\ta\n,b", "a|b"}, {"a;b", "a;b"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		auto_cleanup(strv) v = {0};
		auto_cleanup(buf) joined = {0};

		strv_split(&v, rows[i].text, ',');
		buf_adds(&joined, "");
		for (size_t j = 0; j < v.n; j++)
			buf_addf(&joined, "%s%s", j ? "|" : "", v.items[j]);
		assert_string_equal(joined.data, rows[i].parts);
	}
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t min, max;
		int r;
		uint64_t value;
	} rows[] = {
		{"0", 0, 9, 0, 0},
		{"9", 0, 9, 0, 9},
		{"007", 0, 9, 0, 7},
		{"10", 0, 9, -ERANGE, 0},
		{"4", 5, 9, -ERANGE, 0},
		{"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", 0, UINT64_MAX, -ERANGE, 0},
		{"", 0, 9, -EINVAL, 0},
		{"-1", 0, 9, -EINVAL, 0},
		{"+1", 0, 9, -EINVAL, 0},
		{" 1", 0, 9, -EINVAL, 0},
		{"1 ", 0, 9, -EINVAL, 0},
		{"0x1", 0, 9, -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		uint64_t v = 77;

		assert_int_equal(str_to_u64(rows[i].text, rows[i].min, rows[i].max, &v), rows[i].r);
		assert_true(v == (rows[i].r ? 77 : rows[i].value));
	}
}

static void times(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} rows[] = {
		{"0", 0},	 {"30", 30000},	 {"500ms", 500},
		{"30s", 30000},	 {"2m", 120000}, {"2min", 120000},
		{"1h", 3600000}, {"1.5s", 1500}, {"168h", 604800000},
		{"169h", -1},	 {"", -1},	 {"s", -1},
		{"-1s", -1},	 {"1 s", -1},	 {"1d", -1},
		{"0x10", -1},	 {"1e999", -1},	 {"nan", -1},
		{"inf", -1},	 {"30ss", -1},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		int64_t ms = 77;
		int r = str_to_ms(rows[i].text, &ms);

		assert_int_equal(r, rows[i].ms < 0 ? -EINVAL : 0);
		assert_int_equal(ms, rows[i].ms < 0 ? 77 : rows[i].ms);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t bytes;
	} rows[] = {
		{"0", 0, 0},
		{"65536", 0, 65536},
		{"64K", 0, 65536},
		{"64k", 0, 65536},
		{"10M", 0, 10485760},
		{"2G", 0, 2147483648},
		{"1T", 0, 1099511627776},
		{"16777215T", 0, 16777215ULL << 40},
		{"16777216T", -EINVAL, 0},
		{"18446744073709551616", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"1MB", -EINVAL, 0},
		{"1 M", -EINVAL, 0},
		{"1.5M", -EINVAL, 0},
		{"1P", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		uint64_t v = 77;

		assert_int_equal(str_to_bytes(rows[i].text, &v), rows[i].r);
		assert_true(v == (rows[i].r ? 77 : rows[i].bytes));
	}
}

static void suggestions(void **state)
{
	static const char *const words[] = {"open", "openat", "kernel", "arch", "timeout"};
	static const struct {
		const char *typed, *meant;
	} rows[] = {
		{"opne", "open"},
		{"kernl", "kernel"},
		{"timeuot", "timeout"},
		{"opnat", "openat"},
		{"banana", NULL},
		{"", NULL},
		{"a_word_longer_than_the_sixty_four_bytes_that_are_compared_at_all_really", NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		const char *near = str_nearest(rows[i].typed, words, array_len(words));

		if (rows[i].meant)
			assert_string_equal(near, rows[i].meant);
		else
			assert_null(near);
	}
	assert_null(str_nearest("open", words, 0));
}

static void untrusted_text(void **state)
{
	static const struct {
		const char *text;
		size_t len, max;
		bool newlines;
		const char *shown;
	} rows[] = {
		{"", 0, 80, false, ""},
		{"plain ~", 7, 80, false, "plain ~"},
		{"\033[31mred", 8, 80, false, "?[31mred"},
		{"a\nb", 3, 80, false, "a?b"},
		{"a\nb", 3, 80, true, "a\nb"},
		{"a\rb\b\x7f", 5, 80, true, "a?b??"},
		{"a\tb", 3, 80, false, "a b"},
		{"a\0b", 3, 80, false, "a?b"},
		{"gr\xc3\xbc\xc3\x9f", 6, 80, false, "gr\xc3\xbc\xc3\x9f"},
		{"\xe2\x82\xac\xf0\x9f\x90\xa7", 7, 80, false, "\xe2\x82\xac\xf0\x9f\x90\xa7"},
		{"\xc2\x9b[2J", 5, 80, false, "??[2J"}, /* C1: CSI */
		{"\xe2\x80\xae"
		 "abc",
		 6, 80, false, "???abc"},	       /* right-to-left override */
		{"\xef\xbb\xbf", 3, 80, false, "???"}, /* byte order mark */
		{"\xc0\xaf", 2, 80, false, "??"},      /* overlong */
		{"\xe0\x80\xaf", 3, 80, false, "???"},
		{"\xed\xa0\x80", 3, 80, false, "???"},	    /* surrogate */
		{"\xf4\x90\x80\x80", 4, 80, false, "????"}, /* beyond U+10FFFF */
		{"\xc3", 1, 80, false, "?"},		    /* cut sequence */
		{"\xff\xfe", 2, 80, false, "??"},
		{"abcdef", 6, 6, false, "abcdef"},
		{"abcdef", 6, 5, false, "abcde…"},
		{"ab\xc3\xbc", 4, 3, false, "ab…"}, /* not through a character */
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		auto_cleanup(buf) b = {0};

		buf_adds(&b, "> ");
		str_printable(&b, rows[i].text, rows[i].len, rows[i].max, rows[i].newlines);
		assert_memory_equal(b.data, "> ", 2);
		assert_string_equal(b.data + 2, rows[i].shown);
	}
}

static void paths_inside(void **state)
{
	static const char *const inside[] = {"a",     "a/b",	 "..a",	  "a..",
					     "a/...", ".hidden", "a b/c", "\xc3\xbc"};
	static const char *const outside[] = {"",      "/",    "/a",	 ".",	  "..",
					      "a/..",  "../a", "a/../b", "a//b",  "a/",
					      "a/./b", "a\nb", "\033",	 "a/\x7f"};
	char name[257], path[4097];

	(void)state;
	for (size_t i = 0; i < array_len(inside); i++)
		assert_true(path_is_inside(inside[i]));
	for (size_t i = 0; i < array_len(outside); i++)
		assert_false(path_is_inside(outside[i]));
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	assert_false(path_is_inside(name));
	name[255] = '\0';
	assert_true(path_is_inside(name));
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? '/' : 'p';
	path[4096] = '\0';
	assert_false(path_is_inside(path));
	path[4095] = '\0';
	assert_true(path_is_inside(path));
}

static void paths_join(void **state)
{
	auto_free char *a = path_join("dir", "name"), *b = path_join("/", "name");

	(void)state;
	assert_string_equal(a, "dir/name");
	assert_string_equal(b, "/name");
}

static void ends_of_strings(void **state)
{
	(void)state;
	assert_true(str_starts("lab-results", "lab"));
	assert_true(str_starts("lab", ""));
	assert_false(str_starts("la", "lab"));
	assert_true(str_ends("overlay.yml", ".yml"));
	assert_true(str_ends(".yml", ".yml"));
	assert_false(str_ends("yml", ".yml"));
	assert_null(xstrdup(NULL));
}

static void test_duration(void **state)
{
	static const struct {
		unsigned int seconds;
		const char *text;
	} cases[] = {
		{0, "0 s"},	     {59, "59 s"},	    {60, "1 min 0 s"},
		{265, "4 min 25 s"}, {3599, "59 min 59 s"}, {3600, "1 h 0 min"},
		{3725, "1 h 2 min"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_free char *text = str_duration(cases[i].seconds);

		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),   cmocka_unit_test(buffer_grows),
		cmocka_unit_test(list_is_an_argv), cmocka_unit_test(list_splits),
		cmocka_unit_test(numbers),	   cmocka_unit_test(times),
		cmocka_unit_test(sizes),	   cmocka_unit_test(suggestions),
		cmocka_unit_test(untrusted_text),  cmocka_unit_test(paths_inside),
		cmocka_unit_test(paths_join),	   cmocka_unit_test(ends_of_strings),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
