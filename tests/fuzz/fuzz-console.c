/* Consoles: untrusted bytes; a title is printable and the report lies within the text. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lab/scenario/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct crash crash = {0};

	console_has_panic((const char *)data, len);
	if (!console_find_crash((const char *)data, len, &crash))
		return 0;
	assert(*crash.title && strlen(crash.title) < 200);
	for (const char *p = crash.title; *p; p++)
		assert((unsigned char)*p >= 0x20 && *p != 0x7f);
	assert(crash.len <= len && crash.offset <= len - crash.len);
	free(crash.title);
	return 0;
}
