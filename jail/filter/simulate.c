#include "jail/filter/simulate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/base/str.h"

/* What seccomp_check_filter() lets through; offsets and constants are checked apart. */
static bool is_allowed(unsigned int code)
{
	switch (code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_JMP | BPF_JA:
	case BPF_ALU | BPF_NEG:
		return true;
	default:
		break;
	}
	switch (code & ~(unsigned int)BPF_X) {
	case BPF_ALU | BPF_ADD:
	case BPF_ALU | BPF_SUB:
	case BPF_ALU | BPF_MUL:
	case BPF_ALU | BPF_DIV:
	case BPF_ALU | BPF_AND:
	case BPF_ALU | BPF_OR:
	case BPF_ALU | BPF_XOR:
	case BPF_ALU | BPF_LSH:
	case BPF_ALU | BPF_RSH:
	case BPF_JMP | BPF_JEQ:
	case BPF_JMP | BPF_JGE:
	case BPF_JMP | BPF_JGT:
	case BPF_JMP | BPF_JSET:
		return true;
	default:
		return false;
	}
}

static bool is_memory(unsigned int code)
{
	unsigned int class = BPF_CLASS(code);

	return class == BPF_ST || class == BPF_STX ||
	       ((class == BPF_LD || class == BPF_LDX) && BPF_MODE(code) == BPF_MEM);
}

/* NULL, or what is wrong with one instruction of which `left` come after it. */
static const char *check_one(const struct sock_filter *insn, size_t left)
{
	unsigned int code = insn->code;

	if (!is_allowed(code))
		return "not an instruction for system-call filters";
	if (code == (BPF_LD | BPF_W | BPF_ABS) &&
	    (insn->k >= sizeof(struct seccomp_data) || insn->k & 3))
		return "loads from outside struct seccomp_data, or not a word";
	if (is_memory(code) && insn->k >= BPF_MEMWORDS)
		return "there are 16 words of memory";
	if (code == (BPF_ALU | BPF_DIV | BPF_K) && !insn->k)
		return "divides by 0";
	if ((code == (BPF_ALU | BPF_LSH | BPF_K) || code == (BPF_ALU | BPF_RSH | BPF_K)) &&
	    insn->k >= 32)
		return "shifts by 32 or more";
	if (BPF_CLASS(code) != BPF_JMP)
		return NULL;
	if (code == (BPF_JMP | BPF_JA) ? insn->k >= left : insn->jt >= left || insn->jf >= left)
		return "jumps out of the program";
	return NULL;
}

/* Memory that some way here has not written. As check_load_and_stores() of the kernel's. */
static const char *check_memory(const struct filter *filter, size_t *at)
{
	auto_free uint16_t *written = xmalloc(filter->n * sizeof(*written));
	uint16_t now = 0;

	memset(written, 0xff, filter->n * sizeof(*written));
	for (size_t i = 0; i < filter->n; i++) {
		const struct sock_filter *insn = &filter->insns[i];

		*at = i;
		now &= written[i];
		if (BPF_CLASS(insn->code) == BPF_ST || BPF_CLASS(insn->code) == BPF_STX) {
			now |= (uint16_t)(1U << insn->k);
		} else if (is_memory(insn->code)) {
			if (!(now & 1U << insn->k))
				return "loads memory that nothing was stored to";
		} else if (insn->code == (BPF_JMP | BPF_JA)) {
			written[i + 1 + insn->k] &= now;
			now = UINT16_MAX;
		} else if (BPF_CLASS(insn->code) == BPF_JMP) {
			written[i + 1 + insn->jt] &= now;
			written[i + 1 + insn->jf] &= now;
			now = UINT16_MAX;
		}
	}
	return NULL;
}

int filter_check(const struct filter *filter, struct err *err)
{
	const char *wrong = NULL;
	size_t at = 0;

	if (!filter->n || filter->n > BPF_MAXINSNS)
		return err_set(err, EINVAL, "a filter has 1 to %d instructions, not %zu",
			       BPF_MAXINSNS, filter->n);
	for (size_t i = 0; i < filter->n && !wrong; i++) {
		wrong = check_one(&filter->insns[i], filter->n - 1 - i);
		at = i;
	}
	if (!wrong && BPF_CLASS(filter->insns[filter->n - 1].code) != BPF_RET)
		wrong = "the last one has to return";
	if (!wrong)
		wrong = check_memory(filter, &at);
	return wrong ? err_set(err, EINVAL, "instruction %zu (code 0x%02x): %s", at,
			       filter->insns[at].code, wrong)
		     : 0;
}

struct machine {
	uint32_t a, x, memory[BPF_MEMWORDS];
	const struct seccomp_data *data;
};

static uint32_t load(const struct machine *m, const struct sock_filter *insn)
{
	uint32_t word;

	switch (BPF_MODE(insn->code)) {
	case BPF_IMM:
		return insn->k;
	case BPF_MEM:
		return m->memory[insn->k];
	case BPF_LEN:
		return sizeof(*m->data);
	default:
		memcpy(&word, (const char *)m->data + insn->k, sizeof(word));
		return word;
	}
}

static uint32_t calculate(unsigned int op, uint32_t a, uint32_t by)
{
	switch (op) {
	case BPF_ADD:
		return a + by;
	case BPF_SUB:
		return a - by;
	case BPF_MUL:
		return a * by;
	case BPF_DIV:
		return a / by;
	case BPF_AND:
		return a & by;
	case BPF_OR:
		return a | by;
	case BPF_XOR:
		return a ^ by;
	case BPF_LSH:
		return a << (by & 31);
	case BPF_RSH:
		return a >> (by & 31);
	default: /* BPF_NEG */
		return -a;
	}
}

static bool compare(unsigned int op, uint32_t a, uint32_t with)
{
	switch (op) {
	case BPF_JEQ:
		return a == with;
	case BPF_JGT:
		return a > with;
	case BPF_JGE:
		return a >= with;
	default: /* BPF_JSET */
		return a & with;
	}
}

uint32_t filter_simulate(const struct filter *filter, const struct seccomp_data *data,
			 unsigned int *steps)
{
	struct machine m = {.data = data};
	unsigned int done = 0;

	for (const struct sock_filter *insn = filter->insns;; insn++) {
		uint32_t operand = BPF_SRC(insn->code) == BPF_X ? m.x : insn->k;

		done++;
		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
			m.a = load(&m, insn);
			break;
		case BPF_LDX:
			m.x = load(&m, insn);
			break;
		case BPF_ST:
			m.memory[insn->k] = m.a;
			break;
		case BPF_STX:
			m.memory[insn->k] = m.x;
			break;
		case BPF_MISC:
			*(BPF_MISCOP(insn->code) == BPF_TAX ? &m.x : &m.a) =
				BPF_MISCOP(insn->code) == BPF_TAX ? m.a : m.x;
			break;
		case BPF_ALU:
			if (BPF_OP(insn->code) == BPF_DIV && !operand) {
				operand = 0; /* as the kernel: ends with 0 */
				goto end;
			}
			m.a = calculate(BPF_OP(insn->code), m.a, operand);
			break;
		case BPF_JMP:
			if (BPF_OP(insn->code) == BPF_JA)
				insn += insn->k;
			else
				insn += compare(BPF_OP(insn->code), m.a, operand) ? insn->jt
										  : insn->jf;
			break;
		default: /* BPF_RET */
			operand = BPF_RVAL(insn->code) == BPF_A ? m.a : insn->k;
			goto end;
		}
		continue;
	end:
		if (steps)
			*steps = done;
		return operand;
	}
}
