#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/scenario/scenario-load.h"

#define TREE "tests/data/scenario/tree/"

static void test_names(void **state)
{
	static const struct {
		const char *paths[2], *filter, *names;
	} rows[] = {
		{{TREE "scenarios"}, NULL, "a sub/b"},
		{{TREE "scenarios/"}, NULL, "a sub/b"},
		{{"./" TREE}, "[!o]*", NULL}, /* two called "a" */
		{{TREE "scenarios/sub"}, NULL, "sub/b"},
		{{TREE "scenarios/sub/b.yml"}, NULL, "sub/b"},
		{{TREE "scenarios/sub/../a.yml"}, NULL, "a"},
		{{TREE "other/scenarios"}, NULL, "a"},
		{{TREE "scenarios/sub/b.yml", TREE "scenarios"}, NULL, "a sub/b"},
		{{TREE "scenarios"}, "sub/*", "sub/b"},
		{{TREE}, "sub/*", "sub/b"},
		{{TREE "scenarios"}, "*", "a sub/b"},
		{{"tests/data/scenario/good"}, "m*", "memory-number minimal"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		char *paths[2] = {(char *)rows[i].paths[0], (char *)rows[i].paths[1]};
		auto_cleanup(scenario_set) set = {0};
		auto_cleanup(strv) mistakes = {0};
		auto_cleanup(buf) names = {0};
		struct err err = {0};
		int r = scenario_load(paths, paths[1] ? 2 : 1, rows[i].filter, &set, &mistakes,
				      &err);

		if (!rows[i].names) {
			assert_int_equal(r, -EINVAL);
			continue;
		}
		if (r < 0)
			fail_msg("%s: %s", paths[0], err.msg);
		for (size_t k = 0; k < set.n; k++)
			buf_addf(&names, "%s%s", k ? " " : "", set.items[k].name);
		assert_string_equal(names.data, rows[i].names);
	}
}

static void load_fails(const char *path, const char *filter, int code, struct strv *mistakes,
		       struct err *err)
{
	char *paths[] = {(char *)path};
	struct scenario_set set = {0};

	assert_int_equal(scenario_load(paths, 1, filter, &set, mistakes, err), code);
	assert_null(set.items);
	assert_int_equal(err->code, -code);
}

static void test_none(void **state)
{
	static const struct {
		const char *path, *filter, *message;
	} rows[] = {
		{TREE "nix", NULL, TREE "nix: no such scenario or folder"},
		{TREE "empty", NULL, TREE "empty: no scenario in this folder"},
		{TREE "empty/readme.txt", NULL,
		 TREE "empty/readme.txt: a scenario's name must end in .yml"},
		{TREE "scenarios/sub/p.policy.yml", NULL,
		 TREE "scenarios/sub/p.policy.yml: this is a policy"},
		{TREE "scenarios", "z*", "no scenario is called like 'z*' (2 are there"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		auto_cleanup(strv) mistakes = {0};
		struct err err = {0};

		load_fails(rows[i].path, rows[i].filter, -ENOENT, &mistakes, &err);
		if (!str_starts(err.msg, rows[i].message))
			fail_msg("%s, expected %s", err.msg, rows[i].message);
		assert_int_equal(mistakes.n, 0);
	}
}

/* All mistakes of all files at once. */
static void test_mistakes(void **state)
{
	static const char *const wanted[] = {
		TREE "wrong/broken.yml: No such file or directory",
		TREE "wrong/files.yml:3:5: helper.py does not exist",
		TREE "wrong/files.yml:4:5: out leads out of the scenario's folder by a link",
		TREE "wrong/files.yml:5:5: folder is not a regular file",
		TREE "wrong/files.yml:6:5: a.txt/b does not exist (a part of its path is a file)",
		TREE "wrong/key.yml:1:1: unknown key 'rum' in a scenario (did you mean 'run'?)",
		TREE "wrong/modules.yml:2:20: module nix/: there is no Kbuild or Makefile in " TREE
		     "wrong/nix",
		TREE
		"wrong/modules.yml:2:26: module nix: there is no Kbuild or Makefile in ./vm/nix",
	};
	auto_cleanup(strv) mistakes = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(setenv("LAB_HOME", ".", 1), 0);
	load_fails(TREE "wrong", NULL, -EINVAL, &mistakes, &err);
	assert_string_equal(err.msg, wanted[0]);
	assert_int_equal(mistakes.n, array_len(wanted));
	for (size_t i = 0; i < array_len(wanted); i++)
		assert_string_equal(mistakes.items[i], wanted[i]);
}

static void test_many_mistakes(void **state)
{
	auto_cleanup(strv) mistakes = {0};
	struct err err = {0};

	(void)state;
	load_fails("tests/data/scenario/bad", NULL, -EINVAL, &mistakes, &err);
	assert_int_equal(mistakes.n, SCENARIO_LOAD_MAX_MISTAKES + 1);
	assert_true(str_starts(mistakes.items[SCENARIO_LOAD_MAX_MISTAKES], "… and "));
}

static void test_duplicate(void **state)
{
	auto_cleanup(strv) mistakes = {0};
	struct err err = {0};

	(void)state;
	load_fails(TREE, "a", -EINVAL, &mistakes, &err);
	assert_string_equal(err.msg,
			    TREE "scenarios/a.yml: a second scenario called a (the other is " TREE
				 "other/scenarios/a.yml)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_none),
		cmocka_unit_test(test_mistakes),  cmocka_unit_test(test_many_mistakes),
		cmocka_unit_test(test_duplicate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
