#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/base/str.h"
#include "jail/policy/groups.h"

static bool group_has(const struct call_group *group, const char *call)
{
	for (const char *const *c = group->calls; *c; c++)
		if (str_eq(*c, call))
			return true;
	return false;
}

static void numbers(void **state)
{
	(void)state;
	for (int a = 0; a < ARCH_COUNT; a++) {
		int known = 0, found = 0;

		for (size_t i = 0; i < syscall_count; i++) {
			const struct syscall_def *call = syscall_at(i);

			assert_ptr_equal(syscall_find(call->name), call);
			known += call->nr[a] >= 0;
			if (call->nr[a] >= 0)
				assert_ptr_equal(syscall_by_nr(a, call->nr[a]), call);
		}
		for (int nr = -3; nr < 2000; nr++)
			found += syscall_by_nr(a, nr) != NULL;
		assert_int_equal(found, known);
		assert_null(syscall_by_nr(a, INT32_MIN));
		assert_null(syscall_by_nr(a, INT32_MAX));
	}
	assert_string_equal(syscall_name(ARCH_AMD64, 0), "read");
	assert_string_equal(syscall_name(ARCH_ARM64, 63), "read");
	assert_string_equal(syscall_name(ARCH_ARM64, 471), "rseq_slice_yield");
	assert_null(syscall_name(ARCH_ARM64, 244)); /* reserved, never given to anything */
}

static void since(void **state)
{
	static const struct {
		const char *call;
		unsigned int major, minor;
	} table[] = {
		{"read", 0, 0},	      {"sendmmsg", 0, 0},  {"process_vm_writev", 3, 2},
		{"getrandom", 3, 17}, {"statx", 4, 11},	   {"rseq", 4, 18},
		{"clone3", 5, 3},     {"openat2", 5, 6},   {"faccessat2", 5, 8},
		{"cachestat", 6, 5},  {"fchmodat2", 6, 6}, {"mseal", 6, 10},
		{"listns", 6, 19},    {"uprobe", 6, 18},   {"rseq_slice_yield", 7, 0},
	};
	struct kver last = {{0}};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		const struct syscall_def *call = syscall_find(table[i].call);

		assert_non_null(call);
		assert_int_equal(call->since.part[0], table[i].major);
		assert_int_equal(call->since.part[1], table[i].minor);
	}
	/* from 424 on the numbers are the same everywhere, and given in the order of kernels */
	for (int nr = 424; nr < 512; nr++) {
		const struct syscall_def *call = syscall_by_nr(ARCH_AMD64, nr);

		assert_ptr_equal(call, syscall_by_nr(ARCH_ARM64, nr));
		if (!call)
			continue;
		assert_true(call->since.part[0] >= 5);
		/* close_range and quotactl_fd came later than their numbers */
		if (nr == 436 || nr == 443)
			continue;
		assert_true(kver_compare(&last, &call->since) <= 0);
		last = call->since;
	}
}

static void groups(void **state)
{
	(void)state;
	for (size_t g = 0; g < call_group_count; g++) {
		const struct call_group *group = &call_groups[g];

		assert_true(g == 0 || strcmp(call_groups[g - 1].name, group->name) < 0);
		assert_ptr_equal(group_find(group->name), group);
		assert_int_equal(group->name[0], '@');
		assert_true(strlen(group->summary) > 10);
		assert_non_null(group->calls[0]);
		for (const char *const *c = group->calls; *c; c++) {
			if (!syscall_find(*c))
				fail_msg("%s: no call is called %s", group->name, *c);
			for (const char *const *d = group->calls; d < c; d++)
				if (str_eq(*c, *d))
					fail_msg("%s: %s twice", group->name, *c);
		}
	}
	assert_null(group_find("file-read"));
	assert_null(group_find("@"));
	assert_string_equal(group_suggest("@file-raed"), "@file-read");
	assert_null(group_suggest("@nothing-like-it-at-all"));
}

