/* Stacks made by hand, word by word, and what is found on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/vmcore/unwind-walk.h"

#define TEXT 0xffffffff81000000	     /* code: calls end at every address that ends in 0 */
#define GENERATED 0xffffffffa0000000 /* the same that no table knows */
#define STACK 0xffffc90000000000     /* the page below is not mapped */
#define IRQ_STACK 0xffffc90040000000
#define WITH_PAC(address) ((address) & ~(0x55ull << 48))

enum { TEXT_SIZE = 0x1000, STACK_SIZE = 0x4000, USER = 0x1000, WORDS = 96 };

/* A function's row: all addresses of 0x100 bytes share it. */
struct function {
	uint64_t at;
	struct frame_row row;
};

struct stack {
	const char *name;
	enum arch arch;
	bool frame_meta, by_fp;
	uint64_t from[3], lr; /* pc, sp, fp */
	bool exact;
	struct word {
		uint64_t at, value;
	} words[WORDS];
	struct function functions[12];
	/* "104!" exact, "()" interrupted, "?" a guess, "g" generated, "=" elsewhere, "." the last
	 */
	const char *found;
};

static bool read_memory(void *data, uint64_t address, void *ret, size_t len)
{
	const struct stack *s = data;

	if (address - TEXT < TEXT_SIZE || address - GENERATED < TEXT_SIZE) {
		/* up to the address that ends in 0: call rel32, or bl */
		static const uint8_t call[] = {0x90, 0x90, 0xe8, 0, 0, 0, 0};
		static const uint8_t bl[] = {0, 0, 0, 0x94};
		bool is_call = !((address + len) & 0xf);

		memset(ret, 0x90, len);
		for (size_t i = 0; i < len; i++)
			if (((address + i) & 0xff) == 0x55)
				((uint8_t *)ret)[i] = 0x55; /* push %rbp */
		if (is_call && s->arch == ARCH_AMD64 && len == sizeof(call))
			memcpy(ret, call, len);
		if (is_call && s->arch == ARCH_ARM64 && len == sizeof(bl))
			memcpy(ret, bl, len);
		return true;
	}
	memset(ret, 0, len);
	if (address % 8 || len % 8 ||
	    ((address < STACK || address + len > STACK + STACK_SIZE) &&
	     (address < IRQ_STACK || address + len > IRQ_STACK + STACK_SIZE)))
		return false;
	for (size_t i = 0; i < WORDS; i++)
		if (s->words[i].at - address < len)
			memcpy((char *)ret + (s->words[i].at - address), &s->words[i].value, 8);
	return true;
}

static bool is_code(void *data, uint64_t address)
{
	(void)data;
	return address - TEXT < TEXT_SIZE;
}

static bool find_row(void *data, uint64_t address, struct frame_row *ret)
{
	const struct stack *s = data;

	*ret = (struct frame_row){.kind = FRAME_NONE};
	for (size_t i = 0; i < array_len(s->functions); i++)
		if (s->functions[i].at && address - s->functions[i].at < 0x100)
			*ret = s->functions[i].row;
	return is_code(data, address);
}

static void print(const struct kframe *f, struct buf *out)
{
	buf_addf(out, "%s%s%s", out->len ? " " : "", f->reliable ? "" : "?",
		 f->interrupted ? "(" : "");
	if (f->user)
		buf_addf(out, "user %x", (unsigned int)f->address);
	else if (f->address - TEXT < TEXT_SIZE)
		buf_addf(out, "%x%s", (unsigned int)(f->address - TEXT), f->exact ? "!" : "");
	else if (f->address - GENERATED < TEXT_SIZE)
		buf_addf(out, "g%x", (unsigned int)(f->address - GENERATED));
	else
		buf_addf(out, "=%x", (unsigned int)f->address);
	buf_addf(out, "%s%s", f->interrupted ? ")" : "", f->outermost ? "." : "");
}

#define SP_PLUS(n)                                                                        \
	{                                                                                 \
		.kind = FRAME_CALL, .cfa_register = 7, .cfa_offset = (n), .ra_offset = -8 \
	}
#define BP_FRAME                                                                          \
	{                                                                                 \
		.kind = FRAME_CALL, .cfa_register = 6, .cfa_offset = 16, .ra_offset = -8, \
		.fp = FP_AT_CFA, .fp_offset = -16                                         \
	}
#define REGS                                          \
	{                                             \
		.kind = FRAME_REGS, .cfa_register = 7 \
	}
#define IRET                                          \
	{                                             \
		.kind = FRAME_IRET, .cfa_register = 7 \
	}
