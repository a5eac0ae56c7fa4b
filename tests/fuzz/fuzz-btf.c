/* A kernel's type information, and symbols by the names in it: the DWARF holds together. */
#include <assert.h>
#include <string.h>

#include "lab/symbols/btf-read.h"
#include "lab/symbols/btf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Every string is a symbol too, so that functions and variables have places. */
static void symbols_of(const struct btf *b, struct ksyms *s)
{
	s->items = xcalloc(b->strings_len, sizeof(*s->items));
	for (uint32_t at = 1; at < b->strings_len; at += strlen(b->strings + at) + 1)
		s->items[s->n++] = (struct ksym){.address = 0xffffffff81000000 + at / 3 * 3,
						 .type = at & 1 ? 'T' : 'd',
						 .name = b->strings + at};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	auto_cleanup(dwarf_sections) d = {0};
	auto_cleanup(btf) b = {0};
	struct ksyms s = {0};
	struct err err = {0};
	const uint8_t *found;
	size_t found_len;

	if (btf_find(data, len, &found, &found_len, NULL) < 0)
		return 0;
	assert(found >= data && found + found_len <= data + len);
	if (btf_open(found, found_len, &b, &err) < 0) {
		assert(err.code == EBADMSG && err.msg[0]);
		return 0;
	}
	symbols_of(&b, &s);
	assert(btf_to_dwarf(found, found_len, len & 1 ? ARCH_ARM64 : ARCH_AMD64, &s, &d, &err) ==
	       0);
	assert(btf_u32((const uint8_t *)d.info.data) == d.info.len - 4);
	assert(d.str.len >= b.strings_len && memcmp(d.str.data, b.strings, b.strings_len) == 0);
	assert(d.loc.len % 35 == 0);
	free(s.items);
	return 0;
}