/* A call without a group could only be listed by its name: nobody would think of it. */
static void every_call_has_a_group(void **state)
{
	const struct call_group *foreign = group_find("@foreign");

	(void)state;
	for (size_t i = 0; i < syscall_count; i++) {
		const struct syscall_def *call = syscall_at(i);
		bool is_foreign = call->nr[ARCH_AMD64] < 0 && call->nr[ARCH_ARM64] < 0, has = false;

		for (size_t g = 0; g < call_group_count; g++)
			has |= group_has(&call_groups[g], call->name);
		if (!has)
			fail_msg("%s is in no group", call->name);
		if (group_has(foreign, call->name) != is_foreign)
			fail_msg("%s: foreign or not?", call->name);
	}
}

static void families(void **state)
{
	size_t n = 0;

	(void)state;
	assert_string_equal(call_family("openat2"), "open");
	assert_string_equal(call_family("clone3"), "fork");
	assert_string_equal(call_family("read"), "read");
	assert_null(family_calls("read"));
	assert_null(family_calls("openat"));
	for (size_t i = 0; i < syscall_count; i++) {
		const struct syscall_def *call = syscall_at(i);
		const char *const *calls = family_calls(call->name);
		bool here[ARCH_COUNT] = {false};

		if (!calls)
			continue;
		n++;
		for (; *calls; calls++) {
			const struct syscall_def *member = syscall_find(*calls);

			assert_non_null(member);
			/* in this family and in no other one */
			assert_string_equal(call_family(*calls), call->name);
			for (int a = 0; a < ARCH_COUNT; a++)
				here[a] |= member->nr[a] >= 0;
		}
		assert_true(here[ARCH_AMD64] && here[ARCH_ARM64]);
	}
	assert_true(n > 30);
}

static void equivalents(void **state)
{
	static const struct {
		const char *call, *instead;
		uint64_t args[4];
		bool is_meant;
	} table[] = {
		{"open", "openat", {0}, true},
		{"stat", "newfstatat", {0}, true},
		{"fork", "clone", {0x01200011}, true},	/* glibc's fork() */
		{"fork", "clone", {17}, true},		/* musl's */
		{"fork", "clone", {0x003d0f00}, false}, /* a thread */
		{"fork", "clone", {0x4111}, false},	/* vfork */
		{"fork", "clone", {0x10000011}, false}, /* CLONE_NEWUSER */
		{"fork", "clone", {0x40000011}, false}, /* CLONE_NEWNET */
		{"vfork", "clone", {0x4111}, true},
		{"vfork", "clone", {0x10004111}, false},
		{"vfork", "clone", {0x003d0f00}, false},
		{"creat", "openat", {0, 0, 01101}, true},
		{"creat", "openat", {0, 0, 0}, false},
		{"creat", "openat", {0, 0, 01102}, false}, /* O_RDWR */
		{"unlink", "unlinkat", {0, 0, 0}, true},
		{"unlink", "unlinkat", {0, 0, 0x200}, false},
		{"rmdir", "unlinkat", {0, 0, 0x200}, true},
		{"rmdir", "unlinkat", {0, 0, 0}, false},
		{"alarm", "setitimer", {0}, true},
		{"alarm", "setitimer", {2}, false},
		{"pause", "ppoll", {0, 0}, true},
		{"pause", "ppoll", {0, 1}, false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		const struct call_equivalent *e =
			call_equivalent(syscall_find(table[i].call), ARCH_ARM64);

		assert_non_null(e);
		assert_string_equal(e->instead, table[i].instead);
		assert_int_equal((table[i].args[e->arg] & e->mask) == e->value, table[i].is_meant);
		assert_null(call_equivalent(syscall_find(table[i].call), ARCH_AMD64));
	}
	assert_null(call_equivalent(syscall_find("arch_prctl"), ARCH_ARM64));
	/* whatever lacks a call has another one of its family, and knows it */
	for (size_t i = 0; i < syscall_count; i++) {
		const struct syscall_def *call = syscall_at(i);

		for (int a = 0; a < ARCH_COUNT; a++) {
			const struct call_equivalent *e = call_equivalent(call, a);

			if (call->nr[a] < 0 && family_calls(call_family(call->name)))
				assert_non_null(e);
			if (!e)
				continue;
			assert_true(syscall_find(e->instead)->nr[a] >= 0);
			assert_string_equal(call_family(e->instead), call_family(call->name));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),  cmocka_unit_test(since),
		cmocka_unit_test(groups),   cmocka_unit_test(every_call_has_a_group),
		cmocka_unit_test(families), cmocka_unit_test(equivalents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
