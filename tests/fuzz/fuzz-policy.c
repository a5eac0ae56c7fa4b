/*
 * Policy files in jail's own format: read, printed, read again. What is printed must read back,
 * with as many rules, and print the same again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/yaml.h"
#include "jail/policy/policy-print.h"
#include "jail/policy/policy-yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int read_policy(const char *text, size_t len, struct policy *ret, struct err *err)
{
	auto_cleanup(yaml) y = {0};
	int r = yaml_parse("fuzz", text, len, &y, err);

	return r < 0 ? r : policy_from_yaml(&y, ret, err);
}

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	auto_cleanup(policy) policy = {0}, again = {0};
	auto_cleanup(buf) first = {0}, second = {0};
	struct err err = {0};

	if (read_policy((const char *)data, len, &policy, &err) < 0) {
		check(err.code > 0 && str_starts(err.msg, "fuzz:") && !strchr(err.msg, '\n'));
		return 0;
	}
	for (size_t i = 0; i < policy.n; i++)
		check(policy.rules[i].call && policy.rules[i].at.line &&
		      policy.rules[i].action.kind != POLICY_UNSET &&
		      policy.rules[i].n_conds <= POLICY_CONDS_MAX);
	policy_print(&policy, &first);
	/* one line of a list of groups may print as more text than a file may have */
	if (first.len > YAML_MAX_BYTES)
		return 0;
	check(read_policy(first.data, first.len, &again, &err) == 0);
	check(again.n == policy.n);
	policy_print(&again, &second);
	check(second.len == first.len && memcmp(first.data, second.data, first.len) == 0);
	return 0;
}