#define END                       \
	{                         \
		.kind = FRAME_END \
	}
/* struct pt_regs of amd64: bp, ip, cs, sp */
#define PT_REGS(at, bp, ip, cs, sp)                          \
	{(at) + 32, bp}, {(at) + 128, ip}, {(at) + 136, cs}, \
	{                                                    \
		(at) + 152, sp                               \
	}
/* and of arm64: x29, x30, sp, pc, pstate */
#define ARM_REGS(at, fp, lr, sp, pc, pstate)                                    \
	{(at) + 232, fp}, {(at) + 240, lr}, {(at) + 248, sp}, {(at) + 256, pc}, \
	{                                                                       \
		(at) + 264, pstate                                              \
	}

enum { KERNEL_CS = 0x10, USER_CS = 0x33, EL0 = 0, EL1H = 5 };

static const struct stack stacks[] = {
	{
		.name = "a call chain that ends where the kernel was entered",
		.from = {TEXT + 0x104, STACK + 0x100, 0},
		.exact = true,
		.functions = {{TEXT + 0x100, SP_PLUS(16)},
			      {TEXT + 0x200, SP_PLUS(32)},
			      {TEXT + 0x300, REGS}},
		.words = {{STACK + 0x108, TEXT + 0x210},
			  {STACK + 0x128, TEXT + 0x310},
			  PT_REGS(STACK + 0x130, 0, USER, USER_CS, 0)},
		.found = "104! 210 310 (user 1000).",
	},
	{
		.name = "a frame pointer, a kernel thread's end",
		.from = {TEXT + 0x110, STACK + 0x100, STACK + 0x200},
		.functions = {{TEXT + 0x100, BP_FRAME},
			      {TEXT + 0x200, BP_FRAME},
			      {TEXT + 0x300, END}},
		.words = {{STACK + 0x200, STACK + 0x300},
			  {STACK + 0x208, TEXT + 0x210},
			  {STACK + 0x308, TEXT + 0x310}},
		.found = "110 210 310.",
	},
	{
		.name = "the call that does not return is its function's last instruction",
		.from = {TEXT + 0x104, STACK + 0x100},
		.exact = true,
		.functions = {{TEXT + 0x100, SP_PLUS(8)},
			      {TEXT + 0x200, SP_PLUS(8)},
			      {TEXT + 0x300, END}},
		.words = {{STACK + 0x100, TEXT + 0x300}, {STACK + 0x108, TEXT + 0x310}},
		.found = "104! 300 310.",
	},
	{
		.name = "an interrupt on a stack of its own",
		.from = {TEXT + 0x104, IRQ_STACK + 0x3f00},
		.exact = true,
		.functions = {{TEXT + 0x100, SP_PLUS(8)},
			      {TEXT + 0x200, /* the task's stack pointer is on the other stack */
			       {.kind = FRAME_CALL,
				.cfa_register = 7,
				.cfa_indirect = true,
				.cfa_add = 8,
				.ra_offset = -8}},
			      {TEXT + 0x300, REGS},
			      {TEXT + 0x400, BP_FRAME},
			      {TEXT + 0x500, END}},
		.words = {{IRQ_STACK + 0x3f00, TEXT + 0x210},
			  {IRQ_STACK + 0x3f08, STACK + 0x100},
			  {STACK + 0x100, TEXT + 0x310},
			  PT_REGS(STACK + 0x108, STACK + 0x300, TEXT + 0x444, KERNEL_CS,
				  STACK + 0x280),
			  {STACK + 0x308, TEXT + 0x510}},
		.found = "104! 210 310 (444!) 510.",
	},
	{
		.name = "an NMI in an interrupt's first instructions keeps what is known of bp",
		.from = {TEXT + 0x104, IRQ_STACK + 0x100, STACK + 0x300},
		.exact = true,
		.functions = {{TEXT + 0x100, IRET}, {TEXT + 0x200, BP_FRAME}, {TEXT + 0x300, END}},
		.words = {{IRQ_STACK + 0x100, TEXT + 0x208},
			  {IRQ_STACK + 0x108, KERNEL_CS},
			  {IRQ_STACK + 0x118, STACK + 0x200},
			  {STACK + 0x308, TEXT + 0x310}},
		.found = "104! (208!) 310.",
	},
	{
		.name = "the stack ran over: its pointer is in the guard page",
		.from = {TEXT + 0x104, IRQ_STACK + 0x100},
		.exact = true,
		.functions = {{TEXT + 0x100, REGS},
			      {TEXT + 0x200, SP_PLUS(0x28)},
			      {TEXT + 0x300, END}},
		.words = {PT_REGS(IRQ_STACK + 0x100, 0, TEXT + 0x204, KERNEL_CS, STACK - 0x10),
			  {STACK + 0x10, TEXT + 0x310}},
		.found = "104! (204!) 310.",
	},
	{
		.name = "the same where nothing says how large the frame is",
		.from = {TEXT + 0x104, STACK - 0x100},
		.exact = true,
		.functions = {{TEXT + 0x300, END}},
		.words = {{STACK + 0x18, TEXT + 0x310}},
		.found = "104! ?310.",
	},
	{
		.name = "a call to nowhere",
		.from = {0, STACK + 0x100},
		.exact = true,
		.functions = {{TEXT + 0x200, SP_PLUS(8)}, {TEXT + 0x300, END}},
		.words = {{STACK + 0x100, TEXT + 0x210}, {STACK + 0x108, TEXT + 0x310}},
		.found = "=0 210 310.",
	},
	{
		.name = "generated code keeps frame pointers",
		.from = {TEXT + 0x104, STACK + 0x100, STACK + 0x200},
		.exact = true,
		.functions = {{TEXT + 0x100, SP_PLUS(8)}, {TEXT + 0x300, END}},
		.words = {{STACK + 0x100, GENERATED + 0x50}, {STACK + 0x208, TEXT + 0x310}},
		.found = "104! g50 310.",
	},
	{
		.name = "what lies on the stack is guessed at, what only looks like it is not",
		.from = {TEXT + 0x104, STACK + 0x100},
		.exact = true,
		.functions = {{TEXT + 0x200, SP_PLUS(16)},
			      {TEXT + 0x300, SP_PLUS(8)},
			      {TEXT + 0x400, END}},
		.words = {{STACK + 0x100, TEXT + 0x205}, /* no call before it */
			  {STACK + 0x108, TEXT + 0x210},
			  {STACK + 0x118, TEXT + 0x123}, /* where that would return: no */
			  {STACK + 0x200, TEXT + 0x310},
			  {STACK + 0x208, TEXT + 0x410}},
		.found = "104! ?210 ?310 ?410.",
	},
	{
		.name = "frame pointers to a system call, which has none",
		.by_fp = true,
		.from = {TEXT + 0x104, STACK + 0x80, STACK + 0x100},
		.exact = true,
		.words = {{STACK + 0x100, STACK + 0x200},
			  {STACK + 0x108, TEXT + 0x210},
			  {STACK + 0x208, TEXT + 0x310},
			  PT_REGS(STACK + 0x210, 0, USER, USER_CS, 0)},
		.found = "104! 210 310 (user 1000).",
	},
	{
		.name = "frame pointers through an exception at a function's start",
		.by_fp = true,
		.from = {TEXT + 0x110, STACK + 0x80, STACK + 0x100},
		.words = {{STACK + 0x100, STACK + 0x201}, /* odd: registers */
			  {STACK + 0x108, TEXT + 0x210},
			  PT_REGS(STACK + 0x200, STACK + 0x400, TEXT + 0x355, KERNEL_CS,
				  STACK + 0x300),
			  {STACK + 0x300, TEXT + 0x410},
			  {STACK + 0x400, STACK + 0x501}, /* those of a kernel thread: empty */
			  {STACK + 0x408, TEXT + 0x510}},
		.found = "110 210 (355!) 410 510.",
	},
	{
		.name = "a frame pointer that leads nowhere",
		.by_fp = true,
		.from = {TEXT + 0x110, STACK + 0x80, 0x7777},
		.words = {{STACK + 0x90, TEXT + 0x210}},
		.found = "110 ?210",
	},
	{
		.name = "a loop ends",
		.from = {TEXT + 0x104, STACK + 0x100, STACK + 0x200},
		.exact = true,
		.functions = {{TEXT + 0x100, BP_FRAME}},
		.words = {{STACK + 0x200, STACK + 0x200}, {STACK + 0x208, TEXT + 0x110}},
		.found = "104! 110 110 110 110 110 110 110 110 110 110 110 110 110 110 110 110 110",
	},
	{
		.name = "a stack pointer that is nowhere",
		.from = {TEXT + 0x104, ~0ull - 7, ~0ull},
		.exact = true,
		.functions = {{TEXT + 0x100, BP_FRAME}},
		.found = "104!",
	},
	{
		.name = "arm64: frame records to the kernel's entry, which up to 6.12 is an empty "
			"one",
		.arch = ARCH_ARM64,
		.from = {TEXT + 0x110, STACK + 0x80, STACK + 0x100},
		.words = {{STACK + 0x100, STACK + 0x200},
			  {STACK + 0x108, TEXT + 0x210},
			  {STACK + 0x200, STACK + 0x300 + 304},
			  {STACK + 0x208, TEXT + 0x310},
			  ARM_REGS(STACK + 0x300, 0, 0, 0, USER, EL0)},
		.found = "110 210 310 (user 1000).",
	},
	{
		.name = "arm64: a kernel thread, with a PAC on its return addresses",
		.arch = ARCH_ARM64,
		.frame_meta = true,
		.from = {TEXT + 0x110, STACK + 0x80, STACK + 0x100},
		.words = {{STACK + 0x100, STACK + 0x200},
			  {STACK + 0x108, WITH_PAC(TEXT + 0x210)},
			  {STACK + 0x200, STACK + 0x300 + 296},
			  {STACK + 0x208, WITH_PAC(TEXT + 0x310)},
			  ARM_REGS(STACK + 0x300, 0, 0, 0, 0, EL1H),
			  {STACK + 0x300 + 296 + 16, 1}},
		.found = "110 210 310.",
	},
	{
		.name = "arm64: an exception in what has no frame yet",
		.arch = ARCH_ARM64,
		.from = {TEXT + 0x110, IRQ_STACK + 0x80, IRQ_STACK + 0x100},
		.functions = {{TEXT + 0x200, {.kind = FRAME_LEAF, .cfa_register = 31}}},
		.words = {{IRQ_STACK + 0x100, STACK + 0x100 + 304},
			  {IRQ_STACK + 0x108, TEXT + 0x120},
			  {STACK + 0x100 + 304, STACK + 0x400},
			  {STACK + 0x100 + 312, TEXT + 0x204},
			  ARM_REGS(STACK + 0x100, STACK + 0x400, TEXT + 0x310, STACK + 0x300,
				   TEXT + 0x204, EL1H),
			  {STACK + 0x408, TEXT + 0x410}},
		.found = "110 120 (204!) 310 410.",
	},
	{
		.name = "arm64: the same from 6.13 on, half way into the frame",
		.arch = ARCH_ARM64,
		.frame_meta = true,
		.from = {TEXT + 0x110, STACK + 0x80, STACK + 0x100 + 296},
		.functions = {{TEXT + 0x200,
			       {.kind = FRAME_CALL,
				.cfa_register = 31,
				.cfa_offset = 32,
				.ra_offset = -24}}},
		.words = {{STACK + 0x100 + 296 + 16, 2},
			  ARM_REGS(STACK + 0x100, STACK + 0x400, TEXT + 0x900, STACK + 0x300,
				   TEXT + 0x204, EL1H),
			  {STACK + 0x308, TEXT + 0x310},
			  {STACK + 0x408, TEXT + 0x410}},
		.found = "110 (204!) 310 410.",
	},
	{
		.name = "arm64: a jump to nowhere",
		.arch = ARCH_ARM64,
		.from = {8, STACK + 0x80, STACK + 0x100},
		.lr = TEXT + 0x210,
		.exact = true,
		.words = {{STACK + 0x108, TEXT + 0x310}},
		.found = "=8 210 310.",
	},
	{
		.name = "arm64: a record that is nowhere",
		.arch = ARCH_ARM64,
		.from = {TEXT + 0x110, STACK + 0x80, 0x77},
		.words = {{STACK + 0x98, TEXT + 0x210}},
		.found = "110 ?210",
	},
};

static void test_stacks(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(stacks); i++) {
		const struct stack *s = &stacks[i];
		const struct walk_env env = {
			.data = (void *)s,
			.arch = s->arch,
			.read = read_memory,
			.is_code = is_code,
			.row = find_row,
			.stack_size = STACK_SIZE,
			.kernel_bits = ~0ull << 48,
			.by_fp = s->by_fp,
			.frame_meta = s->frame_meta,
		};
		struct walk w = {.env = &env, .pc = s->from[0], .exact = s->exact};
		struct kframe frames[UNWIND_MAX];
		auto_cleanup(buf) found = {0};
		size_t n;

		walk_set(&w, walk_sp(&w), s->from[1]);
		walk_set(&w, s->arch == ARCH_AMD64 ? AMD64_BP : ARM64_FP, s->from[2]);
		if (s->lr)
			walk_set(&w, ARM64_LR, s->lr);
		n = walk_stack(&w, frames, UNWIND_MAX);
		for (size_t k = 0; k < n; k++)
			print(&frames[k], &found);
		if (!str_eq(found.data, s->found))
			print_error("%s\n", s->name);
		assert_string_equal(found.data, s->found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_stacks)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
