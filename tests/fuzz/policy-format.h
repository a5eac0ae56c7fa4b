/*
 * A format of other people's policies: read, printed, and read again. Whoever includes this defines
 * FORMAT_IS, FORMAT_READ and FORMAT_PRINT.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "jail/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What is printed is read without a mistake, and nothing in it is unknown. */
static void read_back(const struct policy *policy)
{
	auto_cleanup(policy) again = {0};
	auto_cleanup(strv) lost = {0};
	auto_cleanup(yaml) y = {0};
	auto_cleanup(buf) out = {0};
	struct err err = {0};

	FORMAT_PRINT(policy, &out, &lost);
	if (out.len > YAML_MAX_BYTES)
		return;
	if (yaml_parse("again", out.data, out.len, &y, &err) < 0 ||
	    FORMAT_READ(&y, &again, &err) < 0) {
		fprintf(stderr, "%s\n%s", err.msg, out.data);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	auto_cleanup(policy) policy = {0};
	auto_cleanup(yaml) y = {0};
	struct err err = {0};

	if (yaml_parse("fuzz", (const char *)data, len, &y, &err) < 0)
		return 0;
	FORMAT_IS(&y);
	if (FORMAT_READ(&y, &policy, &err) < 0) {
		if (err.code <= 0 || !*err.msg || policy.name)
			abort();
		return 0;
	}
	if (!policy.name || !policy.fallback.kind)
		abort();
	for (size_t i = 0; i < policy.n; i++)
		if (!policy.rules[i].call || !policy.rules[i].at.line ||
		    !policy.rules[i].action.kind)
			abort();
	if (policy.n < 256)
		read_back(&policy);
	return 0;
}
