/* InRelease and Packages, whole and in two pieces: the same stanzas come out. And image headers. */
#include <assert.h>
#include <string.h>

#include "lab/debian/deb822.h"
#include "lab/debian/debver.h"
#include "lab/kernel/kernel-image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t count(const char *text, size_t len, size_t first, bool *bad)
{
	auto_cleanup(deb822) d = {0};
	size_t used = 0, stanzas = 0, there = first;
	ssize_t n;

	for (;;) {
		n = deb822_next(text + used, there - used, there == len, &d, NULL);
		if (n > 0) {
			assert((size_t)n <= there - used);
			used += n;
			stanzas += d.n > 0;
		} else if (n == 0 && there < len) {
			there = len;
		} else {
			break;
		}
	}
	*bad = n < 0;
	return stanzas;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	auto_cleanup(strv) groups = {0};
	auto_free char *copy = xstrndup(text, len);
	struct kernel_image image;
	bool bad, bad_cut;
	char hex[65];
	uint64_t size;
	size_t whole = count(text, len, len, &bad);

	assert(count(text, len, len / 2, &bad_cut) == whole && bad == bad_cut);
	deb822_depends(copy, &groups);
	deb822_checksum(copy, "x", hex, &size);
	assert(debver_compare(copy, copy) == 0);
	if (groups.n > 1) {
		int r = debver_compare(groups.items[0], groups.items[1]);

		assert((r > 0) == (debver_compare(groups.items[1], groups.items[0]) < 0));
	}
	kernel_image_probe(data, len, &image, NULL);
	return 0;
}
