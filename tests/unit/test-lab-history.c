/* history.h: what was written is read, what is not right counts as nothing, the nearest one is a
 * guess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/kbuild/history.h"

static char cache[] = "/tmp/test-history-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(cache))
		return -1;
	return setenv("LAB_CACHE", cache, 1);
}

static int tear_down(void **state)
{
	(void)state;
	unsetenv("LAB_CACHE");
	return io_remove_tree(AT_FDCWD, cache, NULL);
}

static void expectations(void **state)
{
	static const struct {
		const char *name;
		enum arch arch;
		unsigned int objects; /* written after it was asked for */
		unsigned int expected;
	} rows[] = {
		{"6.1+guest", ARCH_AMD64, 2200, 2190}, /* the guess */
		{"6.1+guest", ARCH_AMD64, 2201, 2200}, /* its own */
		{"6.5", ARCH_ARM64, 1500, 2201},       /* another, for want of a better one */
		{"6.1+guest", ARCH_ARM64, 0, 2201},    /* of the same name */
		{"6.5", ARCH_AMD64, 0, 1500},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		const struct kbuild_history h = {.seconds = 7, .objects = rows[i].objects};
		struct kbuild_history got;

		assert_int_equal(history_expect(rows[i].name, rows[i].arch), rows[i].expected);
		if (!rows[i].objects)
			continue;
		history_write(rows[i].name, rows[i].arch, &h);
		kbuild_history(rows[i].name, rows[i].arch, &got);
		assert_int_equal(got.seconds, 7);
		assert_int_equal(got.objects, rows[i].objects);
	}
}

static void what_is_not_right(void **state)
{
	static const char much[] = "1 2 and much more than such a file ever has, really\n"
				   "it is longer than that";
	static const char *const texts[] = {"", "1", "a b", "1 2 3", "-1 2", "99999999999 1", much};
	auto_free char *dir = path_join(cache, "builds");
	auto_free char *path = path_join(dir, "9-amd64.history");

	(void)state;
	assert_int_equal(io_mkdirs(dir, 0755, NULL), 0);
	for (size_t i = 0; i < array_len(texts); i++) {
		struct kbuild_history got = {1, 1};

		io_write_atomic(AT_FDCWD, path, texts[i], strlen(texts[i]), 0644, NULL);
		kbuild_history("9", ARCH_AMD64, &got);
		assert_int_equal(got.seconds, 0);
		assert_int_equal(got.objects, 0);
	}
}

static void an_unfinished_build(void **state)
{
	const struct kbuild_history h = {.seconds = 30, .objects = 400};
	struct kbuild_history got;

	(void)state;
	history_read_part(cache, &got);
	assert_int_equal(got.objects, 0);
	history_write_part(cache, &h);
	history_read_part(cache, &got);
	assert_int_equal(got.objects, 400);
	history_write_part(cache, NULL);
	history_read_part(cache, &got);
	assert_int_equal(got.seconds, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expectations),
		cmocka_unit_test(what_is_not_right),
		cmocka_unit_test(an_unfinished_build),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
