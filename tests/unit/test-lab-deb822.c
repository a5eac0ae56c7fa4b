/* Stanzas, dependency fields, checksums, and the order of versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/debian/deb822.h"
#include "lab/debian/debver.h"

static void test_stanzas(void **state)
{
	static const char text[] = "\nPackage: a\nversion:  1.0\nDescription: short\n long\n .\n"
				   "Empty:\n \t\n\nPackage: b\n";
	auto_cleanup(deb822) d = {0};
	struct err err = {0};
	ssize_t n = deb822_next(text, sizeof(text) - 1, true, &d, &err), m;

	(void)state;
	assert_true(n > 0);
	assert_string_equal(deb822_get(&d, "Package"), "a");
	assert_string_equal(deb822_get(&d, "VERSION"), "1.0");
	assert_string_equal(deb822_get(&d, "Description"), "short\n long\n .");
	assert_string_equal(deb822_get(&d, "Empty"), "");
	assert_null(deb822_get(&d, "Depends"));
	m = deb822_next(text + n, sizeof(text) - 1 - n, true, &d, &err);
	assert_true(m > 0);
	assert_string_equal(deb822_get(&d, "Package"), "b");
	assert_int_equal(d.n, 1);
	assert_int_equal(n + m, sizeof(text) - 1);
	assert_int_equal(deb822_next("", 0, true, &d, &err), 0);
}

static void test_incomplete(void **state)
{
	auto_cleanup(deb822) d = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(deb822_next("Package: a\n", 11, false, &d, &err), 0);
	assert_int_equal(deb822_next("Package: a", 10, false, &d, &err), 0);
	assert_int_equal(deb822_next("Package: a", 10, true, &d, &err), 10);
	assert_string_equal(deb822_get(&d, "Package"), "a");
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {
		{"no colon\n\n", 10},
		{" continuation\n\n", 15},
		{": no name\n\n", 11},
		{"A: \0\n\n", 6},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(deb822) d = {0};
		struct err err = {0};

		assert_int_equal(deb822_next(cases[i].text, cases[i].len, true, &d, &err),
				 -EBADMSG);
		assert_int_equal(err.code, EBADMSG);
	}
}

static void test_too_much(void **state)
{
	auto_cleanup(buf) text = {0};
	auto_cleanup(deb822) d = {0};

	(void)state;
	for (int i = 0; i <= DEB822_MAX_FIELDS; i++)
		buf_addf(&text, "F%d: x\n", i);
	assert_int_equal(deb822_next(text.data, text.len, true, &d, NULL), -E2BIG);
	buf_reset(&text);
	buf_adds(&text, "F: ");
	buf_reserve(&text, DEB822_MAX_STANZA);
	memset(text.data + text.len, 'x', DEB822_MAX_STANZA);
	text.len += DEB822_MAX_STANZA;
	text.data[text.len] = '\0';
	assert_int_equal(deb822_next(text.data, text.len, false, &d, NULL), -E2BIG);
}

static void test_checksum(void **state)
{
	static const char good[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	auto_cleanup(buf) value = {0};
	char hex[65];
	uint64_t size;

	(void)state;
	buf_addf(&value, "\n abc 12 main/x\n %s 99 main/xy\n %s  1234 main/x", good, good);
	assert_int_equal(deb822_checksum(value.data, "main/x", hex, &size), 0);
	assert_string_equal(hex, good);
	assert_int_equal(size, 1234);
	assert_int_equal(deb822_checksum(value.data, "main", hex, &size), -ENOENT);
}

static void test_depends(void **state)
{
	auto_cleanup(strv) v = {0};

	(void)state;
	deb822_depends("libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0 , python3:any,\n x [amd64] "
		       "<!nocheck>,,",
		       &v);
	assert_int_equal(v.n, 4);
	assert_string_equal(v.items[0], "libc6");
	assert_string_equal(v.items[1], "debconf|debconf-2.0");
	assert_string_equal(v.items[2], "python3");
	assert_string_equal(v.items[3], "x");
}

static void test_versions(void **state)
{
	static const char *const rising[] = {
		"1.0~~",
		"1.0~",
		"1.0~rc1-1",
		"1.0",
		"1.0-0.1",
		"1.0-1~bpo13+1",
		"1.0-1",
		"1.0-1+b1",
		"1.0a",
		"1.0+x",
		"1.0.1",
		"1.2",
		"1.10",
		"6.1.9-1",
		"6.1.176-1",
		"6.12.9-1",
		"6.18.15-1~bpo13+1",
		"2:0",
		"10:0",
	};

	(void)state;
	for (size_t i = 1; i < array_len(rising); i++)
		for (size_t k = 0; k < i; k++) {
			assert_true(debver_compare(rising[k], rising[i]) < 0);
			assert_true(debver_compare(rising[i], rising[k]) > 0);
		}
	assert_int_equal(debver_compare("1.0", "0:1.0"), 0);
	assert_int_equal(debver_compare("1.00", "1.0"), 0);
	assert_int_equal(debver_compare("", ""), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stanzas),	 cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_bad),	 cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_checksum), cmocka_unit_test(test_depends),
		cmocka_unit_test(test_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
