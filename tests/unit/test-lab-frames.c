/* Call frames made of ORC's tables and of arm64 code: what a debugger reads out of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/symbols/frames.h"

static uint64_t take(const uint8_t **p, size_t n)
{
	uint64_t is = 0;

	memcpy(&is, *p, n);
	*p += n;
	return is;
}

static int64_t take_leb(const uint8_t **p, bool is_signed)
{
	unsigned int shift = 0;
	uint64_t is = 0;
	uint8_t byte;

	do {
		byte = *(*p)++;
		is |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return is_signed && byte & 0x40 && shift < 64 ? (int64_t)(is | -(1ull << shift))
						      : (int64_t)is;
}

static void read_block(const uint8_t **p, struct buf *out)
{
	size_t n = take_leb(p, false);

	for (size_t i = 0; i < n; i++)
		buf_addf(out, " %02x", *(*p)++);
}

/* One instruction as text: "cfa 7+8", "16@-8" (stored at), "6=" (the same), "16?" (lost). */
static void read_insn(const uint8_t **p, uint64_t *pc, struct buf *out)
{
	unsigned int op = take(p, 1), reg = op & 0x3f;

	switch (op & 0xc0) {
	case 0x40:
		*pc += reg;
		buf_addf(out, "; %lx:", (unsigned long)*pc);
		return;
	case 0x80:
		buf_addf(out, " %u@%ld", reg, -8 * (long)take_leb(p, false));
		return;
	}
	if (op >= 2 && op <= 4) {
		*pc += take(p, 1 << (op - 2));
		buf_addf(out, "; %lx:", (unsigned long)*pc);
		return;
	}
	if (op == 0)
		return;
	if (op == 0x0f) {
		buf_adds(out, " cfa is");
		read_block(p, out);
		return;
	}
	reg = take_leb(p, false);
	if (op == 0x07 || op == 0x08)
		buf_addf(out, " %u%c", reg, op == 7 ? '?' : '=');
	else if (op == 0x0c)
		buf_addf(out, " cfa %u+%ld", reg, (long)take_leb(p, false));
	else if (op == 0x11)
		buf_addf(out, " %u@%ld", reg, -8 * (long)take_leb(p, true));
	else if (op == 0x10 || op == 0x16) {
		buf_addf(out, op == 0x10 ? " %u@is" : " %u is", reg);
		read_block(p, out);
	} else
		fail_msg("instruction %#x of a frame", op);
}

/* All entries as text, one to a line. */
static void read_frames(const struct buf *frames, struct buf *out)
{
	const uint8_t *p = (const uint8_t *)frames->data, *all = p + frames->len;

	while (p < all) {
		size_t len = take(&p, 4);
		const uint8_t *end = p + len;
		uint64_t pc, size;

		assert_true(end <= all && (len + 4) % 8 == 0);
		if (take(&p, 4) == 0) {
			pc = take(&p, 8);
			size = take(&p, 8);
			buf_addf(out, "%lx-%lx:", (unsigned long)pc, (unsigned long)(pc + size));
			while (p < end)
				read_insn(&p, &pc, out);
			buf_adds(out, "\n");
		}
		p = end;
	}
}

static void check(enum arch arch, const struct elf_part *parts, size_t n, const struct ksyms *s,
		  const char *expected)
{
	auto_cleanup(buf) frames = {0}, text = {0};

	frames_of_kernel(arch, parts, n, s, &frames);
	read_frames(&frames, &text);
	assert_string_equal(text.data ? text.data : "", expected);
}

struct orc {
	uint32_t ip;
	int16_t sp_offset, bp_offset;
	uint8_t sp, bp, type; /* as 6.4 to 6.18 have them */
};

enum { UNDEFINED, PREV_SP, DX, DI, BP, SP, R10, R13, BP_INDIRECT, SP_INDIRECT };
enum { GAP, END, CALL, REGS, IRET };

