#include <string.h>

#include "lab/symbols/frames.h"

enum { FP = 29, SP = 31, INSNS_MAX = 1 << 18 };

/* Where a function is with its frame: CFA = sp + sp_offset, or fp + fp_offset once fp is set. */
struct state {
	bool known, saved, by_fp;
	int32_t sp_offset, fp_offset;
	int32_t saved_at; /* fp and lr are at CFA - saved_at */
};

typedef void (*row_fn)(void *data, const struct frame_row *row);

struct walk {
	struct state *meant; /* of each instruction: what a branch to it said */
	row_fn add;
	void *data;
};

static uint32_t insn_at(const uint8_t *p)
{
	uint32_t insn;

	memcpy(&insn, p, sizeof(insn));
	return insn;
}

static int32_t bits(uint32_t insn, unsigned int at, unsigned int n)
{
	return (int32_t)(insn << (32 - at - n)) >> (32 - n);
}

/* The offset of a pair's store or load, in bytes; of add and sub their immediate. */
static int32_t pair_offset(uint32_t insn)
{
	return bits(insn, 15, 7) * 8;
}

static int32_t immediate(uint32_t insn)
{
	int32_t is = insn >> 10 & 0xfff;

	return insn & 1 << 22 ? is << 12 : is;
}

/* Arm Architecture Reference Manual, C6.2: what instructions do to the frame. */
static void step(struct state *s, uint32_t insn)
{
	if ((insn & 0xffc07fff) == 0xa9807bfd) { /* stp x29, x30, [sp, #-n]! */
		s->sp_offset -= pair_offset(insn);
		s->saved = true;
		s->saved_at = s->sp_offset;
	} else if ((insn & 0xffc07fff) == 0xa9007bfd) { /* stp x29, x30, [sp, #n] */
		s->saved = true;
		s->saved_at = s->sp_offset - pair_offset(insn);
	} else if ((insn & 0xff8003ff) == 0xd10003ff) { /* sub sp, sp, #n */
		s->sp_offset += immediate(insn);
	} else if ((insn & 0xff8003ff) == 0x910003ff) { /* add sp, sp, #n */
		s->sp_offset -= immediate(insn);
	} else if ((insn & 0xff8003ff) == 0x910003fd) { /* add x29, sp, #n; mov x29, sp */
		s->by_fp = s->saved;
		s->fp_offset = s->sp_offset - immediate(insn);
	} else if (insn == 0x910003bf) { /* mov sp, x29 */
		s->sp_offset = s->fp_offset;
	} else if ((insn & 0xffc07fff) == 0xa8c07bfd) { /* ldp x29, x30, [sp], #n */
		s->sp_offset -= pair_offset(insn);
		s->saved = s->by_fp = false;
	} else if ((insn & 0xffc07fff) == 0xa9407bfd) { /* ldp x29, x30, [sp, #n] */
		s->saved = s->by_fp = false;
	}
}

static bool is_call(uint32_t insn)
{
	return (insn & 0xfc000000) == 0x94000000 || (insn & 0xfffffc1f) == 0xd63f0000;
}

/* What goes on nowhere: ret and its kind, br, b, eret, brk. */
static bool is_end(uint32_t insn)
{
	return (insn & 0xfffff800) == 0xd65f0000 || (insn & 0xfffffc1f) == 0xd61f0000 ||
	       (insn & 0xfc000000) == 0x14000000 || insn == 0xd69f03e0 ||
	       (insn & 0xffe0001f) == 0xd4200000;
}

/* How many instructions a branch goes on or back; 0: it is none. */
static int32_t branch_of(uint32_t insn)
{
	if ((insn & 0xfc000000) == 0x14000000)
		return bits(insn, 0, 26);
	if ((insn & 0xff000010) == 0x54000000 || (insn & 0x7e000000) == 0x34000000)
		return bits(insn, 5, 19); /* b.cond, cbz, cbnz */
	if ((insn & 0x7e000000) == 0x36000000)
		return bits(insn, 5, 14); /* tbz, tbnz */
	return 0;
}

