/* A policy, then a line "---", then a table of tests: looked for faults, explained, and run. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jail/inspect/explain.h"
#include "jail/inspect/lint.h"
#include "jail/inspect/policy-test.h"
#include "jail/policy/policy-yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int fail(const struct err *err)
{
	if (err->code <= 0 || !*err->msg)
		abort();
	return 0;
}

static void explain_first(const struct policy *policy)
{
	const struct filter_target target = {ARCH_ARM64, FILTER_NEWEST_KERNEL, 0};
	struct explain_query query = {.given = 1};
	auto_cleanup(filter_model) model = {0};
	auto_cleanup(buf) out = {0};

	if (!policy->n || filter_model_make(policy, &target, &model, NULL) < 0)
		return;
	query.call = policy->rules[0].call;
	explain_print(&model, &query, &out);
	explain_print_json(&model, &query, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char mark[] = "\n---\n";
	const uint8_t *cut = memmem(data, len, mark, sizeof(mark) - 1);
	size_t policy_len = cut ? (size_t)(cut - data) + 1 : len;
	const char *table = cut ? (const char *)cut + sizeof(mark) - 1 : "";
	auto_cleanup(policy_tests) tests = {0};
	auto_cleanup(findings) findings = {0};
	auto_cleanup(policy) policy = {0};
	auto_cleanup(yaml) y = {0};
	auto_cleanup(buf) out = {0};
	struct err err = {0};
	unsigned int number = 0;

	if (yaml_parse("fuzz", (const char *)data, policy_len, &y, &err) < 0 ||
	    policy_from_yaml(&y, &policy, &err) < 0)
		return fail(&err);
	policy_lint(&policy, &(struct lint_options){0}, &findings);
	explain_first(&policy);
	if (policy_tests_parse("table", table, cut ? len - policy_len - 4 : 0, &tests, &err) < 0)
		return fail(&err);
	if (policy_tests_run(&tests, &policy, &number, &out, &err) < 0)
		return fail(&err);
	if (number != tests.n || strstr(out.data, ": a bug"))
		abort();
	return 0;
}
