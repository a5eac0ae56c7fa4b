/* opts.h: one table is parsed and printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/base/opts.h"

struct args {
	bool json, colour;
	const char *out;
	struct strv kernels, ro;
	unsigned int jobs;
	int64_t offset, timeout_ms;
	uint64_t limit_bytes;
};

static const struct opt table[] = {
	{'j', "json", NULL, OPT_FLAG, offsetof(struct args, json), "machine-readable"},
	{0, "no-colour", NULL, OPT_NEGATION, offsetof(struct args, colour), "plain"},
	{'o', "out", "DIR", OPT_STRING, offsetof(struct args, out), "folder"},
	{'k', "kernel", "K[,K...]", OPT_STRV, offsetof(struct args, kernels), "kernels\nto run on"},
	{0, "ro", "PATH", OPT_APPEND, offsetof(struct args, ro), "read-only"},
	{'J', "jobs", "N", OPT_U32, offsetof(struct args, jobs), "at once"},
	{0, "offset", "N", OPT_INT64, offsetof(struct args, offset), "may be negative"},
	{0, "timeout", "TIME", OPT_MS, offsetof(struct args, timeout_ms), "limit"},
	{0, "limit-of-a-stream", "SIZE", OPT_BYTES, offsetof(struct args, limit_bytes), "limit"},
};

enum { ARGS_MAX = 12 };

static int parse(enum opts_how how, const char *const words[], struct args *args, int *operands,
		 char *argv[ARGS_MAX], struct err *err)
{
	int argc = 0;

	argv[argc++] = (char *)"prog";
	for (size_t i = 0; words[i]; i++)
		argv[argc++] = (char *)words[i];
	argv[argc] = NULL;
	*args = (struct args){.colour = true, .jobs = 1};
	return opts_parse(table, array_len(table), how, argc, argv, args, operands, err);
}

static void deinit(struct args *args)
{
	strv_deinit(&args->kernels);
	strv_deinit(&args->ro);
}

static void fills_the_struct(void **state)
{
	static const char *const words[] = {"-jk", "6.1, 6.12", "--kernel=all", "--ro",
					    "a,b", "--jobs=4",	"--offset=-7",	"--no-colour",
					    "-oX", NULL};
	struct err err = {0};
	char *argv[ARGS_MAX];
	struct args a;
	int operands;

	(void)state;
	assert_int_equal(parse(OPTS_ANYWHERE, words, &a, &operands, argv, &err), 0);
	assert_true(a.json);
	assert_false(a.colour);
	assert_string_equal(a.out, "X");
	assert_int_equal(a.kernels.n, 3);
	assert_string_equal(a.kernels.items[1], "6.12");
	assert_string_equal(a.kernels.items[2], "all");
	assert_int_equal(a.ro.n, 1);
	assert_string_equal(a.ro.items[0], "a,b");
	assert_int_equal(a.jobs, 4);
	assert_int_equal(a.offset, -7);
	assert_int_equal(operands, 10);
	deinit(&a);
}

static void units(void **state)
{
	static const char *const words[] = {"--timeout", "2m", "--limit-of-a-stream=64K", NULL};
	char *argv[ARGS_MAX];
	struct args a;
	int operands;

	(void)state;
	assert_int_equal(parse(OPTS_ANYWHERE, words, &a, &operands, argv, NULL), 0);
	assert_int_equal(a.timeout_ms, 120000);
	assert_int_equal(a.limit_bytes, 65536);
	deinit(&a);
}

static void operands_end_options_or_not(void **state)
{
	static const char *const words[] = {"cmd", "-j", "--", "--json", NULL};
	char *argv[ARGS_MAX];
	struct args a;
	int operands;

	(void)state;
	assert_int_equal(parse(OPTS_ANYWHERE, words, &a, &operands, argv, NULL), 0);
	assert_true(a.json);
	assert_string_equal(argv[operands], "cmd");
	assert_string_equal(argv[operands + 1], "--json");
	assert_int_equal(parse(OPTS_BEFORE_CMD, words, &a, &operands, argv, NULL), 0);
	assert_false(a.json);
	assert_int_equal(operands, 1);
	assert_string_equal(argv[2], "-j");
}

static void mistakes_are_one_line(void **state)
{
	static const struct {
		const char *words[3];
		const char *text;
	} rows[] = {
		{{"--kernle", "6.1"}, "unknown option '--kernle' (did you mean --kernel?)"},
		{{"--zzzzzzzz"}, "unknown option '--zzzzzzzz'"},
		{{"-Z"}, "unknown option '-Z'"},
		{{"-jZ"}, "unknown option '-Z'"},
		{{"--json=1"}, "--json takes no value"},
		{{"--help=1"}, "--help takes no value"},
		{{"--out"}, "--out needs a value"},
		{{"-k"}, "-k needs a value"},
		{{"--jobs", "many"}, "--jobs: 'many' is not a number"},
		{{"-J-1"}, "--jobs: '-1' is not a number"},
		{{"--jobs", "4294967296"}, "--jobs: '4294967296' is not a number"},
		{{"--offset", "1x"}, "--offset: '1x' is not a number"},
		{{"--timeout", "soon"},
		 "--timeout: 'soon' is not a time like 500ms, 30s, 2m or 1h"},
		{{"--limit-of-a-stream", "1X"},
		 "--limit-of-a-stream: '1X' is not a size like 65536, 64K, 10M or 2G"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		struct err err = {0};
		char *argv[ARGS_MAX];
		struct args a;
		int operands = -7;

		assert_int_equal(parse(OPTS_ANYWHERE, rows[i].words, &a, &operands, argv, &err),
				 -EINVAL);
		assert_string_equal(err.msg, rows[i].text);
		assert_int_equal(operands, -7);
		deinit(&a);
	}
}

static void help_is_known(void **state)
{
	static const char *const spellings[][3] = {{"-h"}, {"--help"}, {"-j", "--help"}};
	char *argv[ARGS_MAX];
	struct args a;
	int operands;

	(void)state;
	for (size_t i = 0; i < array_len(spellings); i++)
		assert_int_equal(parse(OPTS_BEFORE_CMD, spellings[i], &a, &operands, argv, NULL),
				 1);
}

static void help_lists_the_table(void **state)
{
	auto_free char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	opts_print(f, table, array_len(table));
	fclose(f);
	assert_non_null(strstr(text, "\n  -k, --kernel K[,K...]       kernels\n"
				     "                              to run on\n"));
	assert_non_null(strstr(text, "\n      --ro PATH               read-only\n"));
	assert_non_null(strstr(text, "\n      --limit-of-a-stream SIZE\n"
				     "                              limit\n"));
	assert_non_null(strstr(text, "\n  -h, --help "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_the_struct),
		cmocka_unit_test(units),
		cmocka_unit_test(operands_end_options_or_not),
		cmocka_unit_test(mistakes_are_one_line),
		cmocka_unit_test(help_is_known),
		cmocka_unit_test(help_lists_the_table),
	};

	return cmocka_run_group_tests_name("opts", tests, NULL, NULL);
}
