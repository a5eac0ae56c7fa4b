#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/policy/policy-load.h"

static void good(void **state)
{
	static const struct {
		const char *text, *fallback;
		size_t rules;
	} table[] = {
		{"version: 1\ndefault: allow\n", "allow", 0},
		{"version: 1\ndefault: log\nallow: []\n", "log", 0},
		{"version: 1\ndefault: kill\nallow: [read, write]\n", "kill", 2},
		{"version: 1\ndefault: errno\nallow:\n  - openat\n", "errno EPERM", 1},
		{"version: 1\ndefault: ENOSYS\n", "errno ENOSYS", 0},
		{"version: 1\ndefault: {errno: EWOULDBLOCK}\n", "errno EAGAIN", 0},
		{"version: 1\ndefault: {errno: EHWPOISON}\n", "errno EHWPOISON", 0},
		{"version: 1\ndefault: {errno: 38}\n", "errno ENOSYS", 0},
		{"version: 1\ndefault: {errno: 4095}\n", "errno 4095", 0},
		/* only 32-bit machines, only amd64, newer than libseccomp 2.5.4 */
		{"version: 1\ndefault: kill\nallow: [mmap2, open, cachestat, mseal]\n", "kill", 4},
		{"# twice is no mistake\nversion: 1\ndefault: kill\nallow: [read, read]\n", "kill",
		 2},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_cleanup(policy) policy = {0};
		auto_cleanup(buf) fallback = {0};
		struct err err = {0};

		if (policy_load_text("p.yml", table[i].text, strlen(table[i].text), &policy, &err) < 0)
			fail_msg("%s: %s", table[i].text, err.msg);
		policy_action_print(&policy.fallback, &fallback);
		assert_string_equal(fallback.data, table[i].fallback);
		assert_int_equal(policy.n, table[i].rules);
		assert_string_equal(policy.name, "p.yml");
	}
}

static void bad(void **state)
{
	static const struct {
		const char *text, *want;
	} table[] = {
		{"", "p.yml:1:1: 'version: 1' is missing"},
		{"version: 2\ndefault: kill\n", "p.yml:1:10: "},
		{"version: one\ndefault: kill\n", "p.yml:1:10: "},
		{"version: 1\n", "p.yml:1:1: 'default' is missing"},
		{"version: 1\ndefault: kil\n",
		 "p.yml:2:10: an action expected: allow, log, kill or"},
		{"version: 1\ndefault: [kill]\n", "p.yml:2:10: an action expected"},
		{"version: 1\ndefault: {}\n", "p.yml:2:10: an action expected"},
		{"version: 1\ndefault: {errno: ENOTHING}\n",
		 "p.yml:2:18: an error's name expected, such as EPERM or ENOSYS, not 'ENOTHING'"},
		{"version: 1\ndefault: {errno: 0}\n", "p.yml:2:18: an error's name expected"},
		{"version: 1\ndefault: {errno: 4096}\n", "p.yml:2:18: an error's name expected"},
		{"version: 1\ndefault: {errno: [EPERM]}\n", "p.yml:2:18: an error's name expected"},
		{"version: 1\ndefault: {erno: EPERM}\n", "p.yml:2:11: "},
		{"version: 1\ndefault: kill\nallow: read\n",
		 "p.yml:3:8: allow: a list of system calls"},
		{"version: 1\ndefault: kill\nallow: [opne]\n",
		 "p.yml:3:9: unknown system call 'opne' (did you mean 'open'?)"},
		{"version: 1\ndefault: kill\nallow:\n  - read\n  - opnat\n",
		 "p.yml:5:5: unknown system call 'opnat' (did you mean 'openat'?)"},
		{"version: 1\ndefault: kill\nallow: [qqqqqqqqqqqq]\n",
		 "p.yml:3:9: unknown system call 'qqqqqqqqqqqq'"},
		{"version: 1\ndefault: kill\nallow: ['']\n",
		 "p.yml:3:9: the name of a system call expected"},
		{"version: 1\ndefault: kill\nallow: [{call: read}]\n",
		 "p.yml:3:9: the name of a system call expected"},
		{"version: 1\ndefault: kill\nalow: [read]\n", "p.yml:3:1: "},
		{"version: 1\nversion: 1\ndefault: kill\n", "p.yml:2:1: "},
		{"version: 1\n\tdefault: kill\n", "p.yml:2:"},
		{"- a\n- b\n", "p.yml:1:1: "},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct policy policy = {.n = 77};
		struct err err = {0};

		assert_int_equal(
			policy_load_text("p.yml", table[i].text, strlen(table[i].text), &policy, &err),
			-EINVAL);
		if (strncmp(err.msg, table[i].want, strlen(table[i].want)) != 0)
			fail_msg("%s\ngives:    %s\nexpected: %s", table[i].text, err.msg,
				 table[i].want);
		assert_int_equal(policy.n, 77); /* written on success only */
	}
}

static void positions(void **state)
{
	static const char text[] = "version: 1\ndefault: kill\nallow:\n  - read\n  - openat\n";
	auto_cleanup(policy) policy = {0};

	(void)state;
	assert_int_equal(policy_load_text("p", text, strlen(text), &policy, NULL), 0);
	assert_string_equal(policy.rules[1].call->name, "openat");
	assert_int_equal(policy.rules[1].at.line, 5);
	assert_int_equal(policy.rules[1].at.column, 5);
	assert_int_equal(policy.rules[1].action.kind, POLICY_ALLOW);
}

/* The kernel's own numbers, from its headers. */
static void numbers(void **state)
{
	static const struct {
		const char *name;
		int amd64, arm64;
	} table[] = {
		{"read", 0, 63},	 {"openat", 257, 56},
		{"open", 2, -1},	 {"clone3", 435, 435},
		{"execve", 59, 221},	 {"mmap2", -1, -1},
		{"cachestat", 451, 451}, {"fchmodat2", 452, 452},
		{"mseal", 462, 462},	 {"removexattrat", 466, 466},
		{"renameat2", 316, 276}, {"map_shadow_stack", 453, 453},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		const struct syscall_def *call = syscall_find(table[i].name);

		assert_non_null(call);
		assert_int_equal(call->nr[ARCH_AMD64], table[i].amd64);
		assert_int_equal(call->nr[ARCH_ARM64], table[i].arm64);
		if (table[i].amd64 >= 0)
			assert_string_equal(syscall_name(ARCH_AMD64, table[i].amd64),
					    table[i].name);
	}
	assert_null(syscall_find("opne"));
	assert_null(syscall_find(""));
	assert_null(syscall_name(ARCH_AMD64, 100000));
	assert_null(syscall_name(ARCH_AMD64, -1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
		cmocka_unit_test(positions),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
