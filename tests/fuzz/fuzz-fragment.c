/* Fragments: whatever is accepted says the same when it is written for merge_config.sh and read
 * again. */
#include <assert.h>
#include <string.h>

#include "lab/kconfig/fragment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct kver kver = {{6, 1, 176}};
	auto_cleanup(fragment) f = {0}, again = {0};
	auto_cleanup(fragment_set) set = {0};
	auto_cleanup(buf) text = {0};
	struct err err = {0};

	if (fragment_parse("f", "f", (const char *)data, len, &f, &err) < 0 ||
	    fragment_set_build(&f, 1, &kver, ARCH_ARM64, &set, &err) < 0) {
		assert(err.code && err.msg[0]);
		return 0;
	}
	fragment_set_text(&set, &f, &text);
	assert(fragment_parse("g", "g", text.len ? text.data : "", text.len, &again, &err) == 0);
	assert(again.n == set.n);
	for (size_t i = 0; i < set.n; i++) {
		assert(str_eq(again.items[i].name, set.items[i].option->name));
		assert(str_eq(again.items[i].value, set.items[i].option->value));
	}
	return 0;
}
