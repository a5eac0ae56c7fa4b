/*
 * unwind-arm64.c - a step by frame records: {x29 of the caller, return address}, at x29.
 *
 * What runs or was interrupted may not have made its own yet: its instructions tell. An exception's
 * struct pt_regs holds a record too: up to 6.12 one that leads to what was interrupted, from 6.13
 * on an empty one with its kind behind it (arch/arm64/include/asm/stacktrace/frame.h).
 */
#include "lab/vmcore/unwind-walk.h"

enum { WORD = 8, REGS_PC = 32, REGS_PSTATE = 33, REGS_WORDS = 34, MODE = 0xf };
/* Of a struct pt_regs: where its record is (arch/arm64/include/asm/ptrace.h). */
enum { RECORD_AT = 304, RECORD_AT_6_13 = 296 };
enum { META_FINAL = 1, META_PT_REGS = 2 };

static uint64_t strip(const struct walk *w, uint64_t address)
{
	return address >> 55 & 1 ? address | w->env->kernel_bits : address;
}

/* The registers in whose struct the record at fp is. */
static bool read_regs(const struct walk *w, uint64_t fp, uint64_t regs[REGS_WORDS])
{
	return w->env->read(w->env->data, fp - (w->env->frame_meta ? RECORD_AT_6_13 : RECORD_AT),
			    regs, REGS_WORDS * WORD);
}

static enum walk_step to_interrupted(struct walk *w, const uint64_t regs[REGS_WORDS])
{
	for (unsigned int i = 0; i <= ARM64_SP; i++)
		walk_set(w, i, regs[i]);
	w->pc = regs[REGS_PC];
	w->exact = w->interrupted = true;
	return regs[REGS_PSTATE] & MODE ? WALK_ON : WALK_USER;
}

/* An empty record: of a struct pt_regs, which is the first thing on a task's stack or later. */
static enum walk_step by_empty(struct walk *w, uint64_t fp)
{
	uint64_t regs[REGS_WORDS], meta = META_FINAL;

	if (w->env->frame_meta && !w->env->read(w->env->data, fp + 2 * WORD, &meta, sizeof(meta)))
		return WALK_LOST;
	if (meta == META_PT_REGS)
		return read_regs(w, fp, regs) ? to_interrupted(w, regs) : WALK_LOST;
	if (meta != META_FINAL)
		return WALK_LOST;
	/* a kernel thread's says that it was in the kernel */
	if (read_regs(w, fp, regs) && !(regs[REGS_PSTATE] & MODE) && regs[REGS_PC])
		return to_interrupted(w, regs);
	return WALK_END;
}

static enum walk_step by_record(struct walk *w)
{
	uint64_t fp, record[2], regs[REGS_WORDS];

	if (!walk_reg(w, ARM64_FP, &fp) || !fp)
		return fp ? WALK_LOST : WALK_END;
	if (fp % WORD || !w->env->read(w->env->data, fp, record, sizeof(record)))
		return WALK_LOST;
	if (!record[0] && !record[1])
		return by_empty(w, fp);
	if (!w->env->frame_meta && read_regs(w, fp, regs) && regs[REGS_PC] == record[1] &&
	    regs[ARM64_FP] == record[0] && regs[REGS_PSTATE] & MODE)
		return to_interrupted(w, regs);
	w->known = 0;
	walk_set(w, ARM64_FP, record[0]);
	walk_set(w, ARM64_SP, fp + sizeof(record));
	w->pc = strip(w, record[1]);
	w->exact = w->interrupted = false;
	return WALK_ON;
}

/* To the caller of what has no record of its own: x29 is the caller's still. */
static enum walk_step to_return(struct walk *w, uint64_t address)
{
	w->pc = strip(w, address);
	w->exact = w->interrupted = false;
	w->known &= ~(1u << ARM64_LR);
	return WALK_ON;
}

enum walk_step walk_arm64(struct walk *w)
{
	struct frame_row row = {.kind = FRAME_NONE};
	uint64_t at, lr;
	bool is_code;

	if (!w->exact)
		return by_record(w);
	is_code = w->env->row(w->env->data, w->pc, &row);
	/* a jump to where nothing is was a call, most likely */
	if ((!is_code || row.kind == FRAME_LEAF) && walk_reg(w, ARM64_LR, &lr) &&
	    walk_is_return(w, strip(w, lr)))
		return to_return(w, lr);
	if (row.kind == FRAME_CALL && row.cfa_register == ARM64_SP && walk_reg(w, ARM64_SP, &at) &&
	    w->env->read(w->env->data, at + row.cfa_offset + row.ra_offset, &lr, sizeof(lr)) &&
	    walk_is_return(w, strip(w, lr)))
		return to_return(w, lr);
	return by_record(w);
}
