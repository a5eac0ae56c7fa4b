#include "jail/filter/compile.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/filter/program.h"

/* Calls with the same outcome that follow one another: from `first` to the next range. */
struct range {
	uint32_t first;
	program_node outcome;
	double weight;
};

struct compiler {
	const struct filter_model *model;
	const struct filter_options *options;
	struct program *program;
	struct range ranges[FILTER_CALLS_MAX + 2];
	size_t n;
};

static void compiler_deinit(struct compiler *compiler)
{
	program_destroy(compiler->program);
}
DEFINE_CLEANUP(compiler, compiler_deinit)

void filter_deinit(struct filter *filter)
{
	free(filter->insns);
	*filter = (struct filter){0};
}

/* --- actions ---------------------------------------------------------------------------------- */

/* These numbers are looked up for every call of a machine; a test compares them with the table. */
static bool starts_program(enum arch arch, int nr)
{
	enum { AMD64_EXECVE = 59, AMD64_EXECVEAT = 322, ARM64_EXECVE = 221, ARM64_EXECVEAT = 281 };

	return arch == ARCH_AMD64 ? nr == AMD64_EXECVE || nr == AMD64_EXECVEAT
				  : nr == ARM64_EXECVE || nr == ARM64_EXECVEAT;
}

static bool starts_process(enum arch arch, int nr)
{
	enum { AMD64_CLONE = 56, AMD64_FORK, AMD64_VFORK, ARM64_CLONE = 220, CLONE3 = 435 };

	if (nr == CLONE3)
		return true;
	return arch == ARCH_AMD64 ? nr >= AMD64_CLONE && nr <= AMD64_VFORK : nr == ARM64_CLONE;
}

static bool sends_message(enum arch arch, int nr)
{
	enum { AMD64_SENDMSG = 46, ARM64_SENDMSG = 211 };

	return nr == (arch == ARCH_AMD64 ? AMD64_SENDMSG : ARM64_SENDMSG);
}

static bool is_among(const int *calls, size_t n, int nr)
{
	for (size_t i = 0; i < n; i++)
		if (calls[i] == nr)
			return true;
	return false;
}

static bool is_jails(const struct filter_options *options, enum arch arch, int nr)
{
	return (options->notify_exec && starts_program(arch, nr)) ||
	       (options->notify_fork && starts_process(arch, nr)) ||
	       is_among(options->notify_calls, options->n_notify_calls, nr);
}

static uint32_t kernel_value(const struct policy_action *action)
{
	switch (action->kind) {
	case POLICY_ALLOW:
	case POLICY_NOTIFY:
		return SECCOMP_RET_ALLOW;
	case POLICY_LOG:
		return SECCOMP_RET_LOG;
	case POLICY_ERRNO:
		return SECCOMP_RET_ERRNO | ((uint32_t)action->error & SECCOMP_RET_DATA);
	case POLICY_TRAP:
		return SECCOMP_RET_TRAP;
	case POLICY_KILL_THREAD:
		return SECCOMP_RET_KILL_THREAD;
	default:
		return SECCOMP_RET_KILL_PROCESS;
	}
}

uint32_t filter_value(const struct filter_options *options, enum arch arch, int nr,
		      const struct policy_action *action)
{
	bool allows = policy_kind_allows(action->kind);

	if (allows && is_among(options->trace_calls, options->n_trace_calls, nr))
		return SECCOMP_RET_TRACE;
	if (options->mode == FILTER_EVERYTHING)
		return SECCOMP_RET_USER_NOTIF;
	if (options->mode == FILTER_WATCH && !allows)
		return SECCOMP_RET_USER_NOTIF;
	if ((options->mode == FILTER_COUNT || options->mode == FILTER_WATCH) &&
	    (action->kind == POLICY_ERRNO || action->kind == POLICY_KILL ||
	     action->kind == POLICY_NOTIFY || (allows && is_jails(options, arch, nr))))
		return SECCOMP_RET_USER_NOTIF;
	return kernel_value(action);
}

/* --- arguments -------------------------------------------------------------------------------- */

/* An argument as the kernel shows it: two words, the low one first (both architectures). */
static unsigned int word_of(unsigned int arg, bool is_high)
{
	return (unsigned int)offsetof(struct seccomp_data, args) + 8 * arg + (is_high ? 4 : 0);
}