static const struct orc orc[] = {
	{0x1000, 8, 0, SP, UNDEFINED, CALL},	   {0x1001, 16, 0, SP, UNDEFINED, CALL},
	{0x1002, 16, -16, SP, PREV_SP, CALL},	   {0x1150, 16, -16, BP, PREV_SP, CALL},
	{0x1160, 0, 0, UNDEFINED, UNDEFINED, GAP}, {0x1170, 0, 0, R10, UNDEFINED, CALL},
	{0x1171, -8, 0, BP_INDIRECT, BP, CALL},	   {0x1180, 16, 0, SP_INDIRECT, UNDEFINED, CALL},
	{0x1190, 8, 0, SP, UNDEFINED, CALL},	   {0x1190, 24, 0, SP, UNDEFINED, CALL},
	{0x11a0, 0, 0, UNDEFINED, UNDEFINED, GAP}, {0x2000, 8, 0, SP, UNDEFINED, REGS},
	{0x2010, 0, 0, SP, UNDEFINED, IRET},	   {0x2020, 0, 0, UNDEFINED, UNDEFINED, END},
	{0x2030, 0, 0, UNDEFINED, UNDEFINED, GAP}, {0x3000, 0, 0, SP, UNDEFINED, REGS},
	{0x3010, 0, 0, UNDEFINED, UNDEFINED, GAP},
};

static const char orc_frames[] =
	"1000-1160: cfa 7+8 16@-8 6=; 1001: cfa 7+16 16@-8 6=; 1002: cfa 7+16 16@-8 6@-16; "
	"1150: cfa 6+16 16@-8 6@-16\n"
	"1170-11a0: cfa 10+0 16@-8 6=; 1171: cfa is 76 78 06 23 00 16@-8 6@is 76 00; "
	"1180: cfa is 77 00 06 23 10 16@-8 6=; 1190: cfa 7+24 16@-8 6=\n"
	"2000-2010: cfa 7+8 0@80 1@96 2@88 3@40 4@104 5@112 6@32 8@72 9@64 10@56 11@48 12@24 "
	"13@16 14@8 15@0 16 is 12 23 88 01 06 33 1a 28 07 00 23 80 01 06 2f 01 00 30 7@152\n"
	"2010-2020: cfa 7+0 16 is 12 23 08 06 33 1a 28 06 00 23 00 06 2f 01 00 30 7@24\n"
	"2020-2030: cfa 7+0 16? 6=\n"
	"3000-3010: cfa 7+0 16? 6=\n";

/* The tables as a series has them. */
static void make_orc(int series, uint8_t *entries, uint32_t *ips, uint64_t at)
{
	static const uint8_t bases_7[] = {0, 8, 2, 5, 4, 3, 6, 7, 10, 9};
	static const uint8_t types_5[] = {0, 4, 0, 1, 2}; /* with the bit of a stack's end */

	for (size_t i = 0; i < array_len(orc); i++) {
		uint8_t *e = entries + i * 6;
		unsigned int sp = series == 7 ? bases_7[orc[i].sp] : orc[i].sp;
		unsigned int bp = series == 7 ? bases_7[orc[i].bp] : orc[i].bp;

		memcpy(e, &orc[i].sp_offset, 2);
		memcpy(e + 2, &orc[i].bp_offset, 2);
		e[4] = sp | bp << 4;
		e[5] = series == 5 ? types_5[orc[i].type] : orc[i].type;
		ips[i] = orc[i].ip - (at + i * 4);
	}
}

static void test_orc(void **state)
{
	struct ksym syms[] = {{0x1000, 't', "f"}, {0x3000, 'T', "entry_SYSCALL_64"}};
	struct ksyms s = {.items = syms, .n = 2};
	uint8_t entries[array_len(orc) * 6];
	uint32_t ips[array_len(orc)];
	struct elf_part parts[] = {
		{.name = ".orc_unwind_ip", .address = 0x9000, .size = sizeof(ips), .data = ips},
		{.name = ".orc_unwind", .size = sizeof(entries), .data = entries}};

	(void)state;
	for (int series = 5; series <= 7; series++) {
		make_orc(series, entries, ips, 0x9000);
		check(ARCH_AMD64, parts, 2, &s, orc_frames);
	}
	/* a kernel with frame pointers has none */
	check(ARCH_AMD64, parts, 1, &s, "");
	/* of tables cut short, what is there */
	parts[0].size = 7;
	check(ARCH_AMD64, parts, 2, &s, "1000-1001: cfa 7+8 16@-8 6=\n");
}