static struct frame_row row_of(const struct state *s, uint64_t address)
{
	struct frame_row row = {.address = address,
				.kind = s->saved ? FRAME_CALL : FRAME_LEAF,
				.cfa_register = s->by_fp ? FP : SP,
				.cfa_offset = s->by_fp ? s->fp_offset : s->sp_offset};

	if (s->saved) {
		row.fp = FP_AT_CFA;
		row.fp_offset = -s->saved_at;
		row.ra_offset = 8 - s->saved_at;
	}
	return row;
}

/*
 * One function. What calls others without a frame of its own is a piece of one, or assembly: x29
 * points to a frame all the same.
 */
static void add_function(struct walk *w, const uint8_t *code, size_t n, uint64_t address,
			 bool is_entry)
{
	static const struct state frame = {.known = true,
					   .saved = true,
					   .by_fp = true,
					   .sp_offset = 16,
					   .fp_offset = 16,
					   .saved_at = 16};
	struct state s = {.known = true}, usual = {0};
	bool calls = false, saves = false, ended = false;

	for (size_t i = 0; i < n; i++) {
		struct state next = {0};

		calls = calls || is_call(insn_at(code + i * 4));
		step(&next, insn_at(code + i * 4));
		saves = saves || next.saved;
	}
	if (calls && !saves)
		s = frame;
	memset(w->meant, 0, n * sizeof(*w->meant));
	for (size_t i = 0; i < n; i++) {
		uint32_t insn = insn_at(code + i * 4);
		int64_t to = (int64_t)i + branch_of(insn);
		struct frame_row row;

		if (ended)
			s = w->meant[i].known ? w->meant[i] : usual.known ? usual : s;
		row = row_of(&s, address + i * 4);
		if (is_entry && !saves)
			row.kind = FRAME_END;
		w->add(w->data, &row);
		if (to > (int64_t)i && to < (int64_t)n)
			w->meant[to] = s;
		step(&s, insn);
		if (s.by_fp)
			usual = s;
		ended = is_end(insn);
	}
	w->add(w->data, &(struct frame_row){.address = address + n * 4, .kind = FRAME_NONE});
}

static void add_row(void *data, const struct frame_row *row)
{
	frames_add(data, row);
}

void frames_of_arm64(struct frames *f, const struct elf_part *parts, size_t n,
		     const struct ksyms *symbols)
{
	struct walk w = {.meant = xcalloc(INSNS_MAX, sizeof(*w.meant)), .add = add_row, .data = f};
	size_t next;

	for (size_t i = 0; i < symbols->n; i = next) {
		uint64_t from = symbols->items[i].address, end;
		bool is_entry = false;
		size_t p = 0;

		for (next = i; next < symbols->n && symbols->items[next].address == from; next++)
			is_entry = is_entry || frames_is_entry(&symbols->items[next]);
		while (p < n && (!parts[p].is_code || !parts[p].data || from < parts[p].address ||
				 from - parts[p].address >= parts[p].size))
			p++;
		if (p == n || from % 4)
			continue;
		end = parts[p].address + parts[p].size;
		if (next < symbols->n && symbols->items[next].address < end)
			end = symbols->items[next].address;
		if ((end - from) / 4 && (end - from) / 4 <= INSNS_MAX)
			add_function(&w, (const uint8_t *)parts[p].data + (from - parts[p].address),
				     (end - from) / 4, from, is_entry);
	}
	free(w.meant);
}

struct wanted {
	uint64_t at;
	struct frame_row row;
};

static void keep_row(void *data, const struct frame_row *row)
{
	struct wanted *w = data;

	if (row->address <= w->at)
		w->row = *row;
}

struct frame_row frames_arm64_row(const uint8_t *code, size_t n, uint64_t address, uint64_t at)
{
	struct wanted wanted = {.at = at, .row = {.kind = FRAME_NONE}};
	struct walk w = {.add = keep_row, .data = &wanted};

	if (n && n <= INSNS_MAX) {
		w.meant = xcalloc(n, sizeof(*w.meant));
		add_function(&w, code, n, address, false);
		free(w.meant);
	}
	return wanted.row;
}
