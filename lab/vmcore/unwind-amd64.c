/*
 * unwind-amd64.c - a step by ORC, the kernel's own tables (arch/x86/kernel/unwind_orc.c), or by
 * frame pointers (unwind_frame.c).
 */
#include "lab/vmcore/unwind-walk.h"

#include <string.h>

enum { WORD = 8, USER_MODE = 3, IRET_WORDS = 5, IRET_SP = 3 };

static bool read_word(const struct walk *w, uint64_t at, uint64_t *ret)
{
	return w->env->read(w->env->data, at, ret, sizeof(*ret));
}

/* Code that no table knows: generated, which keeps frame pointers; or none, that was called. */
static bool made_up(const struct walk *w, struct frame_row *row)
{
	uint64_t sp = w->regs[AMD64_SP], bp, to;

	*row = (struct frame_row){.kind = FRAME_CALL, .cfa_register = AMD64_SP, .ra_offset = -WORD};
	if (w->exact && read_word(w, sp, &to) && walk_is_return(w, to)) {
		row->cfa_offset = WORD;
		return true;
	}
	row->cfa_register = AMD64_BP;
	row->cfa_offset = 2 * WORD;
	row->fp = FP_AT_CFA;
	row->fp_offset = -2 * WORD;
	return walk_reg(w, AMD64_BP, &bp) && bp - sp < w->env->stack_size &&
	       read_word(w, bp + WORD, &to) && walk_is_return(w, to);
}

static bool find_cfa(const struct walk *w, const struct frame_row *row, uint64_t *ret)
{
	uint64_t cfa;

	if (!walk_reg(w, row->cfa_register, &cfa))
		return false;
	cfa += row->cfa_offset;
	if (row->cfa_indirect) {
		if (!read_word(w, cfa, &cfa))
			return false;
		cfa += row->cfa_add;
	}
	*ret = cfa;
	return true;
}

static enum walk_step to_caller(struct walk *w, const struct frame_row *row, uint64_t cfa)
{
	uint64_t bp = 0;
	bool has_bp = walk_reg(w, AMD64_BP, &bp);

	if (row->fp == FP_AT_CFA)
		has_bp = read_word(w, cfa + row->fp_offset, &bp);
	else if (row->fp == FP_AT_FP)
		has_bp = has_bp && read_word(w, bp + row->fp_offset, &bp);
	if (!read_word(w, cfa + row->ra_offset, &w->pc))
		return WALK_LOST;
	w->known = 0;
	walk_set(w, AMD64_SP, cfa);
	if (has_bp)
		walk_set(w, AMD64_BP, bp);
	w->exact = w->interrupted = false;
	return WALK_ON;
}

/* A struct pt_regs is at cfa, or only its end, which the processor pushed. */
static enum walk_step to_interrupted(struct walk *w, bool is_whole, uint64_t cfa)
{
	uint64_t regs[PT_REGS_WORDS];
	unsigned int from = is_whole ? 0 : PT_REGS_WORDS - IRET_WORDS;

	if (!w->env->read(w->env->data, cfa, regs + from, (PT_REGS_WORDS - from) * WORD))
		return WALK_LOST;
	for (unsigned int i = 0; is_whole && i < array_len(frames_pt_regs); i++)
		if (frames_pt_regs[i] >= 0)
			walk_set(w, i, regs[frames_pt_regs[i]]);
	walk_set(w, AMD64_SP, regs[PT_REGS_SP]);
	w->pc = regs[PT_REGS_IP];
	w->exact = w->interrupted = true;
	return regs[PT_REGS_CS] & USER_MODE ? WALK_USER : WALK_ON;
}

/* What runs or was interrupted may be before `push %rbp; mov %rsp,%rbp`, or at `ret`. */
static void find_frame(const struct walk *w, struct frame_row *row)
{
	static const uint8_t push = 0x55, move[] = {0x48, 0x89, 0xe5}, ret = 0xc3, jump = 0xe9;
	uint8_t code[4] = {0};

	*row = (struct frame_row){.kind = FRAME_CALL,
				  .cfa_register = AMD64_BP,
				  .cfa_offset = 2 * WORD,
				  .ra_offset = -WORD,
				  .fp = FP_AT_CFA,
				  .fp_offset = -2 * WORD};
	if (!w->exact || !w->env->read(w->env->data, w->pc - 1, code, sizeof(code)))
		return;
	if (code[1] == push || code[1] == ret || code[1] == jump) {
		row->cfa_register = AMD64_SP;
		row->cfa_offset = WORD;
		row->fp = FP_SAME;
	} else if (code[0] == push && memcmp(code + 1, move, sizeof(move)) == 0) {
		row->cfa_register = AMD64_SP;
	}
}

/*
 * The entry code leaves in rbp the address of its struct pt_regs, made odd; or 0 where a system
 * call came in, which has one right above its return address, and where nothing called.
 */
static enum walk_step walk_by_fp(struct walk *w)
{
	struct frame_row row;
	enum walk_step step;
	uint64_t bp, cfa;

	if (!w->env->is_code(w->env->data, w->pc - !w->exact)) {
		if (!made_up(w, &row))
			return WALK_LOST;
	} else {
		find_frame(w, &row);
	}
	if (!walk_reg(w, AMD64_BP, &bp))
		return WALK_LOST;
	if (row.cfa_register == AMD64_BP && !bp)
		return to_interrupted(w, true, w->regs[AMD64_SP]) == WALK_USER ? WALK_USER
									       : WALK_END;
	if (row.cfa_register == AMD64_BP && bp & 1) {
		step = to_interrupted(w, true, bp - 1);
		/* a kernel thread's are empty */
		return step == WALK_ON && !w->pc && !w->regs[AMD64_SP] ? WALK_END : step;
	}
	return find_cfa(w, &row, &cfa) ? to_caller(w, &row, cfa) : WALK_LOST;
}

enum walk_step walk_amd64(struct walk *w)
{
	struct frame_row row;
	uint64_t cfa;

	if (w->env->by_fp)
		return walk_by_fp(w);
	if (!w->env->row(w->env->data, w->exact ? w->pc : w->pc - 1, &row) && !made_up(w, &row))
		return WALK_LOST;
	if (row.kind == FRAME_END)
		return WALK_END;
	if (row.kind == FRAME_NONE || !find_cfa(w, &row, &cfa))
		return WALK_LOST;
	if (row.kind == FRAME_CALL)
		return to_caller(w, &row, cfa);
	return to_interrupted(w, row.kind == FRAME_REGS, cfa);
}