enum {
	NOP = 0xd503201f,
	STP_PRE = 0xa9bd7bfd,  /* stp x29, x30, [sp, #-48]! */
	MOV_FP = 0x910003fd,   /* mov x29, sp */
	LDP_POST = 0xa8c37bfd, /* ldp x29, x30, [sp], #48 */
	SUB_SP = 0xd10183ff,   /* sub sp, sp, #96 */
	STP_OFF = 0xa9027bfd,  /* stp x29, x30, [sp, #32] */
	ADD_FP = 0x910083fd,   /* add x29, sp, #32 */
	LDP_OFF = 0xa9427bfd,  /* ldp x29, x30, [sp, #32] */
	ADD_SP = 0x910183ff,   /* add sp, sp, #96 */
	RET = 0xd65f03c0,
	BL = 0x94000010,
	CBZ_6 = 0xb40000c0, /* cbz x0, 6 instructions on */
};

static void test_arm64(void **state)
{
	static const struct {
		uint32_t code[8];
		const char *name, *frames;
	} cases[] = {
		{{NOP, RET}, "leaf", "1000-1020: cfa 31+0 30= 29=\n"},
		{{NOP, STP_PRE, MOV_FP, BL, LDP_POST, RET, NOP, BL},
		 "usual",
		 "1000-1020: cfa 31+0 30= 29=; 1008: cfa 31+48 30@-40 29@-48; "
		 "100c: cfa 29+48 30@-40 29@-48; 1014: cfa 31+0 30= 29=; "
		 "1018: cfa 29+48 30@-40 29@-48\n"},
		{{SUB_SP, STP_OFF, ADD_FP, BL, LDP_OFF, ADD_SP, RET, RET},
		 "large",
		 "1000-1020: cfa 31+0 30= 29=; 1004: cfa 31+96 30= 29=; "
		 "1008: cfa 31+96 30@-56 29@-64; 100c: cfa 29+64 30@-56 29@-64; "
		 "1014: cfa 31+96 30= 29=; 1018: cfa 31+0 30= 29=; "
		 "101c: cfa 29+64 30@-56 29@-64\n"},
		/* what is branched to from before the frame has none */
		{{CBZ_6, STP_PRE, MOV_FP, BL, LDP_POST, RET, NOP, RET},
		 "wrapped",
		 "1000-1020: cfa 31+0 30= 29=; 1008: cfa 31+48 30@-40 29@-48; "
		 "100c: cfa 29+48 30@-40 29@-48; 1014: cfa 31+0 30= 29=\n"},
		/* a piece of a function, and assembly */
		{{NOP, BL, NOP}, "piece.cold", "1000-1020: cfa 29+16 30@-8 29@-16\n"},
		{{NOP, BL, NOP}, "el0t_64_sync", "1000-1020: cfa 29+16 30? 29@-16\n"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct elf_part text = {.name = ".text",
					.address = 0x1000,
					.size = sizeof(cases[i].code),
					.data = cases[i].code,
					.is_loaded = true,
					.is_code = true};
		struct ksym sym = {0x1000, 'T', cases[i].name};

		check(ARCH_ARM64, &text, 1, &(struct ksyms){.items = &sym, .n = 1},
		      cases[i].frames);
	}
}

/* A function ends where the next begins; symbols outside of code have no frames. */
static void test_functions(void **state)
{
	static const uint32_t code[] = {NOP, RET, STP_PRE, MOV_FP, RET, RET};
	struct elf_part parts[] = {{.name = ".text",
				    .address = 0x1000,
				    .size = sizeof(code),
				    .data = code,
				    .is_loaded = true,
				    .is_code = true}};
	struct ksym syms[] = {{8, 'A', "absolute"}, {0x1000, 't', "a"},	  {0x1000, 'T', "alias"},
			      {0x1008, 't', "b"},   {0x1011, 't', "odd"}, {0x2000, 'D', "data"}};

	(void)state;
	check(ARCH_ARM64, parts, 1, &(struct ksyms){.items = syms, .n = array_len(syms)},
	      "1000-1008: cfa 31+0 30= 29=\n"
	      "1008-1010: cfa 31+0 30= 29=; 100c: cfa 31+48 30@-40 29@-48\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orc),
		cmocka_unit_test(test_arm64),
		cmocka_unit_test(test_functions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
