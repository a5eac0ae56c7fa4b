/*
 * The compiled filter against the model of the policy: the simulator runs the one, filter_decide()
 * decides by the other, and both have to come to the same for every number of a call and arguments
 * near to the constants of the policy. FILTER_PROOF_SEED=N repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jail/filter/simulate.h"
#include "jail/policy/policy-load.h"

enum { NUMBERS = 1100, X32 = 0x40000000 };

static uint64_t seed, state_of_random;
static uint64_t cases;

static uint64_t random_bits(void)
{
	uint64_t z = state_of_random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)(random_bits() % n);
}

/* --- what is compared ------------------------------------------------------------------------- */

/* What the kernel has to be told, written down once more and not by the compiler's own function. */
static uint32_t expected(const struct policy_action *action, enum filter_mode mode)
{
	if (mode == FILTER_EVERYTHING ||
	    (mode == FILTER_WATCH && !policy_kind_allows(action->kind)))
		return SECCOMP_RET_USER_NOTIF;
	switch (action->kind) {
	case POLICY_ALLOW:
		return SECCOMP_RET_ALLOW;
	case POLICY_LOG:
		return SECCOMP_RET_LOG;
	case POLICY_NOTIFY:
		return mode == FILTER_PLAIN ? SECCOMP_RET_ALLOW : SECCOMP_RET_USER_NOTIF;
	case POLICY_ERRNO:
		return mode == FILTER_PLAIN ? SECCOMP_RET_ERRNO | (uint32_t)action->error
					    : SECCOMP_RET_USER_NOTIF;
	case POLICY_TRAP:
		return SECCOMP_RET_TRAP;
	case POLICY_KILL_THREAD:
		return SECCOMP_RET_KILL_THREAD;
	case POLICY_KILL:
		return mode == FILTER_PLAIN ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_USER_NOTIF;
	default:
		fail_msg("an action that is none");
		return 0;
	}
}

/* A value that a comparison may take a wrong turn at. */
static uint64_t near(const struct policy_cond *cond, enum arch arch)
{
	uint64_t value = cond->value[arch];

	switch (below(8)) {
	case 0:
		return value + 1;
	case 1:
		return value - 1;
	case 2:
		return value | random_bits() << 32;
	case 3:
		return (value & UINT32_MAX) | (uint64_t)UINT32_MAX << 32;
	case 4:
		return value ^ UINT64_C(1) << below(64);
	case 5:
		return value | (random_bits() & ~cond->mask[arch]);
	case 6:
		return random_bits() & cond->mask[arch];
	default:
		return value;
	}
}

static uint64_t random_value(void)
{
	switch (below(4)) {
	case 0:
		return below(16);
	case 1:
		return random_bits() >> below(64);
	case 2:
		return -(uint64_t)below(256);
	default:
		return (uint32_t)random_bits();
	}
}

static void random_args(const struct filter_model *model, int nr, uint64_t args[6])
{
	const struct filter_call *call =
		nr >= 0 && nr < FILTER_CALLS_MAX ? &model->calls[nr] : NULL;
	const struct filter_rule *rule =
		call && call->n ? &call->rules[below((unsigned int)call->n)] : NULL;

	for (size_t i = 0; i < 6; i++)
		args[i] = random_value();
	/* mostly all of a rule's comparisons are met, or nearly */
	for (size_t i = 0; rule && i < rule->n_conds; i++)
		if (below(8))
			args[rule->conds[i].arg] =
				below(2) ? near(&rule->conds[i], model->target.arch)
					 : rule->conds[i].value[model->target.arch];
}

struct proof {
	const char *name;
	const struct filter_model *model;
	const struct filter_options *options;
	const struct filter *filter;
};

