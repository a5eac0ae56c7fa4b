/* .config: sorted, each option once, found by its name, equal to itself. */
#include <assert.h>
#include <string.h>

#include "lab/kconfig/kconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void differs(void *data, const char *option, const char *a, const char *b)
{
	(void)option;
	assert(!str_eq(a, b));
	++*(size_t *)data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	auto_cleanup(kconfig) c = {0}, empty = {0};
	struct err err = {0};
	size_t n = 0;

	if (kconfig_parse("c", (const char *)data, len, &c, &err) < 0) {
		assert(err.code && err.msg[0]);
		return 0;
	}
	for (size_t i = 0; i < c.n; i++) {
		assert(i == 0 || strcmp(c.items[i - 1].name, c.items[i].name) < 0);
		assert(kconfig_get(&c, c.items[i].name) == c.items[i].value);
		assert(!str_eq(c.items[i].value, "n"));
	}
	kconfig_diff(&c, &c, differs, &n);
	assert(n == 0);
	kconfig_diff(&c, &empty, differs, &n);
	assert(n == c.n);
	return 0;
}
