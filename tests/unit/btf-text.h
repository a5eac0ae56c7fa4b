/*
 * btf-text.h - for the test of BTF: makes BTF type by type, and prints DWARF a line an entry.
 */
#include <string.h>

#include "lab/symbols/btf-read.h"
#include "lab/symbols/btf.h"
#include "lab/symbols/dwarf-write.h"

/* --- making BTF --------------------------------------------------------------------------------*/

static struct {
	struct buf types, strings, all;
	uint32_t n; /* types */
} made;

static int setup(void **state)
{
	(void)state;
	memset(&made, 0, sizeof(made));
	buf_add(&made.strings, "", 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_deinit(&made.types);
	buf_deinit(&made.strings);
	buf_deinit(&made.all);
	return 0;
}

static uint32_t name(const char *s)
{
	uint32_t at = made.strings.len;

	if (!s)
		return 0;
	buf_add(&made.strings, s, strlen(s) + 1);
	return at;
}

static void words(const uint32_t *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dwarf_int(&made.types, w[i], 4);
}

/* Returns the type's number. n and flag are parts of the second word. */
static uint32_t type(enum btf_kind kind, const char *s, uint32_t n, bool flag, uint32_t size)
{
	words((uint32_t[]){name(s), (uint32_t)flag << 31 | (uint32_t)kind << 24 | n, size}, 3);
	return ++made.n;
}

static uint32_t integer(const char *s, uint32_t size, uint32_t encoding, uint32_t bits)
{
	uint32_t id = type(BTF_INT, s, 0, false, size);

	words((uint32_t[]){encoding << 24 | bits}, 1);
	return id;
}

static void item(const char *s, uint32_t second, uint32_t third)
{
	words((uint32_t[]){name(s), second, third}, 3);
}

static void pair(const char *s, uint32_t second)
{
	words((uint32_t[]){name(s), second}, 2);
}

/* layout: bytes of each kind, or NULL */
static void finish(const uint8_t *layout, size_t layout_len)
{
	uint32_t header = layout ? 32 : 24, types = made.types.len, strings = made.strings.len;

	dwarf_int(&made.all, 0x0001eb9f, 4);
	dwarf_int(&made.all, header, 4);
	dwarf_int(&made.all, 0, 4);
	dwarf_int(&made.all, types, 4);
	dwarf_int(&made.all, types + layout_len, 4);
	dwarf_int(&made.all, strings, 4);
	if (layout) {
		dwarf_int(&made.all, types, 4);
		dwarf_int(&made.all, layout_len, 4);
	}
	buf_add(&made.all, made.types.data, types);
	buf_add(&made.all, layout, layout_len);
	buf_add(&made.all, made.strings.data, strings);
}

/* --- reading DWARF, as text --------------------------------------------------------------------*/

static uint64_t uleb(const uint8_t **p, bool sign)
{
	uint64_t value = 0;
	unsigned int shift = 0;
	uint8_t byte;

	do {
		byte = *(*p)++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (sign && byte & 0x40 && shift < 64)
		value |= ~0ull << shift;
	return value;
}

static uint64_t fixed(const uint8_t **p, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t) * (*p)++ << 8 * i;
	return value;
}

static const char *word(unsigned int number, bool is_tag)
{
	static const struct {
		unsigned int number;
		bool is_tag;
		const char *word;
	} all[] = {
		{DW_TAG_array_type, true, "array"},
		{DW_TAG_enumeration_type, true, "enum"},
		{DW_TAG_formal_parameter, true, "parameter"},
		{DW_TAG_member, true, "member"},
		{DW_TAG_pointer_type, true, "pointer"},
		{DW_TAG_compile_unit, true, "unit"},
		{DW_TAG_structure_type, true, "struct"},
		{DW_TAG_subroutine_type, true, "prototype"},
		{DW_TAG_typedef, true, "typedef"},
		{DW_TAG_union_type, true, "union"},
		{DW_TAG_unspecified_parameters, true, "dots"},
		{DW_TAG_subrange_type, true, "range"},
		{DW_TAG_base_type, true, "base"},
		{DW_TAG_const_type, true, "const"},
		{DW_TAG_enumerator, true, "value"},
		{DW_TAG_subprogram, true, "function"},
		{DW_TAG_variable, true, "variable"},
		{DW_TAG_volatile_type, true, "volatile"},
		{DW_TAG_restrict_type, true, "restrict"},
		{DW_AT_location, false, "at"},
		{DW_AT_byte_size, false, "size"},
		{DW_AT_bit_size, false, "bits"},
		{DW_AT_low_pc, false, "low"},
		{DW_AT_high_pc, false, "length"},
		{DW_AT_const_value, false, "is"},
		{DW_AT_count, false, "count"},
		{DW_AT_data_member_location, false, "offset"},
		{DW_AT_declaration, false, "declared"},
		{DW_AT_encoding, false, "encoding"},
		{DW_AT_external, false, "external"},
		{DW_AT_data_bit_offset, false, "bit"},
	};

	for (size_t i = 0; i < array_len(all); i++)
		if (all[i].is_tag == is_tag && all[i].number == number)
			return all[i].word;
	return "?";
}

/* The abbreviation of that number: where its tag is. */
static const uint8_t *abbreviation(const struct dwarf_sections *d, uint64_t number)
{
	const uint8_t *p = (const uint8_t *)d->abbrev.data;

	while (uleb(&p, false) != number) {
		uleb(&p, false);
		p++;
		while (p[0] || p[1])
			p++;
		p += 2;
	}
	return p;
}

static void print_location(const struct dwarf_sections *d, uint64_t at, struct buf *out)
{
	const uint8_t *p = (const uint8_t *)d->loc.data + at;
	uint64_t from = fixed(&p, 8), to = fixed(&p, 8);

	assert_int_equal(fixed(&p, 2), 1);
	buf_addf(out, " r%d@%lx-%lx", *p - DW_OP_reg0, from, to);
}

static void print_value(const struct dwarf_sections *d, unsigned int at, unsigned int form,
			const uint8_t **p, struct buf *out)
{
	const uint8_t *str = (const uint8_t *)d->str.data;
	uint64_t value = 0;

	switch (form) {
	case DW_FORM_flag_present:
		if (at != DW_AT_prototyped)
			buf_addf(out, " %s", word(at, false));
		return;
	case DW_FORM_udata:
	case DW_FORM_sdata:
		value = uleb(p, form == DW_FORM_sdata);
		break;
	case DW_FORM_exprloc:
		assert_int_equal(fixed(p, 2), 9 | DW_OP_addr << 8);
		value = fixed(p, 8);
		break;
	case DW_FORM_addr:
	case DW_FORM_data8:
		value = fixed(p, 8);
		break;
	default:
		value = fixed(p, form == DW_FORM_data1 ? 1 : 4);
	}
	if (form == DW_FORM_strp)
		buf_addf(out, " '%s'", str + value);
	else if (form == DW_FORM_sec_offset)
		print_location(d, value, out);
	else if (form == DW_FORM_ref4) /* to what: its tag is enough here */
		buf_addf(out, " of %s", word(*abbreviation(d, (uint8_t)d->info.data[value]), true));
	else
		buf_addf(out,
			 form == DW_FORM_addr || form == DW_FORM_exprloc ? " %s=%lx" : " %s=%ld",
			 word(at, false), value);
}

/* All entries below the unit on a line each; children are indented. */
static void print_dwarf(const struct dwarf_sections *d, struct buf *out)
{
	const uint8_t *p = (const uint8_t *)d->info.data + 11;
	const uint8_t *end = (const uint8_t *)d->info.data + d->info.len;
	int depth = 0;

	do {
		uint64_t number = uleb(&p, false);
		const uint8_t *a;
		size_t start = out->len;

		if (!number) {
			depth--;
			continue;
		}
		a = abbreviation(d, number);
		buf_addf(out, "%*s%s", depth ? depth - 1 : 0, "", word(uleb(&a, false), true));
		bool children = *a++;
		while (a[0] || a[1]) {
			unsigned int at = uleb(&a, false), form = uleb(&a, false);

			print_value(d, at, form, &p, out);
		}
		if (depth == 0)
			out->len = start; /* the unit itself */
		else
			buf_adds(out, "\n");
		depth += children;
	} while (depth);
	assert_ptr_equal(p, end);
}
