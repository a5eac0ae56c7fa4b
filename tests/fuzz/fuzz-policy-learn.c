/*
 * Lists of calls and logs of strace: what is learned from them reads back, and learned again it is
 * the same policy.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "jail/learn/learn-text.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void finish(struct learn *learn, struct policy *ret)
{
	auto_cleanup(strv) notes = {0};

	learn_finish(learn, NULL, ret, &notes);
	learn_destroy(learn);
}

static void must_be_same(const struct policy *a, const struct policy *b)
{
	if (a->n != b->n || a->n_frequency != b->n_frequency)
		abort();
	for (size_t i = 0; i < a->n; i++) {
		auto_cleanup(buf) one = {0};
		auto_cleanup(buf) other = {0};

		policy_rule_print(&a->rules[i], &one);
		policy_rule_print(&b->rules[i], &other);
		if (!str_eq(one.data, other.data))
			abort();
	}
	for (size_t i = 0; i < a->n_frequency; i++)
		if (a->frequency[i].call != b->frequency[i].call ||
		    a->frequency[i].count != b->frequency[i].count)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct learn *learn = learn_create();
	auto_cleanup(policy) learned = {0};
	auto_cleanup(policy) read = {0};
	auto_cleanup(policy) again = {0};
	auto_cleanup(strv) notes = {0};
	auto_cleanup(buf) text = {0};
	struct err err = {0};

	if (learn_add_text(learn, "fuzz", (const char *)data, len, &notes, &err) < 0) {
		learn_destroy(learn);
		if (err.code <= 0 || !str_starts(err.msg, "fuzz:"))
			abort();
		return 0;
	}
	finish(learn, &learned);
	policy_print(&learned, &text);
	if (policy_load_text("learned", text.data, text.len, &read, &err) < 0)
		abort();
	learn = learn_create();
	learn_add_policy(learn, &read);
	finish(learn, &again);
	must_be_same(&learned, &again);
	return 0;
}
