#include "lab/symbols/dwarf-write.h"

#include <assert.h>
#include <string.h>

/* length, version, offset of the abbreviations, size of an address */
enum { UNIT_HEADER = 4 + 2 + 4 + 1 };

void dwarf_int(struct buf *b, uint64_t value, size_t bytes)
{
	uint8_t p[8];

	for (size_t i = 0; i < bytes; i++)
		p[i] = value >> 8 * i;
	buf_add(b, p, bytes);
}

static void put_uleb(struct buf *b, uint64_t value)
{
	uint8_t p[10];
	size_t n = 0;

	do
		p[n++] = (value & 0x7f) | (value > 0x7f ? 0x80 : 0);
	while (value >>= 7);
	buf_add(b, p, n);
}

static void put_sleb(struct buf *b, int64_t value)
{
	uint8_t p[10];
	size_t n = 0;
	bool more;

	do {
		uint8_t byte = value & 0x7f;

		value >>= 7; /* keeps its sign, in gcc and clang */
		more = value != (byte & 0x40 ? -1 : 0);
		p[n++] = byte | (more ? 0x80 : 0);
	} while (more);
	buf_add(b, p, n);
}

void die_add(struct die *d, unsigned int name, unsigned int form, uint64_t value)
{
	assert(d->n < DIE_ATTRS);
	d->attrs[d->n++] = (struct die_attr){.name = name, .form = form, .value = value};
}

void die_type(struct die *d, uint32_t number)
{
	if (number)
		die_add(d, DW_AT_type, DW_FORM_ref4, number);
}

static bool same_form(const struct die *a, const struct die *b)
{
	if (a->tag != b->tag || a->children != b->children || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->attrs[i].name != b->attrs[i].name || a->attrs[i].form != b->attrs[i].form)
			return false;
	return true;
}

/* The number of the abbreviation for entries like d. */
static uint32_t abbreviate(struct dwarf_writer *w, const struct die *d)
{
	uint32_t i = 0;

	while (i < w->n_known && !same_form(&w->known[i], d))
		i++;
	if (i < w->n_known)
		return i + 1;
	assert(i < DWARF_ABBREVS);
	w->known[w->n_known++] = *d;
	put_uleb(&w->abbrev, i + 1);
	put_uleb(&w->abbrev, d->tag);
	dwarf_int(&w->abbrev, d->children, 1);
	for (size_t a = 0; a < d->n; a++) {
		put_uleb(&w->abbrev, d->attrs[a].name);
		put_uleb(&w->abbrev, d->attrs[a].form);
	}
	dwarf_int(&w->abbrev, 0, 2);
	return i + 1;
}

static void put_ref(struct dwarf_writer *w, uint32_t number)
{
	if (w->n_refs >= w->cap_refs) {
		w->cap_refs = w->cap_refs ? w->cap_refs * 2 : 4096;
		w->refs = xreallocarray(w->refs, w->cap_refs, sizeof(*w->refs));
	}
	w->refs[w->n_refs++] = w->info.len;
	dwarf_int(&w->info, number, 4);
}

static void put_value(struct dwarf_writer *w, const struct die_attr *a)
{
	switch (a->form) {
	case DW_FORM_ref4:
		put_ref(w, a->value);
		break;
	case DW_FORM_udata:
		put_uleb(&w->info, a->value);
		break;
	case DW_FORM_sdata:
		put_sleb(&w->info, a->value);
		break;
	case DW_FORM_data1:
		dwarf_int(&w->info, a->value, 1);
		break;
	case DW_FORM_strp:
	case DW_FORM_sec_offset:
		dwarf_int(&w->info, a->value, 4);
		break;
	case DW_FORM_data8:
	case DW_FORM_addr:
		dwarf_int(&w->info, a->value, 8);
		break;
	case DW_FORM_exprloc:
		put_uleb(&w->info, 9);
		dwarf_int(&w->info, DW_OP_addr, 1);
		dwarf_int(&w->info, a->value, 8);
		break;
	default:
		assert(a->form == DW_FORM_flag_present);
	}
}

void dwarf_put(struct dwarf_writer *w, const struct die *d, uint32_t number)
{
	if (number)
		w->at[number] = w->info.len;
	put_uleb(&w->info, abbreviate(w, d));
	for (size_t i = 0; i < d->n; i++)
		put_value(w, &d->attrs[i]);
}

void dwarf_up(struct dwarf_writer *w)
{
	dwarf_int(&w->info, 0, 1);
}

void dwarf_writer_begin(struct dwarf_writer *w, uint32_t n)
{
	w->at = xcalloc(n, sizeof(*w->at));
	dwarf_int(&w->info, 0, 4); /* the length: dwarf_writer_end() knows it */
	dwarf_int(&w->info, 4, 2);
	dwarf_int(&w->info, 0, 4);
	dwarf_int(&w->info, 8, 1);
	assert(w->info.len == UNIT_HEADER);
}

static void set_u32(struct buf *b, size_t at, uint32_t value)
{
	for (size_t i = 0; i < 4; i++)
		b->data[at + i] = (char)(value >> 8 * i);
}

void dwarf_writer_end(struct dwarf_writer *w)
{
	for (size_t i = 0; i < w->n_refs; i++) {
		const uint8_t *p = (const uint8_t *)w->info.data + w->refs[i];
		uint32_t number = p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;

		assert(w->at[number]);
		set_u32(&w->info, w->refs[i], w->at[number]);
	}
	set_u32(&w->info, 0, w->info.len - 4);
	dwarf_int(&w->abbrev, 0, 1);
}

void dwarf_writer_deinit(struct dwarf_writer *w)
{
	buf_deinit(&w->info);
	buf_deinit(&w->abbrev);
	free(w->at);
	free(w->refs);
	*w = (struct dwarf_writer){0};
}