static void compare(const struct proof *proof, uint32_t arch, int nr, const uint64_t args[6])
{
	struct decision decision = filter_decide(proof->model, arch, nr, args);
	uint32_t want = expected(&decision.action, proof->options->mode), got;
	struct seccomp_data data = {.nr = nr, .arch = arch};

	memcpy(data.args, args, sizeof(data.args));
	got = filter_simulate(proof->filter, &data, NULL);
	cases++;
	if (got != want)
		fail_msg("%s, %s, mode %d, FILTER_PROOF_SEED=%" PRIu64
			 ": call %d of 0x%x (0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64
			 ", 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64
			 "): the filter says 0x%x, the model 0x%x",
			 proof->name, arch_name(proof->model->target.arch), proof->options->mode,
			 seed, nr, arch, args[0], args[1], args[2], args[3], args[4], args[5], got,
			 want);
}

/* A number as it is, with bits that make it x32's or negative, and of other machines. */
static void compare_number(const struct proof *proof, int nr)
{
	static const uint32_t others[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_X86_64,
					  AUDIT_ARCH_AARCH64, 0};
	uint32_t native = filter_audit_arch(proof->model->target.arch);
	const struct filter_call *call = nr < FILTER_CALLS_MAX ? &proof->model->calls[nr] : NULL;
	unsigned int rounds = call && call->n && call->rules[0].n_conds ? 40 : 3;
	uint64_t args[6];

	for (unsigned int i = 0; i < rounds; i++) {
		random_args(proof->model, nr, args);
		compare(proof, native, nr, args);
	}
	compare(proof, native, nr | X32, args);
	compare(proof, native, -nr - 1, args);
	compare(proof, native, (int)random_bits(), args);
	compare(proof, others[below(array_len(others))], nr, args);
}

static void prove(const char *name, const struct policy *policy, const struct filter_target *target,
		  const struct filter_options *options)
{
	auto_cleanup(filter_model) model = {0};
	auto_cleanup(filter) filter = {0};
	const struct proof proof = {name, &model, options, &filter};
	struct err err = {0};
	int r;

	r = filter_model_make(policy, target, &model, &err);
	if (r >= 0)
		r = filter_compile(&model, options, &filter, &err);
	if (r == -E2BIG && str_eq(name, "random"))
		return;
	if (r >= 0)
		r = filter_check(&filter, &err);
	if (r < 0)
		fail_msg("%s, FILTER_PROOF_SEED=%" PRIu64 ": %s", name, seed, err.msg);
	for (int nr = 0; nr < NUMBERS; nr++)
		compare_number(&proof, nr);
}

static void prove_everywhere(const char *name, const struct policy *policy,
			     const struct kver *kernel)
{
	const uint64_t caps[] = {0, UINT64_MAX, random_bits() & random_bits()};

	for (int arch = 0; arch < ARCH_COUNT; arch++)
		for (unsigned int mode = FILTER_PLAIN; mode <= FILTER_WATCH; mode++) {
			const struct filter_options options = {.mode = mode};
			const struct filter_target target = {
				.arch = (enum arch)arch, .kernel = *kernel, .caps = caps[below(3)]};

			prove(name, policy, &target, &options);
		}
}

/* --- policies --------------------------------------------------------------------------------- */

static void random_action(struct policy_action *action)
{
	static const int errors[] = {EPERM, ENOSYS, EACCES, POLICY_ERRNO_MAX};

	action->kind = POLICY_ALLOW + below(POLICY_KILL);
	action->error = action->kind == POLICY_ERRNO ? errors[below(4)] : 0;
}

static void random_cond(struct policy_rule *rule)
{
	static const uint64_t words[] = {0,	    1, 2, 0x5412, UINT32_MAX, UINT64_C(1) << 32,
					 UINT64_MAX};
	struct policy_cond *cond = policy_add_cond(rule);

	cond->arg = (unsigned char)below(below(2) ? 2 : 6); /* overlaps are what is interesting */
	cond->op = below(POLICY_MASKED_EQ + 1);
	cond->is_32bit = below(2);
	for (int arch = 0; arch < ARCH_COUNT; arch++) {
		cond->value[arch] = below(2) ? words[below(7)] : random_value();
		cond->mask[arch] = cond->op != POLICY_MASKED_EQ ? 0
				   : below(2)			? words[below(7)]
								: random_bits();
		if (cond->op == POLICY_MASKED_EQ && below(8))
			cond->value[arch] &= cond->mask[arch];
	}
}

