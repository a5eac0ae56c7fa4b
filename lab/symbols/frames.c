#include "lab/symbols/frames.h"

#include <string.h>

enum {
	CFA_advance_loc = 0x40,
	CFA_offset = 0x80,
	CFA_advance_loc1 = 0x02,
	CFA_advance_loc2 = 0x03,
	CFA_advance_loc4 = 0x04,
	CFA_undefined = 0x07,
	CFA_same_value = 0x08,
	CFA_def_cfa = 0x0c,
	CFA_def_cfa_expression = 0x0f,
	CFA_expression = 0x10,
	CFA_offset_extended_sf = 0x11,
	CFA_val_expression = 0x16,
	OP_deref = 0x06,
	OP_dup = 0x12,
	OP_and = 0x1a,
	OP_plus_uconst = 0x23,
	OP_bra = 0x28,
	OP_skip = 0x2f,
	OP_lit0 = 0x30,
	OP_breg0 = 0x70,
	WORD = 8,
	ROWS_MAX = 64, /* gdb reads an entry from its start */
};

static void add_byte(struct buf *b, unsigned int byte)
{
	buf_add(b, &(uint8_t){byte}, 1);
}

static void add_uleb(struct buf *b, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		add_byte(b, (n & 0x7f) | 0x80);
	add_byte(b, n);
}

static void add_sleb(struct buf *b, int64_t n)
{
	for (; n < -0x40 || n >= 0x40; n >>= 7)
		add_byte(b, (n & 0x7f) | 0x80);
	add_byte(b, n & 0x7f);
}

/* The registers by their numbers in DWARF: frame pointer, stack pointer, return address. */
static unsigned int fp_of(enum arch arch)
{
	return arch == ARCH_AMD64 ? 6 : 29;
}

static unsigned int ra_of(enum arch arch)
{
	return arch == ARCH_AMD64 ? 16 : 30;
}

static void add_block(struct buf *b, const struct buf *expression)
{
	add_uleb(b, expression->len);
	buf_add(b, expression->data, expression->len);
}

/* That register of the caller is stored at CFA + offset. */
static void add_stored(struct buf *b, unsigned int reg, int offset)
{
	if (offset % WORD) {
		auto_cleanup(buf) e = {0}; /* CFA is on the stack */

		add_byte(&e, 0x11); /* consts */
		add_sleb(&e, offset);
		add_byte(&e, 0x22); /* plus */
		add_byte(b, CFA_expression);
		add_uleb(b, reg);
		add_block(b, &e);
	} else if (offset <= 0 && reg < 64) {
		add_byte(b, CFA_offset | reg);
		add_uleb(b, -offset / WORD);
	} else {
		add_byte(b, CFA_offset_extended_sf);
		add_uleb(b, reg);
		add_sleb(b, -offset / WORD);
	}
}

static void add_cfa(struct buf *b, const struct frame_row *row)
{
	auto_cleanup(buf) e = {0};

	if (!row->cfa_indirect && row->cfa_offset >= 0) {
		add_byte(b, CFA_def_cfa);
		add_uleb(b, row->cfa_register);
		add_uleb(b, row->cfa_offset);
		return;
	}
	add_byte(&e, OP_breg0 + row->cfa_register);
	add_sleb(&e, row->cfa_offset);
	if (row->cfa_indirect) {
		add_byte(&e, OP_deref);
		add_byte(&e, OP_plus_uconst);
		add_uleb(&e, row->cfa_add);
	}
	add_byte(b, CFA_def_cfa_expression);
	add_block(b, &e);
}

/*
 * What an exception interrupted: ip at CFA + at, behind it cs. In user space it was not called by
 * anybody that this file knows: an address of 0 ends gdb's walk.
 */