static program_node equal(struct program *program, unsigned int word, uint32_t mask, uint32_t value,
			  program_node yes, program_node no)
{
	/* these keep the word in the accumulator */
	if (mask != UINT32_MAX && !value)
		return program_test(
			program, (struct program_test){word, UINT32_MAX, BPF_JSET, mask}, no, yes);
	if (mask && mask == value && !(mask & (mask - 1)))
		return program_test(
			program, (struct program_test){word, UINT32_MAX, BPF_JSET, mask}, yes, no);
	return program_test(program, (struct program_test){word, mask, BPF_JEQ, value}, yes, no);
}

/* (arg & mask) == value */
static program_node equal_masked(struct program *program, const struct policy_cond *cond,
				 uint64_t mask, uint64_t value, program_node yes, program_node no)
{
	unsigned int low = word_of(cond->arg, false), high = word_of(cond->arg, true);
	uint32_t high_mask = (uint32_t)(mask >> 32), high_value = (uint32_t)(value >> 32);
	program_node otherwise = no;

	if (value & ~mask)
		return no;
	/* when the high word is right and the low one wrong, the next rule's high word is known */
	if (high_mask == UINT32_MAX)
		otherwise = program_known(program, no, high, high_value);
	yes = equal(program, low, (uint32_t)mask, (uint32_t)value, yes, otherwise);
	return high_mask ? equal(program, high, high_mask, high_value, yes, no) : yes;
}

/* arg > value, or arg >= value */
static program_node greater(struct program *program, const struct policy_cond *cond,
			    unsigned int op, uint64_t value, program_node yes, program_node no)
{
	unsigned int low = word_of(cond->arg, false), high = word_of(cond->arg, true);
	uint32_t high_value = (uint32_t)(value >> 32);
	program_node same;

	if (cond->is_32bit)
		return program_test(program,
				    (struct program_test){low, UINT32_MAX, op, (uint32_t)value},
				    yes, no);
	same = program_test(program, (struct program_test){low, UINT32_MAX, op, (uint32_t)value},
			    program_known(program, yes, high, high_value),
			    program_known(program, no, high, high_value));
	if (high_value) /* no word is below 0 */
		same = program_test(program,
				    (struct program_test){high, UINT32_MAX, BPF_JEQ, high_value},
				    same, no);
	return program_test(program, (struct program_test){high, UINT32_MAX, BPF_JGT, high_value},
			    yes, same);
}

static program_node cond_node(struct program *program, enum arch arch,
			      const struct policy_cond *cond, program_node yes, program_node no)
{
	uint64_t bits = cond->is_32bit ? UINT32_MAX : UINT64_MAX;
	uint64_t value = cond->value[arch] & bits;

	switch (cond->op) {
	case POLICY_EQ:
		return equal_masked(program, cond, bits, value, yes, no);
	case POLICY_NE:
		return equal_masked(program, cond, bits, value, no, yes);
	case POLICY_LT:
		return greater(program, cond, BPF_JGE, value, no, yes);
	case POLICY_LE:
		return greater(program, cond, BPF_JGT, value, no, yes);
	case POLICY_GT:
		return greater(program, cond, BPF_JGT, value, yes, no);
	case POLICY_GE:
		return greater(program, cond, BPF_JGE, value, yes, no);
	case POLICY_MASKED_EQ:
		return equal_masked(program, cond, cond->mask[arch] & bits, value, yes, no);
	}
	return no;
}

/* --- calls ------------------------------------------------------------------------------------ */

static program_node action_node(struct compiler *c, int nr, const struct policy_action *action)
{
	return program_return(c->program,
			      filter_value(c->options, c->model->target.arch, nr, action));
}

/* The runtime's own call, after which nothing of jail is left: see compile.h. */
static program_node let_jail_through(struct compiler *c, program_node otherwise)
{
	const struct policy_cond cookie = {
		.arg = 5,
		.op = POLICY_EQ,
		.value = {c->options->exec_cookie, c->options->exec_cookie}};

	return cond_node(c->program, c->model->target.arch, &cookie,
			 program_return(c->program, SECCOMP_RET_ALLOW), otherwise);
}

static bool takes_cookie(const struct filter_options *options, enum arch arch, int nr)
{
	return options->exec_cookie && (starts_program(arch, nr) ||
					(options->mode != FILTER_PLAIN && sends_message(arch, nr)));
}