static void random_rule(struct policy *policy, unsigned int calls)
{
	struct policy_rule *rule = policy_add_rule(policy);

	rule->call = syscall_at(below(calls) * (syscall_count / calls));
	random_action(&rule->action);
	for (unsigned int n = below(3); n > 0; n--)
		random_cond(rule);
	if (!below(8))
		rule->when.arches = 1U << below(ARCH_COUNT);
	if (!below(8))
		rule->when.caps = 1U << 21;
	if (!below(8))
		rule->when.no_caps = 1U << 21;
	if (!below(8))
		kver_range_parse(">=6.2", &rule->when.kernel, NULL);
}

static void random_policy(struct policy *policy, int depth)
{
	/* many rules of few calls, or rules of all of them */
	unsigned int calls = below(2) ? 20 : (unsigned int)syscall_count;

	*policy = (struct policy){.name = xstrdup("random"), .has_known = below(2)};
	policy->known = (struct kver){{5 + below(2), below(20), 0}};
	for (unsigned int n = below(160); n > 0; n--)
		random_rule(policy, calls);
	random_action(&policy->fallback);
	if (below(2))
		random_action(&policy->unknown);
	policy->n_frequency = below(6);
	policy->frequency = xcalloc(policy->n_frequency + 1, sizeof(*policy->frequency));
	for (size_t i = 0; i < policy->n_frequency; i++) {
		policy->frequency[i].call = syscall_at(below((unsigned int)syscall_count));
		policy->frequency[i].count = random_bits() >> below(64);
	}
	policy->n_bases = depth ? below(3) : 0;
	policy->bases = xcalloc(policy->n_bases + 1, sizeof(*policy->bases));
	for (size_t i = 0; i < policy->n_bases; i++)
		random_policy(&policy->bases[i], depth - 1);
}

static void random_policies(void **state)
{
	static const struct kver kernels[] = {{{0}}, {{5, 10, 0}}, {{6, 12, 0}}};
	uint64_t before = cases;

	(void)state;
	for (int i = 0; i < 60; i++) {
		auto_cleanup(policy) policy = {0};

		random_policy(&policy, 2);
		prove_everywhere("random", &policy, &kernels[below(3)]);
	}
	if (cases - before < 1000000)
		fail_msg("%" PRIu64 " cases are too few", cases - before);
}

/* --- the profiles that jail brings ------------------------------------------------------------ */

/* Kernels that the pins are, one before all and one that is not known; capabilities that matter. */
static void builtin_profiles(void **state)
{
	static const struct kver kernels[] = {{{0}},	    {{4, 19, 0}}, {{5, 10, 0}}, {{6, 1, 0}},
					      {{6, 12, 0}}, {{6, 18, 0}}, {{7, 2, 0}}};
	uint64_t before = cases;

	(void)state;
	for (size_t i = 0; i < policy_builtin_count; i++) {
		const char *name = policy_builtin_names[i];
		auto_cleanup(policy) policy = {0};
		struct err err = {0};

		if (policy_load(name, &policy, &err) < 0)
			fail_msg("%s", err.msg);
		for (size_t k = 0; k < array_len(kernels); k++)
			prove_everywhere(name, &policy, &kernels[k]);
	}
	if (cases - before < 1000000)
		fail_msg("%" PRIu64 " cases are too few", cases - before);
}

static int start(void **state)
{
	const char *wanted = getenv("FILTER_PROOF_SEED");

	(void)state;
	seed = wanted ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL);
	state_of_random = seed;
	print_message("# FILTER_PROOF_SEED=%" PRIu64 "\n", seed);
	return 0;
}

static int end(void **state)
{
	(void)state;
	print_message("# %" PRIu64 " cases\n", cases);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builtin_profiles),
		cmocka_unit_test(random_policies),
	};

	return cmocka_run_group_tests(tests, start, end);
}
