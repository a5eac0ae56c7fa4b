#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "jail/inspect/flat.h"

/* xorshift64*: the same cases in every run */
static uint64_t seed = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (seed * 2685821657736338717u >> 11) % below;
}

static uint64_t draw_value(void)
{
	static const uint64_t values[] = {0,
					  1,
					  2,
					  3,
					  5,
					  7,
					  8,
					  0x5412,
					  0x7fffffff,
					  0x80000000,
					  UINT32_MAX,
					  0x100000000,
					  0x100005412,
					  0x7fffffffffffffff,
					  UINT64_MAX - 1,
					  UINT64_MAX};

	return draw(8) ? values[draw(array_len(values))] : draw(UINT64_MAX);
}

static void draw_rule(struct policy *policy)
{
	struct policy_rule *rule = policy_add_rule(policy);
	const size_t n = draw(4);

	rule->call = syscall_find("socket");
	rule->action.kind = POLICY_ALLOW + draw(POLICY_KILL - POLICY_ALLOW + 1);
	rule->action.error = rule->action.kind == POLICY_ERRNO ? 1 + draw(2) : 0;
	for (size_t i = 0; i < n; i++) {
		struct policy_cond *cond = policy_add_cond(rule);
		uint64_t value = draw_value(), mask = draw_value();

		cond->arg = draw(3);
		cond->op = draw(POLICY_MASKED_EQ + 1);
		cond->is_32bit = draw(2);
		for (int a = 0; a < ARCH_COUNT; a++) {
			cond->value[a] = value;
			cond->mask[a] = mask;
			if (cond->op == POLICY_MASKED_EQ && draw(8))
				cond->value[a] &= mask;
		}
	}
}

/* The cases that hold for some arguments all have the action of the decision, and there are some.
 */
static void compare(const struct filter_model *model, const struct flat *flat, int nr,
		    const uint64_t args[6])
{
	enum arch arch = model->target.arch;
	struct decision want = filter_decide(model, filter_audit_arch(arch), nr, args);
	size_t holding = 0;

	for (size_t i = 0; i < flat->n; i++) {
		const struct flat_case *c = &flat->cases[i];
		size_t k = 0;

		while (k < c->n_conds && filter_cond_holds(&c->conds[k], arch, args))
			k++;
		if (k < c->n_conds)
			continue;
		holding++;
		assert_int_equal(c->action.kind, want.action.kind);
		assert_int_equal(c->action.error, want.action.error);
	}
	assert_int_not_equal(holding, 0);
}

static void agrees_with_the_model(void **state)
{
	size_t compared = 0, too_many = 0;

	(void)state;
	for (int round = 0; round < 1500; round++) {
		struct filter_target target = {.arch = draw(ARCH_COUNT)};
		auto_cleanup(policy) policy = {.name = xstrdup("p"), .fallback = {POLICY_ERRNO, 1}};
		auto_cleanup(filter_model) model = {0};
		auto_cleanup(flat) flat = {0};
		struct err err = {0};
		int nr = syscall_find("socket")->nr[target.arch], r;

		for (size_t i = 1 + draw(4); i; i--)
			draw_rule(&policy);
		assert_int_equal(filter_model_make(&policy, &target, &model, &err), 0);
		r = flat_call(&model, nr, &flat);
		if (r < 0) {
			assert_int_equal(r, -E2BIG);
			too_many++;
			continue;
		}
		for (size_t i = 0; i < flat.n; i++)
			for (size_t k = 0; k < flat.cases[i].n_conds; k++)
				assert_false(flat.cases[i].conds[k].is_32bit);
		for (int i = 0; i < 40; i++, compared++) {
			uint64_t args[6] = {draw_value(), draw_value(), draw_value()};

			args[draw(3)] += draw(3) - 1;
			compare(&model, &flat, nr, args);
		}
	}
	assert_true(compared > 40000);
	assert_true(too_many < 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_model)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
