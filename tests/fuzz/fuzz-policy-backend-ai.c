/* Policies of Backend.AI Jail: read; what was good is complete. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "jail/policy/policy-backend-ai.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	auto_cleanup(policy) policy = {0};
	auto_cleanup(yaml) y = {0};
	struct err err = {0};

	if (yaml_parse("fuzz", (const char *)data, len, &y, &err) < 0)
		return 0;
	policy_backend_ai_is(&y);
	if (policy_from_backend_ai(&y, &policy, &err) < 0) {
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
	return 0;
}
