/* Kernel logs: untrusted bytes; what is named is printable, and every report lies within. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lab/crash/crash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_text(const char *s, size_t max)
{
	assert(s && strlen(s) < max);
	for (; *s; s++)
		assert((unsigned char)*s >= 0x20 && *s != 0x7f);
}

static void check(const char *text, size_t len, bool from_kernel)
{
	auto_cleanup(crashes) found = {0};

	crashes_find(text, len, from_kernel, &found);
	assert(found.n <= CRASH_MAX && !crashes_main(&found) == !found.n);
	for (size_t i = 0; i < found.n; i++) {
		const struct crash *c = &found.items[i];

		assert(*c->title && *c->type && *c->signature);
		check_text(c->title, 200);
		check_text(c->signature, 400);
		check_text(c->first_line, 400);
		if (c->guilty)
			check_text(c->guilty, 200);
		for (size_t k = 0; k < c->alternatives.n; k++)
			check_text(c->alternatives.items[k], 200);
		assert(c->len <= len && c->offset <= len - c->len);
	}
}

/* In pieces of different sizes it is the same. */
static void watch(const char *text, size_t len)
{
	struct crash_watch whole = {0}, pieces = {0};

	crash_watch_feed(&whole, text, len);
	for (size_t at = 0, n; at < len; at += n) {
		n = 1 + (at * 7) % 13;
		n = n < len - at ? n : len - at;
		crash_watch_feed(&pieces, text + at, n);
	}
	assert(whole.panic_over == pieces.panic_over && whole.boots == pieces.boots);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check((const char *)data, len, true);
	check((const char *)data, len, false);
	watch((const char *)data, len);
	return 0;
}