/* From the last rule to the first: each knows what follows it. */
static program_node call_node(struct compiler *c, int nr)
{
	const struct filter_call *call = &c->model->calls[nr];
	enum arch arch = c->model->target.arch;
	program_node node =
		action_node(c, nr, call->is_unknown ? &c->model->unknown : &c->model->fallback);

	for (size_t i = call->n; i-- > 0;) {
		const struct filter_rule *rule = &call->rules[i];
		program_node yes = action_node(c, nr, &rule->action);

		for (size_t k = rule->n_conds; k-- > 0;)
			yes = cond_node(c->program, arch, &rule->conds[k], yes, node);
		node = yes;
	}
	return takes_cookie(c->options, arch, nr) ? let_jail_through(c, node) : node;
}

/* --- the search for the call ------------------------------------------------------------------ */

static void add_range(struct compiler *c, uint32_t first, program_node outcome, double weight)
{
	if (!c->n || c->ranges[c->n - 1].outcome != outcome)
		c->ranges[c->n++] = (struct range){first, outcome, 0};
	c->ranges[c->n - 1].weight += weight;
}

static void find_ranges(struct compiler *c)
{
	const struct filter_model *model = c->model;
	struct policy_action other = filter_other_abi(model);
	double total = 0;

	for (int nr = 0; nr < FILTER_CALLS_MAX; nr++) {
		add_range(c, (uint32_t)nr, call_node(c, nr), (double)model->calls[nr].weight);
		total += (double)model->calls[nr].weight;
	}
	add_range(c, FILTER_CALLS_MAX, action_node(c, -1, &model->unknown), 0);
	if (model->target.arch == ARCH_AMD64)
		add_range(c, FILTER_X32_BIT, action_node(c, -1, &other), 0);
	/* hints make some paths shorter, but none long: every range keeps a share of its own */
	for (size_t i = 0; i < c->n; i++)
		c->ranges[i].weight =
			1 + (total > 0 ? c->ranges[i].weight / total * 8 * (double)c->n : 0);
}

/* Where the ranges in [from, to) fall into two halves of nearly the same weight. */
static size_t find_middle(const struct compiler *c, size_t from, size_t to)
{
	double all = 0, left = 0;
	size_t middle = from + 1;

	for (size_t i = from; i < to; i++)
		all += c->ranges[i].weight;
	left = c->ranges[from].weight;
	/* go on while that makes the heavier half lighter */
	while (middle + 1 < to && left + c->ranges[middle].weight <= all - left)
		left += c->ranges[middle++].weight;
	return middle;
}

static program_node search(struct compiler *c, size_t from, size_t to)
{
	const struct range *r = &c->ranges[from];
	const unsigned int word = offsetof(struct seccomp_data, nr);
	program_node below, above;
	size_t middle;

	if (to - from == 1)
		return r->outcome;
	/* one call among others that are all alike */
	if (to - from == 3 && r[0].outcome == r[2].outcome && r[1].first + 1 == r[2].first)
		return program_test(c->program,
				    (struct program_test){word, UINT32_MAX, BPF_JEQ, r[1].first},
				    r[1].outcome, r[0].outcome);
	middle = find_middle(c, from, to);
	below = search(c, from, middle);
	above = search(c, middle, to);
	return program_test(
		c->program,
		(struct program_test){word, UINT32_MAX, BPF_JGE, c->ranges[middle].first}, above,
		below);
}

/* Which file, and which call has the most to compare. */
static int say_too_big(const struct filter_model *model, struct err *err)
{
	size_t most = 0;
	int largest = 0;

	for (int nr = 0; nr < FILTER_CALLS_MAX; nr++) {
		if (model->calls[nr].n <= most)
			continue;
		most = model->calls[nr].n;
		largest = nr;
	}
	return err_set(err, E2BIG,
		       "%.200s: the filter would have more than %d instructions, which no kernel "
		       "takes: %s has %zu rules with arguments, and fewer are needed",
		       model->policy->name, BPF_MAXINSNS, syscall_name(model->target.arch, largest),
		       most);
}

int filter_compile(const struct filter_model *model, const struct filter_options *options,
		   struct filter *ret, struct err *err)
{
	auto_cleanup(compiler) c = {.model = model, .options = options};
	struct policy_action other = filter_other_abi(model);
	const struct program_test is_native = {offsetof(struct seccomp_data, arch), UINT32_MAX,
					       BPF_JEQ, filter_audit_arch(model->target.arch)};
	program_node root;
	int r;

	c.program = program_create();
	find_ranges(&c);
	root = search(&c, 0, c.n);
	root = program_test(c.program, is_native, root, action_node(&c, -1, &other));
	r = program_lay_out(c.program, root, ret, err);
	return r == -E2BIG ? say_too_big(model, err) : r;
}