static void add_interrupted(struct buf *b, enum arch arch, unsigned int at)
{
	auto_cleanup(buf) e = {0};

	add_byte(&e, OP_dup);
	add_byte(&e, OP_plus_uconst);
	add_uleb(&e, at + WORD);
	add_byte(&e, OP_deref);
	add_byte(&e, OP_lit0 + 3);
	add_byte(&e, OP_and);
	add_byte(&e, OP_bra);
	buf_add(&e, &(uint16_t){at < 128 ? 6 : 7}, 2);
	add_byte(&e, OP_plus_uconst);
	add_uleb(&e, at);
	add_byte(&e, OP_deref);
	add_byte(&e, OP_skip);
	buf_add(&e, &(uint16_t){1}, 2);
	add_byte(&e, OP_lit0);
	add_byte(b, CFA_val_expression);
	add_uleb(b, ra_of(arch));
	add_block(b, &e);
	add_stored(b, 7, at + 3 * WORD); /* sp */
}

const int8_t frames_pt_regs[16] = {10, 12, 11, 5, 13, 14, 4, -1, 9, 8, 7, 6, 3, 2, 1, 0};

static void add_rules(struct frames *f, struct buf *b, const struct frame_row *row)
{
	unsigned int fp = fp_of(f->arch), ra = ra_of(f->arch);

	add_cfa(b, row);
	if (row->kind == FRAME_REGS) {
		for (unsigned int i = 0; i < array_len(frames_pt_regs); i++)
			if (frames_pt_regs[i] >= 0)
				add_stored(b, i, frames_pt_regs[i] * WORD);
		add_interrupted(b, f->arch, PT_REGS_IP * WORD);
		return;
	}
	if (row->kind == FRAME_IRET) {
		add_interrupted(b, f->arch, 0);
		return;
	}
	if (row->kind == FRAME_END || row->kind == FRAME_LEAF) {
		add_byte(b, row->kind == FRAME_END ? CFA_undefined : CFA_same_value);
		add_uleb(b, ra);
	} else {
		add_stored(b, ra, row->ra_offset);
	}
	if (row->fp == FP_SAME) {
		add_byte(b, CFA_same_value);
		add_uleb(b, fp);
	} else if (row->fp == FP_AT_CFA) {
		add_stored(b, fp, row->fp_offset);
	} else {
		auto_cleanup(buf) e = {0};

		add_byte(&e, OP_breg0 + fp);
		add_sleb(&e, row->fp_offset);
		add_byte(b, CFA_expression);
		add_uleb(b, fp);
		add_block(b, &e);
	}
}

static void add_advance(struct buf *b, uint64_t by)
{
	if (by < 64) {
		add_byte(b, CFA_advance_loc | by);
	} else if (by <= UINT8_MAX) {
		add_byte(b, CFA_advance_loc1);
		add_byte(b, by);
	} else if (by <= UINT16_MAX) {
		add_byte(b, CFA_advance_loc2);
		buf_add(b, &(uint16_t){by}, 2);
	} else {
		add_byte(b, CFA_advance_loc4);
		buf_add(b, &(uint32_t){by}, 4);
	}
}

/* An entry's length is only known at its end. */
static size_t open_entry(struct buf *b)
{
	buf_add(b, &(uint32_t){0}, 4);
	return b->len;
}

static void close_entry(struct buf *b, size_t at)
{
	uint32_t len;

	while ((b->len - at + 4) % WORD)
		add_byte(b, 0); /* DW_CFA_nop */
	len = b->len - at;
	memcpy(b->data + at - 4, &len, sizeof(len));
}

/* The rows so far, which reach up to end. */
static void flush(struct frames *f, uint64_t end)
{
	struct buf *b = f->out;
	size_t at;

	if (f->n && f->rows[0].kind != FRAME_NONE && end > f->rows[0].address) {
		at = open_entry(b);
		buf_add(b, &(uint32_t){0}, 4); /* the CIE is the section's first */
		buf_add(b, &f->rows[0].address, 8);
		buf_add(b, &(uint64_t){end - f->rows[0].address}, 8);
		for (size_t i = 0; i < f->n; i++) {
			if (i)
				add_advance(b, f->rows[i].address - f->rows[i - 1].address);
			add_rules(f, b, &f->rows[i]);
		}
		close_entry(b, at);
	}
	f->n = 0;
}

