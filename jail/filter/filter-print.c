#include <errno.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/filter/compile.h"
#include "jail/policy/call-args.h"

enum { WORD_UNKNOWN = -1, WORD_NONE = -2 }; /* NONE: not reached yet */

/* What is known before an instruction, by whatever way it is reached. */
struct known {
	int word;	      /* the offset that the accumulator was loaded from */
	bool is_masked;	      /* and an AND was done since */
	uint32_t first, last; /* the call's number */
};

static void reach(struct known *at, const struct known *from)
{
	if (at->word == WORD_NONE) {
		*at = *from;
		return;
	}
	if (at->word != from->word || at->is_masked != from->is_masked)
		at->word = WORD_UNKNOWN;
	at->first = from->first < at->first ? from->first : at->first;
	at->last = from->last > at->last ? from->last : at->last;
}

/* What is known when the test came out so. Only what our own programs do with numbers. */
static struct known after_test(const struct known *known, const struct sock_filter *insn,
			       bool is_true)
{
	struct known k = *known;

	if (k.word != (int)offsetof(struct seccomp_data, nr) || k.is_masked)
		return k;
	if (insn->code == (BPF_JMP | BPF_JEQ | BPF_K) && is_true)
		k.first = k.last = insn->k;
	else if (insn->code == (BPF_JMP | BPF_JGE | BPF_K) && is_true && insn->k > k.first)
		k.first = insn->k;
	else if (insn->code == (BPF_JMP | BPF_JGE | BPF_K) && !is_true && insn->k &&
		 insn->k - 1 < k.last)
		k.last = insn->k - 1;
	return k;
}

static struct known *follow(const struct filter *filter)
{
	struct known *known = xcalloc(filter->n + 1, sizeof(*known));

	for (size_t i = 0; i <= filter->n; i++)
		known[i].word = WORD_NONE;
	known[0] = (struct known){WORD_UNKNOWN, false, 0, UINT32_MAX};
	for (size_t i = 0; i < filter->n; i++) {
		const struct sock_filter *insn = &filter->insns[i];
		struct known next = known[i], yes, no;

		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
			next.word = insn->code == (BPF_LD | BPF_W | BPF_ABS) ? (int)insn->k
									     : WORD_UNKNOWN;
			next.is_masked = false;
			break;
		case BPF_ALU:
			next.is_masked = true;
			break;
		case BPF_JMP:
			if (insn->code == (BPF_JMP | BPF_JA)) {
				reach(&known[i + 1 + insn->k], &next);
				continue;
			}
			yes = after_test(&next, insn, true);
			no = after_test(&next, insn, false);
			reach(&known[i + 1 + insn->jt], &yes);
			reach(&known[i + 1 + insn->jf], &no);
			continue;
		case BPF_RET:
			continue;
		default:
			break;
		}
		reach(&known[i + 1], &next);
	}
	return known;
}

/* --- text ------------------------------------------------------------------------------------- */

static void print_word(uint32_t offset, struct buf *out)
{
	const uint32_t args = offsetof(struct seccomp_data, args);

	if (offset == offsetof(struct seccomp_data, nr))
		buf_adds(out, "the call's number");
	else if (offset == offsetof(struct seccomp_data, arch))
		buf_adds(out, "the architecture");
	else if (offset >= args)
		buf_addf(out, "argument %u, %s word", (offset - args) / 8,
			 (offset - args) % 8 ? "high" : "low");
	else
		buf_adds(out, "the instruction pointer");
}

