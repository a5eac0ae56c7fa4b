/*
 * policy-test.h - tables of calls and what is to become of them, held against the compiled filter.
 *
 * Pure. docs/jail-policy.1 has the format; a row is
 *
 *	any    socket(AF_INET, SOCK_STREAM)    -> allow
 *	amd64  ioctl 0 TIOCSTI                 -> errno EPERM
 *
 * Ownership: policy_tests_parse() fills *ret, the caller releases it with policy_tests_deinit().
 */
#ifndef JAIL_INSPECT_POLICY_TEST_H
#define JAIL_INSPECT_POLICY_TEST_H

#include "jail/filter/model.h"

enum { POLICY_TESTS_MAX = 100000, POLICY_TEST_LINE_MAX = 500 };

/* One row for one architecture: "any" is a row for each. */
struct policy_test {
	unsigned int line;
	char *text;	  /* owned: the row without comment and needless blanks */
	enum arch arch;	  /* whose filter is run */
	uint32_t audit;	  /* seccomp_data.arch */
	int nr;		  /* -1: this architecture lacks the call, and nothing stands for it */
	const char *call; /* that is made: perhaps an equivalent. NULL: a number without a name */
	uint64_t args[6];
	unsigned int given; /* bits 1 << argument; the outcome holds for any value of the others */
	struct kver kernel;
	uint64_t caps;
	bool is_refused;	   /* expected: any action that refuses */
	struct policy_action want; /* expected otherwise */
};

struct policy_tests {
	char *name;
	struct policy_test *items;
	size_t n, cap;
};
void policy_tests_deinit(struct policy_tests *tests);
DEFINE_CLEANUP(policy_tests, policy_tests_deinit)

/*
 * Parse a table; name is used in messages only. Returns 0, or -EINVAL (err says name:line:column
 * and what was expected), -E2BIG. *ret is written only on success.
 */
int policy_tests_parse(const char *name, const char *text, size_t len, struct policy_tests *ret,
		       struct err *err);

/*
 * Run all rows on the filters compiled from a loaded policy, as TAP numbered from *number + 1,
 * appended to out; a failed row is followed by what happened instead and the rule that did it.
 * Returns how many rows failed, or a negative errno when a filter could not be made.
 */
int policy_tests_run(const struct policy_tests *tests, const struct policy *policy,
		     unsigned int *number, struct buf *out, struct err *err);

/*
 * The value of a number (decimal, 0x…, 0… octal, negative), a constant, or several joined by '|',
 * on each architecture. Returns 0, or -EINVAL (the text says what is wrong, and the nearest
 * constant).
 */
int call_value_parse(const char *text, uint64_t value[ARCH_COUNT], struct err *err);

#endif
