#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/run/report.h"

static struct result make(const char *scenario, const char *kernel, enum arch arch, enum verdict v,
			  int64_t total_ms)
{
	return (struct result){
		.scenario = xstrdup(scenario),
		.path = str_printf("scenarios/%s.yml", scenario),
		.kernel = xstrdup(kernel),
		.version = str_printf("%s.7", kernel),
		.arch = arch,
		.repeat = 1,
		.dir = str_printf("%s-%s/%s", kernel, arch_name(arch), scenario),
		.accelerator = xstrdup(v == VERDICT_SKIP ? "" : "TCG (no /dev/kvm)"),
		.verdict = v,
		.ending = xstrdup("exited"),
		.exit_code = 0,
		.boot_ms = 900,
		.run_ms = 100,
		.total_ms = total_ms,
	};
}

static struct run_record sample(void)
{
	struct run_record r = {.dir = xstrdup("lab-results/x"),
			       .json = json_pack("{s:i, s:i}", "schema", 1, "wall_ms", 11400),
			       .results = xcalloc(8, sizeof(*r.results))};

	r.results[r.n++] = make("userns/overlay", "6.1", ARCH_AMD64, VERDICT_PASS, 2100);
	r.results[r.n++] = make("userns/ext4-refused", "6.1", ARCH_AMD64, VERDICT_FAIL, 3000);
	strv_add(&r.results[1].reasons, "exit 0, expected 32");
	strv_add(&r.results[1].reasons, "stderr is empty, expected \"permission denied\"");
	r.results[r.n++] = make("userns/overlay", "6.1", ARCH_ARM64, VERDICT_PASS, 1600);
	strv_add(&r.results[2].notes, "stdout: 100 bytes, the first 10 kept");
	r.results[r.n++] = make("userns/ext4-refused", "6.1", ARCH_ARM64, VERDICT_SKIP, -1);
	strv_add(&r.results[3].reasons, "not for arm64");
	return r;
}

static void test_text(void **state)
{
	static const char want[] =
		"amd64  6.1.7    TCG (no /dev/kvm)\n"
		"arm64  6.1.7    TCG (no /dev/kvm)\n"
		"\n"
		"  scenario             6.1 amd64    6.1 arm64\n"
		"  userns/overlay       pass 2.1s    pass 1.6s\n"
		"  userns/ext4-refused  FAIL 3.0s    skip\n"
		"\n"
		"FAIL userns/ext4-refused on 6.1 amd64: exit 0, expected 32\n"
		"     stderr is empty, expected \"permission denied\"\n"
		"     lab-results/x/6.1-amd64/userns/ext4-refused/\n"
		"     again: lab run --kernel 6.1 --arch amd64 scenarios/userns/ext4-refused.yml\n"
		"     debug: lab debug --kernel 6.1 --arch amd64 "
		"scenarios/userns/ext4-refused.yml\n"
		"\n"
		"note userns/overlay on 6.1 arm64: stdout: 100 bytes, the first 10 kept\n"
		"skip userns/ext4-refused on 6.1 arm64: not for arm64\n"
		"\n"
		"2 passed, 1 failed, 1 skipped in 11 s    lab-results/x/\n";
	auto_cleanup(run_record) r = sample();
	auto_cleanup(buf) out = {0};

	(void)state;
	report_text(&out, &r, &(struct report_style){.width = 80});
	assert_string_equal(out.data, want);
}

/* What is to be typed to open a dump, of cells that failed and of those that did not. */
static void test_dumps(void **state)
{
	auto_cleanup(run_record) r = sample();
	auto_cleanup(buf) two = {0}, three = {0};

	(void)state;
	r.results[0].dump.there = r.results[1].dump.there = true;
	report_text(&two, &r, &(struct report_style){.width = 80});
	assert_non_null(strstr(two.data, "ext4-refused.yml\n     crash: lab crash lab-results/x/"
					 "6.1-amd64/userns/ext4-refused\n\n"));
	assert_non_null(strstr(two.data, "\n\ncrash: lab crash lab-results/x/6.1-amd64/userns/"
					 "overlay\n\n2 passed, 1 failed"));
	r.results[2].dump.there = true;
	report_text(&three, &r, &(struct report_style){.width = 80});
	assert_non_null(strstr(three.data, "\n\ncrash: lab crash lab-results/x/6.1-amd64/userns/"
					   "overlay    (the first of 2 dumps)\n\n2 passed"));
}

