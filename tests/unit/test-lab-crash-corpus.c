/*
 * Every sample of tests/data/crash is called what expected.tab says; its README tells how to add
 * one. UPDATE_GOLDEN=1 rewrites the table: read the difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/crash/crash.h"

#define FOLDER "tests/data/crash"
#define TABLE FOLDER "/expected.tab"

enum { SAMPLES = 150, TYPES = 40, NO_CRASH = 30 };

/* "NAME <tab> TITLE <tab> TYPE <tab> SIGNATURE <tab> GUILTY <tab> MARKS", "-" for nothing */
static char *line_of(const char *name, const char *text, size_t len)
{
	auto_cleanup(crashes) found = {0};
	const struct crash *c;
	auto_cleanup(buf) marks = {0};

	crashes_find(text, len, true, &found);
	c = crashes_main(&found);
	if (!c)
		return str_printf("%s\t-", name);
	buf_adds(&marks, c->corrupted ? " corrupted" : "");
	buf_adds(&marks, c->fatal ? " fatal" : "");
	buf_adds(&marks, c->oops ? " oops" : "");
	buf_adds(&marks, c->stall ? " stall" : "");
	buf_adds(&marks, c->warning ? " warning" : "");
	return str_printf("%s\t%s\t%s\t%s\t%s\t%s", name, c->title, c->type, c->signature,
			  c->guilty ? c->guilty : "-", marks.len ? marks.data + 1 : "-");
}

static void sample_names(struct strv *ret)
{
	auto_closedir DIR *d = opendir(FOLDER);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (str_ends(e->d_name, ".txt"))
			strv_take(ret, xstrndup(e->d_name, strlen(e->d_name) - 4));
	strv_sort(ret);
}

static void read_table(struct strv *comments, struct strv *lines)
{
	auto_cleanup(buf) table = {0};

	assert_int_equal(io_read_file(AT_FDCWD, TABLE, 1 << 20, &table, NULL), 0);
	for (char *rest = table.data, *line; (line = strsep(&rest, "\n"));)
		if (*line)
			strv_add(*line == '#' ? comments : lines, line);
}

static const char *expected(const struct strv *lines, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < lines->n; i++)
		if (strncmp(lines->items[i], name, n) == 0 && lines->items[i][n] == '\t')
			return lines->items[i];
	return "";
}

static void rewrite(const struct strv *comments, const struct strv *got)
{
	auto_cleanup(buf) text = {0};

	for (size_t i = 0; i < comments->n; i++)
		buf_addf(&text, "%s\n", comments->items[i]);
	for (size_t i = 0; i < got->n; i++)
		buf_addf(&text, "%s\n", got->items[i]);
	assert_int_equal(io_write_atomic(AT_FDCWD, TABLE, text.data, text.len, 0644, NULL), 0);
}

static void test_samples(void **state)
{
	auto_cleanup(strv) names = {0}, comments = {0}, lines = {0}, got = {0};
	int wrong = 0;

	(void)state;
	sample_names(&names);
	read_table(&comments, &lines);
	for (size_t i = 0; i < names.n; i++) {
		auto_free char *path = str_printf(FOLDER "/%s.txt", names.items[i]);
		auto_cleanup(buf) text = {0};
		const char *want = expected(&lines, names.items[i]);

		assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &text, NULL), 0);
		strv_take(&got, line_of(names.items[i], text.data, text.len));
		if (str_eq(got.items[i], want))
			continue;
		print_error("%s\n  expected %s\n", got.items[i], want);
		wrong++;
	}
	if (getenv("UPDATE_GOLDEN"))
		rewrite(&comments, &got);
	assert_int_equal(wrong, 0);
	assert_int_equal(lines.n, names.n);
}

/* What the corpus is worth: how many samples, of how many kinds, how many that name nothing. */
static void test_breadth(void **state)
{
	auto_cleanup(strv) comments = {0}, lines = {0}, kinds = {0};
	size_t none = 0;

	(void)state;
	read_table(&comments, &lines);
	for (size_t i = 0; i < lines.n; i++) {
		auto_cleanup(strv) column = {0};
		auto_free char *kind = NULL;

		strv_split(&column, lines.items[i], '\t');
		assert_true(column.n == 2 || column.n == 6);
		if (column.n == 2) {
			none++;
			continue;
		}
		kind = xstrndup(column.items[3], strcspn(column.items[3], ":"));
		if (!strv_has(&kinds, kind))
			strv_add(&kinds, kind);
	}
	print_message("%zu samples of %zu kinds, %zu that name nothing\n", lines.n, kinds.n, none);
	assert_true(lines.n >= SAMPLES);
	assert_true(kinds.n >= TYPES);
	assert_true(none >= NO_CRASH);
}

/* Samples called BUG@… are of one bug: one signature. */
static void test_signatures(void **state)
{
	auto_cleanup(strv) comments = {0}, lines = {0};

	(void)state;
	read_table(&comments, &lines);
	for (size_t i = 1; i < lines.n; i++) {
		auto_cleanup(strv) a = {0}, b = {0};
		size_t same = strcspn(lines.items[i], "@\t");

		if (lines.items[i][same] != '@' ||
		    strncmp(lines.items[i], lines.items[i - 1], same + 1) != 0)
			continue;
		strv_split(&a, lines.items[i - 1], '\t');
		strv_split(&b, lines.items[i], '\t');
		if (!str_eq(a.items[3], b.items[3]))
			fail_msg("%s: %s, but %s: %s", a.items[0], a.items[3], b.items[0],
				 b.items[3]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_breadth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