static void print_value(uint32_t value, struct buf *out)
{
	static const struct {
		uint32_t action;
		const char *name;
	} actions[] = {
		{SECCOMP_RET_ALLOW, "allow"},	    {SECCOMP_RET_LOG, "log"},
		{SECCOMP_RET_TRACE, "trace"},	    {SECCOMP_RET_USER_NOTIF, "ask jail"},
		{SECCOMP_RET_TRAP, "trap"},	    {SECCOMP_RET_KILL_THREAD, "kill-thread"},
		{SECCOMP_RET_KILL_PROCESS, "kill"},
	};
	const struct policy_action refuse = {POLICY_ERRNO, (int)(value & SECCOMP_RET_DATA)};

	if ((value & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO) {
		policy_action_print(&refuse, out);
		return;
	}
	for (size_t i = 0; i < array_len(actions); i++)
		if ((value & SECCOMP_RET_ACTION_FULL) == actions[i].action)
			buf_adds(out, actions[i].name);
}

static void print_call(enum arch arch, uint32_t nr, struct buf *out)
{
	const char *name = nr <= INT32_MAX ? syscall_name(arch, (int)nr) : NULL;

	if (name)
		buf_adds(out, name);
}

/* The constant that the low word of an argument is compared with, when the call is known. */
static void print_argument(const struct known *known, enum arch arch, uint32_t value,
			   struct buf *out)
{
	uint32_t from_args = (uint32_t)known->word - offsetof(struct seccomp_data, args);
	const char *name = known->first == known->last && known->first <= INT32_MAX
				   ? syscall_name(arch, (int)known->first)
				   : NULL;

	if (!name || from_args % 8)
		return;
	constant_print(&call_args(syscall_find(name))[from_args / 8], arch, value, out);
}

static void print_compared(const struct known *known, enum arch arch, uint32_t value,
			   struct buf *out)
{
	if (known->word == (int)offsetof(struct seccomp_data, nr))
		print_call(arch, value, out);
	else if (known->word >= (int)offsetof(struct seccomp_data, args))
		print_argument(known, arch, value, out);
	else if (known->word == (int)offsetof(struct seccomp_data, arch))
		buf_adds(out, value == AUDIT_ARCH_X86_64    ? "x86_64"
			      : value == AUDIT_ARCH_AARCH64 ? "aarch64"
							    : "");
}

static void print_jump(const struct sock_filter *insn, size_t at, struct buf *out)
{
	static const char *const tests[] = {[BPF_JEQ >> 4] = "==",
					    [BPF_JGT >> 4] = ">",
					    [BPF_JGE >> 4] = ">=",
					    [BPF_JSET >> 4] = "&"};

	if (insn->code == (BPF_JMP | BPF_JA))
		buf_addf(out, "goto %zu", at + 1 + insn->k);
	else if (BPF_SRC(insn->code) == BPF_X)
		buf_addf(out, "if A %s X goto %zu else %zu", tests[BPF_OP(insn->code) >> 4],
			 at + 1 + insn->jt, at + 1 + insn->jf);
	else
		buf_addf(out, "if A %s 0x%" PRIx32 " goto %zu else %zu",
			 tests[BPF_OP(insn->code) >> 4], insn->k, at + 1 + insn->jt,
			 at + 1 + insn->jf);
}

/* The instruction; its comment goes to note. */
static void print_one(const struct sock_filter *insn, size_t at, const struct known *known,
		      enum arch arch, struct buf *out, struct buf *note)
{
	if (insn->code == (BPF_LD | BPF_W | BPF_ABS)) {
		buf_addf(out, "A = [%" PRIu32 "]", insn->k);
		print_word(insn->k, note);
	} else if (insn->code == (BPF_ALU | BPF_AND | BPF_K)) {
		buf_addf(out, "A &= 0x%" PRIx32, insn->k);
	} else if (insn->code == (BPF_RET | BPF_K)) {
		buf_addf(out, "return 0x%08" PRIx32, insn->k);
		print_value(insn->k, note);
	} else if (BPF_CLASS(insn->code) == BPF_JMP) {
		print_jump(insn, at, out);
		if (insn->code != (BPF_JMP | BPF_JA) && BPF_SRC(insn->code) == BPF_K)
			print_compared(known, arch, insn->k, note);
	} else {
		buf_addf(out, "code 0x%02x, 0x%" PRIx32, insn->code, insn->k);
	}
}

void filter_print(const struct filter *filter, enum arch arch, struct buf *out)
{
	auto_free struct known *known = follow(filter);

	for (size_t i = 0; i < filter->n; i++) {
		auto_cleanup(buf) note = {0};
		size_t start = out->len + 6;

		buf_addf(out, "%4zu  ", i);
		print_one(&filter->insns[i], i, &known[i], arch, out, &note);
		if (note.len)
			buf_addf(out, "%*s; %s",
				 out->len - start < 40 ? (int)(40 - (out->len - start)) : 1, "",
				 note.data);
		buf_adds(out, "\n");
	}
}
