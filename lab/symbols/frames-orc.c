#include <string.h>

#include "lab/symbols/frames.h"

/* Base registers, as DWARF numbers them; the last three mean something else. */
enum { AX = 0, DX = 1, BP = 6, SP = 7, DI = 5, R10 = 10, R13 = 13, RA = 16, UNDEFINED, PREV_SP };
enum { INDIRECT = 0x80, UNKNOWN = 0xff };

/* orc_types.h of up to 6.x, and of 7.x; nothing says which, but most frames are found by SP. */
static const uint8_t bases_6[16] = {
	UNDEFINED,     PREV_SP,	      DX,      DI,	BP,	 SP,	  R10,	   R13,
	BP | INDIRECT, SP | INDIRECT, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN};
static const uint8_t bases_7[16] = {
	UNDEFINED,     AX,	DX,	 SP,	  BP,	   DI,	   R10, R13, PREV_SP, SP | INDIRECT,
	BP | INDIRECT, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN};

struct entry {
	int16_t sp_offset, bp_offset;
	uint8_t sp, bp; /* bases */
	unsigned int type;
	bool is_end;
};

struct orc_format orc_find_format(const uint8_t *orc, size_t n)
{
	size_t sp_6 = 0, sp_7 = 0, calls_0 = 0, calls_2 = 0;

	for (size_t i = 0; i < n; i++, orc += ORC_ENTRY) {
		unsigned int base = orc[4] & 15;

		sp_6 += base == 5;
		sp_7 += base == 3;
		calls_0 += base && (orc[5] & 7) == 0;
		calls_2 += base && (orc[5] & 7) == 2;
	}
	return (struct orc_format){.bases = sp_7 > sp_6 ? bases_7 : bases_6,
				   .types_6_4 = calls_2 > calls_0};
}

static struct entry read_entry(const struct orc_format *f, const uint8_t *p)
{
	/* type, then from 6.3 on whether a signal was there, then (up to 6.3) the end of a stack */
	struct entry e = {.sp = f->bases[p[4] & 15],
			  .bp = f->bases[p[4] >> 4],
			  .type = f->types_6_4 ? p[5] & 7 : (p[5] & 3) + 2,
			  .is_end = f->types_6_4 ? (p[5] & 7) == 1 : p[5] & 12};

	memcpy(&e.sp_offset, p, 2);
	memcpy(&e.bp_offset, p + 2, 2);
	return e;
}

static struct frame_row row_of(const struct entry *e)
{
	struct frame_row row = {.cfa_register = e->sp & ~INDIRECT, .cfa_offset = e->sp_offset};

	if (e->sp == UNDEFINED) {
		row.cfa_register = SP;
		row.kind = e->is_end ? FRAME_END : FRAME_NONE;
		return row;
	}
	if (e->sp == UNKNOWN || e->sp == PREV_SP || e->type < 2 || e->type > 4)
		return row;
	row.kind = (int[]){FRAME_CALL, FRAME_REGS, FRAME_IRET}[e->type - 2];
	row.ra_offset = -8;
	if (e->sp & INDIRECT) {
		row.cfa_indirect = true;
		if (row.cfa_register == SP) { /* so from 5.12 on; unused before */
			row.cfa_add = e->sp_offset;
			row.cfa_offset = 0;
		}
	} else if (row.cfa_register != SP && row.cfa_register != BP) {
		row.cfa_offset = 0;
	}
	if (e->bp == PREV_SP)
		row.fp = FP_AT_CFA;
	else if (e->bp == BP)
		row.fp = FP_AT_FP;
	row.fp_offset = e->bp_offset;
	return row;
}

struct frame_row orc_row(const struct orc_format *format, const uint8_t *entry)
{
	struct entry e = read_entry(format, entry);

	return row_of(&e);
}

/* Whether at the address is the way in of a system call; *at is the symbol looked at last. */
static bool is_entry(const struct ksyms *s, uint64_t address, size_t *at)
{
	while (*at + 1 < s->n && s->items[*at + 1].address <= address)
		++*at;
	/* several may be at one place */
	for (size_t i = *at + 1; i-- > 0 && s->items[i].address == s->items[*at].address;)
		if (frames_is_entry(&s->items[i]))
			return true;
	return false;
}

void frames_of_orc(struct frames *f, const struct elf_part *ip, const struct elf_part *orc,
		   const struct ksyms *symbols)
{
	size_t n = ip->size / 4 < orc->size / ORC_ENTRY ? ip->size / 4 : orc->size / ORC_ENTRY;
	const uint8_t *ips = ip->data, *entries = orc->data;
	struct orc_format format = orc_find_format(entries, n);
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		struct frame_row row = orc_row(&format, entries + i * ORC_ENTRY);
		int32_t from;

		memcpy(&from, ips + i * 4, sizeof(from)); /* counted from its own place */
		row.address = ip->address + i * 4 + from;
		if ((row.kind == FRAME_REGS || row.kind == FRAME_IRET) &&
		    is_entry(symbols, row.address, &at))
			row.kind = FRAME_END;
		frames_add(f, &row);
	}
}
