/* Tables of tests: rows as they are read, and as they are run; values; what a filter costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/audit.h>
#include <sched.h>
#include <string.h>

#include "jail/filter/simulate.h"
#include "jail/inspect/policy-test.h"
#include "jail/inspect/stats.h"
#include "jail/policy/policy-load.h"

static void parse(const char *text, struct policy_tests *tests)
{
	struct err err = {0};

	if (policy_tests_parse("t", text, strlen(text), tests, &err) < 0)
		fail_msg("%s", err.msg);
}

static void test_values(void **state)
{
	static const struct {
		const char *text;
		uint64_t amd64, arm64;
	} cases[] = {
		{"0", 0, 0},
		{"-1", UINT64_MAX, UINT64_MAX},
		{"0x10", 16, 16},
		{"0777", 511, 511},
		{"18446744073709551615", UINT64_MAX, UINT64_MAX},
		{"CLONE_NEWUSER", CLONE_NEWUSER, CLONE_NEWUSER},
		{"CLONE_NEWUSER|0x11", CLONE_NEWUSER | 0x11, CLONE_NEWUSER | 0x11},
		{"O_DIRECTORY", 0x10000, 0x4000},
	};
	static const char *const bad[] = {"",	    "|",	"1x", "0x", "18446744073709551616",
					  "AF_UNX", "1|AF_UNX", "--1"};
	uint64_t value[ARCH_COUNT];

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_int_equal(call_value_parse(cases[i].text, value, NULL), 0);
		assert_true(value[ARCH_AMD64] == cases[i].amd64);
		assert_true(value[ARCH_ARM64] == cases[i].arm64);
	}
	for (size_t i = 0; i < array_len(bad); i++)
		assert_int_equal(call_value_parse(bad[i], value, NULL), -EINVAL);
}

static void test_rows(void **state)
{
	auto_cleanup(policy_tests) tests = {0};

	(void)state;
	parse("kernel 6.1.5\n\n"
	      "any open(_, O_DIRECTORY)  -> errno EIO # both\r\n"
	      "x32 read -> refused\n"
	      "caps chown\n"
	      "i386 600 → kill-thread\n"
	      "arm64 open -> allow",
	      &tests);
	assert_int_equal(tests.n, 5);
	assert_int_equal(tests.items[0].arch, ARCH_AMD64);
	assert_int_equal(tests.items[0].line, 3);
	assert_string_equal(tests.items[0].text, "any open _ O_DIRECTORY -> errno EIO");
	assert_int_equal(tests.items[0].nr, 2);
	assert_int_equal(tests.items[0].given, 2);
	assert_int_equal(tests.items[0].args[1], 0x10000);
	assert_int_equal(tests.items[0].want.kind, POLICY_ERRNO);
	assert_int_equal(tests.items[0].want.error, EIO);
	assert_int_equal(tests.items[0].kernel.part[2], 5);
	/* with arguments it is not what stands for it, whose arguments are others */
	assert_int_equal(tests.items[1].arch, ARCH_ARM64);
	assert_int_equal(tests.items[1].nr, -1);
	assert_int_equal(tests.items[2].nr, 0x40000000);
	assert_true(tests.items[2].is_refused);
	assert_int_equal(tests.items[2].caps, 0);
	assert_int_equal(tests.items[3].audit, AUDIT_ARCH_I386);
	assert_int_equal(tests.items[3].nr, 600);
	assert_int_equal(tests.items[3].caps, 1);
	assert_string_equal(tests.items[4].call, "openat");
	assert_int_equal(tests.items[4].nr, 56);
}

static void test_run(void **state)
{
	static const char policy_text[] = "version: 1\ndefault: EPERM\nallow: [read]\n"
					  "deny: [{read: {count: 7, errno: EIO}}]\n";
	static const struct {
		const char *row;
		int failed;
		const char *said;
	} cases[] = {
		{"amd64 read 0 0 8 -> allow", 0, "ok 1 - t:1: amd64 read 0 0 8 -> allow\n"},
		{"amd64 read 0 0 7 -> allow", 1, "#   it is errno EIO, by p:4:9: deny: read\n"},
		/* only what the rule looks for tells */
		{"amd64 read -> allow", 1, "#   with argument 3 = 0x7\n"},
		{"any write -> errno EPERM", 0, "(arm64)\n"},
		{"any write -> errno EIO", 2, "by p:2:10: default\n"},
		{"any write -> kill", 2, "it is errno EPERM"},
		{"arm64 iopl -> allow", 0, "# SKIP arm64 has no iopl\n"},
	};
	auto_cleanup(policy) policy = {0};

	(void)state;
	assert_int_equal(policy_load_text("p", policy_text, strlen(policy_text), &policy, NULL), 0);
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(policy_tests) tests = {0};
		auto_cleanup(buf) out = {0};
		unsigned int number = 0;

		parse(cases[i].row, &tests);
		assert_int_equal(policy_tests_run(&tests, &policy, &number, &out, NULL),
				 cases[i].failed);
		assert_int_equal(number, tests.n);
		if (!strstr(out.data, cases[i].said))
			fail_msg("%s: not in\n%s", cases[i].said, out.data);
	}
}

/* The longest way and the mean, of a program small enough to count. */
static void test_stats(void **state)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0), /* read on amd64: 3 in all */
		BPF_STMT(BPF_JMP | BPF_JA, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
		BPF_STMT(BPF_RET | BPF_K, 0), /* others: 5 */
		BPF_STMT(BPF_RET | BPF_K, 1),
	};
	const struct filter filter = {insns, array_len(insns)};
	struct filter_stats stats;

	(void)state;
	assert_int_equal(filter_check(&filter, NULL), 0);
	filter_stats(&filter, ARCH_AMD64, &stats);
	assert_int_equal(stats.insns, 6);
	assert_int_equal(stats.longest, 5);
	assert_true(stats.average < 5 && stats.average > 4.9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
