#include "lab/vmcore/unwind-walk.h"

#include <string.h>

enum { WORD = 8, PAGE = 4096, CALL_MAX = 7 };

void walk_set(struct walk *w, unsigned int reg, uint64_t value)
{
	w->regs[reg] = value;
	w->known |= 1u << reg;
}

bool walk_reg(const struct walk *w, unsigned int reg, uint64_t *ret)
{
	if (reg >= WALK_REGS || !(w->known >> reg & 1))
		return false;
	*ret = w->regs[reg];
	return true;
}

unsigned int walk_sp(const struct walk *w)
{
	return w->env->arch == ARCH_AMD64 ? AMD64_SP : ARM64_SP;
}

/* call rel32; call *r/m of 2 to 7 bytes: opcode ff /2 behind at most one prefix. */
static bool ends_in_call_amd64(const uint8_t code[CALL_MAX])
{
	if (code[CALL_MAX - 5] == 0xe8)
		return true;
	for (unsigned int n = 2; n <= 6; n++) {
		const uint8_t *c = code + CALL_MAX - n;
		unsigned int mod = c[1] >> 6, rm = c[1] & 7;
		/* what follows: a SIB byte, a displacement of 1 or 4 bytes */
		unsigned int len = 2 + (mod != 3 && rm == 4) + (mod == 1) +
				   (mod == 2 || (mod == 0 && rm == 5)) * 4;

		if (c[0] == 0xff && (c[1] >> 3 & 7) == 2 &&
		    (len == n || (mod == 0 && rm == 4 && len + 4 == n)))
			return true;
	}
	return false;
}

bool walk_is_return(const struct walk *w, uint64_t address)
{
	const struct walk_env *e = w->env;
	uint8_t code[CALL_MAX];
	uint32_t insn;

	if (e->arch == ARCH_AMD64)
		return e->is_code(e->data, address - 1) &&
		       e->read(e->data, address - CALL_MAX, code, sizeof(code)) &&
		       ends_in_call_amd64(code);
	/* bl; blr and its kind with pointer authentication */
	return address % 4 == 0 && e->is_code(e->data, address - 4) &&
	       e->read(e->data, address - 4, &insn, sizeof(insn)) &&
	       ((insn & 0xfc000000) == 0x94000000 || (insn & 0xfefff800) == 0xd63f0000);
}

/* The next return address that lies on the stack. */
static bool guess(struct walk *w)
{
	uint64_t sp, end, word;

	if (!walk_reg(w, walk_sp(w), &sp))
		return false;
	sp = (sp + WORD - 1) & ~(uint64_t)(WORD - 1);
	/* below a stack that ran over is a page that nothing is in */
	if (!w->env->read(w->env->data, sp, &word, sizeof(word)))
		sp = (sp | (PAGE - 1)) + 1;
	end = (sp | (w->env->stack_size - 1)) + 1;
	for (; sp < end && w->env->read(w->env->data, sp, &word, sizeof(word)); sp += WORD) {
		if (!walk_is_return(w, word))
			continue;
		w->pc = word;
		w->known = 0;
		walk_set(w, walk_sp(w), sp + WORD);
		w->exact = w->interrupted = false;
		w->guessed = true;
		return true;
	}
	return false;
}

/*
 * Upwards, or to another stack a few times; and to code. A return to code that no table has (a
 * program of BPF, a trampoline) must at least be to memory.
 */
static bool makes_sense(const struct walk *before, struct walk *w)
{
	const struct walk_env *e = w->env;
	uint64_t was, is;
	uint8_t byte;

	if (walk_reg(before, walk_sp(w), &was) && walk_reg(w, walk_sp(w), &is) &&
	    (is <= was || is - was >= e->stack_size) && ++w->switches > WALK_SWITCHES)
		return false;
	if (w->interrupted)
		return true;
	if (w->guessed)
		return walk_is_return(w, w->pc);
	return e->is_code(e->data, w->pc - 1) || e->is_code(e->data, w->pc) ||
	       e->read(e->data, w->pc, &byte, 1);
}

size_t walk_stack(struct walk *w, struct kframe *ret, size_t max)
{
	size_t n = 0;

	while (n < max) {
		struct walk before = *w;
		enum walk_step step;

		ret[n++] = (struct kframe){.address = w->pc,
					   .reliable = !w->guessed,
					   .exact = w->exact,
					   .interrupted = w->interrupted};
		step = w->env->arch == ARCH_AMD64 ? walk_amd64(w) : walk_arm64(w);
		if (step == WALK_ON && makes_sense(&before, w))
			continue;
		if (step == WALK_USER && n < max)
			ret[n++] = (struct kframe){.address = w->pc,
						   .reliable = !w->guessed,
						   .exact = true,
						   .interrupted = true,
						   .user = true};
		if (step == WALK_USER || step == WALK_END) {
			ret[n - 1].outermost = step == WALK_END || ret[n - 1].user;
			break;
		}
		before.switches = w->switches;
		*w = before;
		if (!guess(w))
			break;
	}
	return n;
}
