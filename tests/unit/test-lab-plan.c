#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/run/plan.h"

static struct kernel make_kernel(const char *name, const char *version, enum arch arch)
{
	struct kernel k = {.name = xstrdup(name), .version = xstrdup(version), .arch = arch};

	assert_int_equal(kver_parse(version, &k.kver, NULL), 0);
	return k;
}

static struct scenario make_scenario(const char *name, const char *text)
{
	struct scenario s = {0};
	struct err err = {0};

	if (scenario_parse("t.yml", text, __builtin_strlen(text), &s, &err) < 0)
		fail_msg("%s", err.msg);
	free(s.name);
	s.name = xstrdup(name);
	return s;
}

struct fixture {
	struct kernel kernels[3];
	struct scenario scenarios[4];
	struct plan plan;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->kernels[0] = make_kernel("5.10", "5.10.234", ARCH_AMD64);
	f->kernels[1] = make_kernel("6.1", "6.1.176", ARCH_AMD64);
	f->kernels[2] = make_kernel("6.1", "6.1.176", ARCH_ARM64);
	f->scenarios[0] = make_scenario("a/plain", "run: 'true'\n");
	f->scenarios[1] = make_scenario("a/new", "run: 'true'\nrequires: {kernel: '>=5.11'}\n");
	f->scenarios[2] = make_scenario("a/amd64", "run: 'true'\narch: amd64\n");
	f->scenarios[3] = make_scenario(
		"a/when", "run: 'true'\nexpect:\n  - {when: {kernel: '<6'}, exit: 1}\n");
	plan_build(f->kernels, 3, f->scenarios, 4, 2, &f->plan);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	plan_deinit(&f->plan);
	for (size_t i = 0; i < 3; i++)
		kernel_deinit(&f->kernels[i]);
	for (size_t i = 0; i < 4; i++)
		scenario_deinit(&f->scenarios[i]);
	free(f);
	return 0;
}

static const struct cell *find(const struct plan *p, const char *dir)
{
	for (size_t i = 0; i < p->n; i++)
		if (str_eq(p->cells[i].dir, dir))
			return &p->cells[i];
	fail_msg("no cell %s", dir);
	return NULL;
}

static void test_every_combination_once(void **state)
{
	const struct plan *p = &((struct fixture *)*state)->plan;

	assert_int_equal(p->n, 3 * 4 * 2);
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = i + 1; k < p->n; k++)
			assert_string_not_equal(p->cells[i].dir, p->cells[k].dir);
	assert_string_equal(p->cells[0].dir, "5.10-amd64/a/plain");
	assert_string_equal(p->cells[1].dir, "5.10-amd64/a/plain@2");
	assert_int_equal(find(p, "6.1-arm64/a/plain@2")->repeat, 2);
}

static void test_skips_say_why(void **state)
{
	static const struct {
		const char *cell, *reason;
	} cases[] = {
		{"5.10-amd64/a/plain", NULL},
		{"5.10-amd64/a/new", "requires kernel >=5.11, this is 5.10.234"},
		{"6.1-amd64/a/new", NULL},
		{"6.1-amd64/a/amd64", NULL},
		{"6.1-arm64/a/amd64", "not for arm64"},
		{"5.10-amd64/a/when", NULL},
		{"6.1-amd64/a/when", "no entry of expect applies to 6.1.176 on amd64"},
	};
	const struct plan *p = &((struct fixture *)*state)->plan;

	for (size_t i = 0; i < array_len(cases); i++) {
		const char *skip = find(p, cases[i].cell)->skip;

		if (cases[i].reason)
			assert_string_equal(skip, cases[i].reason);
		else
			assert_null(skip);
	}
}

static void test_json_names_what_runs(void **state)
{
	json_t *j = plan_json(&((struct fixture *)*state)->plan);
	const json_t *cells = json_object_get(j, "cells"), *c = json_array_get(cells, 8);

	assert_int_equal(json_array_size(cells), 24);
	assert_string_equal(json_string_value(json_object_get(c, "cell")), "6.1-amd64/a/plain");
	assert_string_equal(json_string_value(json_object_get(c, "version")), "6.1.176");
	assert_string_equal(json_string_value(json_array_get(json_object_get(c, "argv"), 0)),
			    "/bin/sh");
	assert_true(json_is_null(json_object_get(c, "skip")));
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_combination_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_skips_say_why, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json_names_what_runs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
