#include "jail/inspect/stats.h"

#include "jail/base/cleanup.h"
#include "jail/filter/simulate.h"

/* Jumps only lead forward, so that from the end on every way's length is known. */
static unsigned int longest_way(const struct filter *filter)
{
	auto_free unsigned int *from = xcalloc(filter->n + 1, sizeof(*from));

	for (size_t i = filter->n; i-- > 0;) {
		const struct sock_filter *insn = &filter->insns[i];
		unsigned int next = 0;

		if (BPF_CLASS(insn->code) == BPF_JMP && BPF_OP(insn->code) == BPF_JA) {
			next = from[i + 1 + insn->k];
		} else if (BPF_CLASS(insn->code) == BPF_JMP) {
			next = from[i + 1 + insn->jt];
			if (from[i + 1 + insn->jf] > next)
				next = from[i + 1 + insn->jf];
		} else if (BPF_CLASS(insn->code) != BPF_RET) {
			next = from[i + 1];
		}
		from[i] = next + 1;
	}
	return from[0];
}

void filter_stats(const struct filter *filter, enum arch arch, struct filter_stats *ret)
{
	struct filter_stats stats = {.insns = filter->n, .longest = longest_way(filter)};
	uint64_t total = 0;
	unsigned int calls = 0;

	for (int nr = 0; nr < FILTER_CALLS_MAX; nr++) {
		const struct seccomp_data data = {.nr = nr, .arch = filter_audit_arch(arch)};
		unsigned int steps;

		if (!syscall_by_nr(arch, nr))
			continue;
		filter_simulate(filter, &data, &steps);
		total += steps;
		calls++;
	}
	stats.average = calls ? (double)total / calls : 0;
	*ret = stats;
}