/* A kernel that was built says of what, has a name that --kernel takes, and columns fit it. */
static void test_built_kernels(void **state)
{
	static const char want[] =
		"amd64  6.1.7, 6.1+debug+kasan.7    TCG (no /dev/kvm)\n"
		"6.1+debug+kasan amd64: 6.1+debug+kasan.7, linux-source-6.1 6.1.176-1?[m, gcc 12\n"
		"\n"
		"  scenario  6.1 amd64              6.1+debug+kasan amd64\n"
		"  a         pass 1.0s              FAIL 2.0s\n"
		"\n"
		"FAIL a on 6.1+debug+kasan amd64: no reason was kept\n"
		"     lab-results/x/6.1+debug+kasan-amd64/a/\n"
		"     again: lab run --kernel 6.1+debug+kasan --arch amd64 scenarios/a.yml\n"
		"     debug: lab debug --kernel 6.1+debug+kasan --arch amd64 scenarios/a.yml\n"
		"\n"
		"1 passed, 1 failed    lab-results/x/\n";
	auto_cleanup(run_record)
		r = {.dir = xstrdup("lab-results/x"), .results = xcalloc(2, sizeof(*r.results))};
	auto_cleanup(buf) out = {0};

	(void)state;
	r.json = json_pack("{s:[{s:s, s:s, s:n}, {s:s, s:s, s:s}, {s:s, s:s, s:s}]}", "kernels",
			   "name", "6.1", "arch", "amd64", "origin", "name", "6.1+debug+kasan",
			   "arch", "arm64", "origin", "another", "name", "6.1+debug+kasan", "arch",
			   "amd64", "origin", "linux-source-6.1 6.1.176-1\033[m, gcc 12");
	r.results[r.n++] = make("a", "6.1", ARCH_AMD64, VERDICT_PASS, 1000);
	r.results[r.n++] = make("a", "6.1+debug+kasan", ARCH_AMD64, VERDICT_FAIL, 2000);
	report_text(&out, &r, &(struct report_style){.width = 110});
	assert_string_equal(out.data, want);
}

static void test_narrow_terminal_cuts_the_table(void **state)
{
	auto_cleanup(run_record) r = sample();
	auto_cleanup(buf) out = {0};

	(void)state;
	report_text(&out, &r, &(struct report_style){.width = 40});
	assert_non_null(strstr(out.data, "  scenario             6.1 amd64\n"));
	assert_non_null(strstr(out.data, "  scenario             6.1 arm64\n"));
}

