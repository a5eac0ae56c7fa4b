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
		{"version: 1\ndefault: trap\n", "trap", 0},
		{"version: 1\ndefault: kill-thread\nkill: [ptrace]\n", "kill-thread", 1},
		{"version: 1\ndefault: notify\nwhen: []\n", "notify", 0},
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
		cmocka_unit_test(positions),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
