/* Policy files: parsed, and printed when they were good. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "jail/policy/policy-load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	auto_cleanup(policy) policy = {0};
	auto_cleanup(buf) out = {0};
	struct err err = {0};

	if (policy_load_text("fuzz", (const char *)data, len, &policy, &err) < 0) {
		if (err.code <= 0 || !*err.msg)
			abort();
		return 0;
	}
	policy_action_print(&policy.fallback, &out);
	for (size_t i = 0; i < policy.n; i++)
		if (!policy.rules[i].call || !policy.rules[i].at.line)
			abort();
	return 0;
}