static void test_exit_codes(void **state)
{
	static const struct {
		struct totals t;
		int code;
	} cases[] = {
		{{.verdict = {[VERDICT_PASS] = 3, [VERDICT_SKIP] = 1}}, 0},
		{{.verdict = {[VERDICT_FAIL] = 1}}, 1},
		{{.verdict = {[VERDICT_CRASH] = 1}}, 1},
		{{.verdict = {[VERDICT_HANG] = 1, [VERDICT_LOST] = 1}}, 1},
		{{.verdict = {[VERDICT_PASS] = 9, [VERDICT_LOST] = 1}}, 3},
		{{.verdict = {[VERDICT_PASS] = 9}, .missing = 1}, 3},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		assert_int_equal(report_exit_code(&cases[i].t), cases[i].code);
}

static void test_result_survives_json(void **state)
{
	auto_cleanup(result) a = make("x", "6.1", ARCH_ARM64, VERDICT_CRASH, 1234), b = {0};
	struct err err = {0};
	json_t *j;

	(void)state;
	a.crash = (struct crash){.title = xstrdup("kernel panic: sysrq triggered crash"),
				 .type = xstrdup("panic"),
				 .signature = xstrdup("panic:sysrq-triggered-crash"),
				 .first_line = xstrdup("Kernel panic - not syncing: x"),
				 .corrupted = true};
	strv_add(&a.crash.alternatives, "another");
	a.exit_code = -1;
	a.signal = 9;
	a.out = (struct stream){.seen = 100 << 20, .kept = 8 << 20};
	strv_add(&a.reasons, "because");
	j = result_json(&a);
	if (result_from_json("t", j, &b, &err) < 0)
		fail_msg("%s", err.msg);
	json_decref(j);
	assert_string_equal(b.crash.title, a.crash.title);
	assert_string_equal(b.crash.type, "panic");
	assert_string_equal(b.crash.signature, a.crash.signature);
	assert_string_equal(b.crash.first_line, a.crash.first_line);
	assert_string_equal(b.crash.alternatives.items[0], "another");
	assert_null(b.crash.guilty);
	assert_true(b.crash.corrupted);
	assert_int_equal(b.verdict, VERDICT_CRASH);
	assert_int_equal(b.arch, ARCH_ARM64);
	assert_int_equal(b.exit_code, -1);
	assert_int_equal(b.signal, 9);
	assert_int_equal(b.out.seen, 100 << 20);
	assert_int_equal(b.total_ms, 1234);
	assert_string_equal(b.reasons.items[0], "because");
	assert_null(b.release);
}

static void test_damaged_results_are_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"schema\": 2}",
		"{\"schema\": \"1\"}",
	};

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		struct result r = {0};
		struct err err = {0};
		json_t *j = json_loads(bad[i], 0, NULL);

		assert_int_equal(result_from_json("r.json", j, &r, &err), -EINVAL);
		assert_non_null(strstr(err.msg, "r.json: not a result"));
		json_decref(j);
	}
}

static void test_dir_that_leaves_the_run_is_refused(void **state)
{
	auto_cleanup(result) a = make("x", "6.1", ARCH_AMD64, VERDICT_PASS, 1);
	struct result b = {0};
	struct err err = {0};
	json_t *j;

	(void)state;
	free(a.dir);
	a.dir = xstrdup("../../etc");
	j = result_json(&a);
	assert_int_equal(result_from_json("r.json", j, &b, &err), -EINVAL);
	json_decref(j);
}

static int make_dir(void **state)
{
	char *dir = xstrdup("/tmp/lab-report-XXXXXX");

	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int remove_dir(void **state)
{
	int r = io_remove_tree(AT_FDCWD, *state, NULL);

	free(*state);
	return r;
}

static void test_a_run_that_was_cut_short(void **state)
{
	auto_cleanup(result) a = make("x", "6.1", ARCH_AMD64, VERDICT_PASS, 1);
	auto_free char *cell = path_join(*state, "6.1-amd64/x");
	auto_free char *file = path_join(cell, "result.json");
	auto_free char *run_json = path_join(*state, "run.json");
	auto_cleanup(run_record) r = {0};
	struct totals t;
	json_t *j = result_json(&a);
	json_t *run =
		json_pack("{s:i, s:[s, s]}", "schema", 1, "cells", "6.1-amd64/x", "6.1-amd64/y");

	assert_int_equal(io_mkdirs(cell, 0755, NULL), 0);
	assert_int_equal(json_write_file(AT_FDCWD, file, j, NULL), 0);
	assert_int_equal(json_write_file(AT_FDCWD, run_json, run, NULL), 0);
	json_decref(j);
	json_decref(run);
	assert_int_equal(run_record_load(*state, &r, NULL), 0);
	assert_int_equal(r.n, 1);
	report_count(&r, &t);
	assert_int_equal(t.missing, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_dumps),
		cmocka_unit_test(test_built_kernels),
		cmocka_unit_test(test_narrow_terminal_cuts_the_table),
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_result_survives_json),
		cmocka_unit_test(test_damaged_results_are_refused),
		cmocka_unit_test(test_dir_that_leaves_the_run_is_refused),
		cmocka_unit_test_setup_teardown(test_a_run_that_was_cut_short, make_dir,
						remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