static bool is_same(const struct frame_row *a, const struct frame_row *b)
{
	return a->kind == b->kind && a->cfa_register == b->cfa_register &&
	       a->cfa_indirect == b->cfa_indirect && a->cfa_offset == b->cfa_offset &&
	       a->cfa_add == b->cfa_add && a->ra_offset == b->ra_offset && a->fp == b->fp &&
	       a->fp_offset == b->fp_offset;
}

void frames_add(struct frames *f, const struct frame_row *row)
{
	const struct frame_row *last = f->n ? &f->rows[f->n - 1] : NULL;

	if (last && row->address < last->address)
		return; /* out of order: damaged */
	if (last && row->address == last->address) {
		f->n--;
		last = f->n ? last - 1 : NULL;
	}
	if (last && is_same(last, row))
		return;
	/* an entry has no holes, and rules hold until its end: those of interrupted ones for more
	 * registers than of others */
	if (last &&
	    (f->n == ROWS_MAX || row->kind == FRAME_NONE || last->kind == FRAME_NONE ||
	     (row->kind != last->kind && (last->kind == FRAME_REGS || last->kind == FRAME_IRET)) ||
	     row->address - f->rows[0].address > INT32_MAX))
		flush(f, row->address);
	f->rows[f->n++] = *row;
}

/*
 * One for all. Not marked as a signal's (augmentation "S"): gdb would show "<signal handler
 * called>" in place of the names of what takes exceptions.
 */
static void add_cie(struct frames *f)
{
	size_t at = open_entry(f->out);
	unsigned int first = f->arch == ARCH_AMD64 ? 12 : 19,
		     last = f->arch == ARCH_AMD64 ? 15 : 28;

	buf_add(f->out, &(uint32_t){UINT32_MAX}, 4);
	add_byte(f->out, 1); /* version */
	add_byte(f->out, 0); /* no augmentation */
	add_uleb(f->out, 1);
	add_sleb(f->out, -WORD);
	add_byte(f->out, ra_of(f->arch));
	/* what a function keeps for its caller, at places that nothing tells */
	for (unsigned int i = first; i <= last; i++) {
		add_byte(f->out, CFA_undefined);
		add_uleb(f->out, i);
	}
	if (f->arch == ARCH_AMD64) {
		add_byte(f->out, CFA_undefined);
		add_uleb(f->out, 3); /* rbx */
	}
	close_entry(f->out, at);
}

static const struct elf_part *find_part(const struct elf_part *parts, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(parts[i].name, name) && parts[i].data)
			return &parts[i];
	return NULL;
}

bool frames_is_entry(const struct ksym *s)
{
	return str_starts(s->name, "entry_SYSCALL") || str_starts(s->name, "entry_SYSENTER") ||
	       str_starts(s->name, "entry_INT80") || str_starts(s->name, "el0") ||
	       str_eq(s->name, "ret_from_fork");
}

void frames_of_kernel(enum arch arch, const struct elf_part *parts, size_t n,
		      const struct ksyms *symbols, struct buf *out)
{
	struct frames f = {.out = out, .arch = arch};
	const struct elf_part *ip = find_part(parts, n, ".orc_unwind_ip");
	const struct elf_part *orc = find_part(parts, n, ".orc_unwind");

	if (arch == ARCH_AMD64 && (!ip || !orc))
		return; /* built with frame pointers: gdb finds them by itself */
	f.rows = xcalloc(ROWS_MAX + 1, sizeof(*f.rows));
	add_cie(&f);
	if (arch == ARCH_AMD64)
		frames_of_orc(&f, ip, orc, symbols);
	else
		frames_of_arm64(&f, parts, n, symbols);
	if (f.n)
		flush(&f, f.rows[f.n - 1].address + 1);
	free(f.rows);
}
