#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "jail/base/yaml.h"
#include "lab/scenario/scenario.h"

#define DATA "tests/data/scenario/"

static int parse_file(const char *path, struct buf *text, struct scenario *s, struct err *err)
{
	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, text, NULL), 0);
	return scenario_parse(path, text->data, text->len, s, err);
}

static void list_dir(const char *path, struct strv *names)
{
	auto_closedir DIR *d = opendir(path);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (str_ends(e->d_name, ".yml"))
			strv_add(names, e->d_name);
	strv_sort(names);
}

/* The first line of a bad file says what its message must begin with: "# 3:8: unknown key …". */
static void test_bad(void **state)
{
	auto_cleanup(strv) names = {0};
	int wrong = 0;

	(void)state;
	list_dir(DATA "bad", &names);
	assert_true(names.n > 50);
	for (size_t i = 0; i < names.n; i++) {
		auto_free char *path = path_join(DATA "bad", names.items[i]);
		auto_free char *wanted = NULL;
		auto_cleanup(buf) text = {0};
		struct scenario s = {0};
		struct err err = {0};
		int r = parse_file(path, &text, &s, &err);

		if (r != -EINVAL && r != -E2BIG)
			fail_msg("%s: returned %d", path, r);
		assert_null(s.path); /* untouched */
		assert_null(strchr(err.msg, '\n'));
		assert_true(str_starts(err.msg, path));
		wanted = text.len ? xstrndup(text.data + 2, strcspn(text.data + 2, "\n"))
				  : xstrdup("1:1: no 'run'");
		if (!strstr(err.msg, wanted)) {
			print_error("got      %s\nexpected %s\n", err.msg, wanted);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void test_good(void **state)
{
	auto_cleanup(strv) names = {0};

	(void)state;
	list_dir(DATA "good", &names);
	assert_true(names.n > 5);
	for (size_t i = 0; i < names.n; i++) {
		auto_free char *path = path_join(DATA "good", names.items[i]);
		auto_cleanup(scenario) s = {0};
		auto_cleanup(buf) text = {0};
		struct err err = {0};

		if (parse_file(path, &text, &s, &err) < 0)
			fail_msg("%s", err.msg);
		assert_string_equal(s.path, path);
		assert_true(str_starts(names.items[i], s.name));
	}
}

static void test_defaults(void **state)
{
	auto_cleanup(scenario) s = {0};
	auto_cleanup(buf) text = {0};

	(void)state;
	assert_int_equal(parse_file(DATA "good/minimal.yml", &text, &s, NULL), 0);
	assert_string_equal(s.name, "minimal");
	assert_null(s.summary);
	assert_false(s.jailed);
	assert_int_equal(s.argv.n, 3);
	assert_string_equal(s.argv.items[0], "/bin/sh");
	assert_string_equal(s.argv.items[1], "-c");
	assert_string_equal(s.argv.items[2], "echo hi");
	assert_true(s.trace);
	assert_false(s.oops_continue);
	assert_false(s.warnings_note);
	assert_int_equal(s.timeout_ms, 30000);
	assert_int_equal(s.memory_mib, 256);
	assert_int_equal(s.archs, 3);
	assert_int_equal(s.n_expects, 0);
	assert_null(scenario_expectation(&s, &(struct kver){{6, 1, 0}}, ARCH_AMD64, NULL, NULL));
}

static void assert_list(const struct strv *v, const char *wanted)
{
	auto_cleanup(buf) got = {0};

	buf_adds(&got, "");
	for (size_t i = 0; i < v->n; i++)
		buf_addf(&got, "%s%s", i ? "|" : "", v->items[i]);
	assert_string_equal(got.data, wanted);
}

/* a bare word is a profile of jail's: no file is carried in */
static void test_profile(void **state)
{
	auto_cleanup(scenario) s = {0};
	auto_cleanup(buf) text = {0};

	(void)state;
	assert_int_equal(parse_file(DATA "good/policy-profile.yml", &text, &s, NULL), 0);
	assert_list(&s.jail_args, "--policy|strict");
	assert_int_equal(s.files.n, 0);
}

static void test_reports(void **state)
{
	auto_cleanup(scenario) s = {0};
	auto_cleanup(buf) text = {0};

	(void)state;
	assert_int_equal(parse_file(DATA "good/reports.yml", &text, &s, NULL), 0);
	assert_true(s.oops_continue);
	assert_true(s.warnings_note);
}

static void test_full(void **state)
{
	auto_cleanup(scenario) s = {0};
	auto_cleanup(buf) text = {0};
	const struct expect *e;

	(void)state;
	assert_int_equal(parse_file(DATA "good/full.yml", &text, &s, NULL), 0);
	assert_true(s.jailed);
	assert_list(&s.jail_args, "--namespace|user,mount,pid,net,uts,ipc,cgroup,time|"
				  "--policy|small.policy.yml|--uid-map|0:1000:1|--uid-map|1:2000:5|"
				  "--gid-map|0:1000:1|--root|/srv/root|--ro|/usr|--ro|/etc|--rw|.|"
				  "--hostname|box|--boottime|1000000|--monotonic|-5|"
				  "--caps|net_admin,sys_time|--no-init");
	assert_list(&s.argv, "prog|an argument|5");
	assert_list(&s.files, "small.policy.yml|helper.py|sub/data.txt");
	assert_int_equal(s.files_at[0].line, 4);
	assert_int_equal(s.files_at[0].column, 11);
	assert_int_equal(s.files_at[2].line, 16);
	assert_int_equal(s.files_at[2].column, 20);
	assert_list(&s.packages, "python3-minimal|libstdc++6");
	assert_list(&s.artefacts, "out|log.txt|gone|quoted"); /* out/result is within out */
	assert_list(&s.env, "A=1|EMPTY=|B=two words");
	assert_false(s.trace);
	assert_int_equal(s.timeout_ms, 120000);
	assert_int_equal(s.memory_mib, 512);
	assert_list(&s.requires_config, "OVERLAY_FS|CONFIG_FUSE_FS");
	assert_int_equal(s.requires_kernel.n, 2);
	assert_int_equal(s.n_expects, 6);
	e = &s.expects[0];
	assert_int_equal(e->exit_code, 32);
	assert_int_equal(e->line, 26);
	assert_int_equal(s.expects[1].signal, 11);
	assert_int_equal(s.expects[1].exit_code, -1);
	assert_true(s.expects[1].console.items[0].regex);
	assert_true(s.expects[1].console.items[1].negate);
	assert_string_equal(s.expects[2].crash.items[0].text, "sysrq .* crash");
	assert_true(s.expects[3].hang);
	assert_list(&s.expects[4].config, "KASAN|CONFIG_LKDTM");
	e = &s.expects[5];
	assert_int_equal(e->exit_code, -1);
	assert_int_equal(e->out.n, 3);
	assert_string_equal(e->out.items[1].text, "b+$");
	assert_int_equal(e->n_files, 3);
	assert_false(e->files[0].absent);
	assert_true(e->files[1].absent);
	assert_false(e->files[2].absent); /* in quotes it is a text */
}

static bool has_option(const void *options, const char *option)
{
	for (const char *const *o = options; *o; o++)
		if (str_eq(*o, option))
			return true;
	return false;
}

static void test_when(void **state)
{
	static const char *const plain[] = {"OVERLAY_FS", NULL};
	static const char *const both[] = {"KASAN", "CONFIG_LKDTM", NULL};
	static const struct {
		struct kver kernel;
		enum arch arch;
		const char *const *options;
		int entry;
	} rows[] = {
		{{{5, 10, 200}}, ARCH_ARM64, plain, 0},	 {{{5, 10, 200}}, ARCH_AMD64, plain, 1},
		{{{6, 1, 1}}, ARCH_AMD64, plain, 2},	 {{{6, 1, 176}}, ARCH_ARM64, plain, 3},
		{{{6, 12, 0}}, ARCH_ARM64, plain, 5},	 {{{6, 12, 0}}, ARCH_ARM64, both, 4},
		{{{6, 12, 0}}, ARCH_ARM64, both + 1, 5},
	};
	auto_cleanup(scenario) s = {0};
	auto_cleanup(buf) text = {0};

	(void)state;
	assert_int_equal(parse_file(DATA "good/full.yml", &text, &s, NULL), 0);
	for (size_t i = 0; i < array_len(rows); i++)
		assert_ptr_equal(scenario_expectation(&s, &rows[i].kernel, rows[i].arch, has_option,
						      rows[i].options),
				 &s.expects[rows[i].entry]);
}

static void test_hostile(void **state)
{
	static const char nul[] = "run: \"a\0b\"\n";
	auto_cleanup(buf) big = {0};
	struct scenario s = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(scenario_parse("x.yml", nul, sizeof(nul) - 1, &s, &err), -EINVAL);
	buf_adds(&big, "run: a\n");
	while (big.len <= YAML_MAX_BYTES)
		buf_adds(&big,
			 "# ----------------------------------------------------------------\n");
	assert_int_equal(scenario_parse("x.yml", big.data, big.len, &s, &err), -E2BIG);
	assert_true(str_starts(err.msg, "x.yml:1:1: "));
	buf_reset(&big);
	buf_adds(&big, "run: a\nexpect: {stdout: \"/");
	for (int i = 0; i <= SCENARIO_MAX_REGEX; i++)
		buf_adds(&big, "a");
	buf_adds(&big, "/\"}\n");
	assert_int_equal(scenario_parse("x.yml", big.data, big.len, &s, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "more than 1000 bytes"));
}

static void test_modules(void **state)
{
	static const char text[] = "run: a\nmodules: [crashme, driver/, sub/a-b]\n";
	auto_cleanup(scenario) s = {0};

	(void)state;
	assert_int_equal(scenario_parse("m.yml", text, strlen(text), &s, NULL), 0);
	assert_list(&s.modules, "crashme|driver/|sub/a-b");
	assert_int_equal(s.modules_at[1].line, 2);
	assert_int_equal(s.modules_at[1].column, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),	cmocka_unit_test(test_good),
		cmocka_unit_test(test_profile), cmocka_unit_test(test_full),
		cmocka_unit_test(test_modules), cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_when),	cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_reports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
