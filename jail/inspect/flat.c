#include "jail/inspect/flat.h"

#include <errno.h>
#include <string.h>

#include "jail/inspect/cond-solve.h"

/* (argument & mask) == value */
struct cube {
	uint64_t mask, value;
};

struct cubes {
	struct cube *items;
	size_t n, cap;
};

static void cubes_deinit(struct cubes *cubes)
{
	free(cubes->items);
}
DEFINE_CLEANUP(cubes, cubes_deinit)

/* Comparisons that must all hold: any number for one argument. */
struct product {
	struct policy_cond *conds;
	size_t n;
};

struct sum {
	struct product *items;
	size_t n, cap;
};

static void sum_deinit(struct sum *sum)
{
	for (size_t i = 0; i < sum->n; i++)
		free(sum->items[i].conds);
	free(sum->items);
	*sum = (struct sum){0};
}
DEFINE_CLEANUP(sum, sum_deinit)

void flat_deinit(struct flat *flat)
{
	free(flat->cases);
	*flat = (struct flat){0};
}

/* Room for one more of an array that doubles; -E2BIG at the limit. */
static int grow(void **items, size_t n, size_t *cap, size_t size)
{
	if (n == FLAT_CASES_MAX)
		return -E2BIG;
	if (n == *cap) {
		*cap = *cap ? 2 * *cap : 16;
		*items = xreallocarray(*items, *cap, size);
	}
	return 0;
}

/* --- each rule less what is before it --------------------------------------------------------- */

/* Add from's comparisons and n more, when they can all hold; those that follow are left out. */
static int sum_add(struct sum *sum, const struct product *from, const struct policy_cond *more,
		   size_t n, enum arch arch)
{
	struct product new = {xcalloc(from->n + n + 1, sizeof(*new.conds)), from->n};

	for (size_t i = 0; i < from->n; i++)
		new.conds[i] = from->conds[i];
	for (size_t i = 0; i < n; i++)
		if (!conds_imply(new.conds, new.n, &more[i], 1, arch))
			new.conds[new.n++] = more[i];
	if (!conds_can_hold(new.conds, new.n, arch, NULL, NULL)) {
		free(new.conds);
		return 0;
	}
	if (grow((void **)&sum->items, sum->n, &sum->cap, sizeof(*sum->items)) < 0) {
		free(new.conds);
		return -E2BIG;
	}
	sum->items[sum->n++] = new;
	return 0;
}

/*
 * Add from where the last of n comparisons fails and those before it hold, so that parts never
 * overlap: their number would double with each rule. A mask fails at one bit, and those above hold.
 */
static int add_contrary(struct sum *sum, const struct product *from,
			const struct policy_cond *conds, size_t n, enum arch arch)
{
	static const enum policy_op contrary[] = {
		[POLICY_EQ] = POLICY_NE, [POLICY_NE] = POLICY_EQ, [POLICY_LT] = POLICY_GE,
		[POLICY_GE] = POLICY_LT, [POLICY_LE] = POLICY_GT, [POLICY_GT] = POLICY_LE,
	};
	auto_free struct policy_cond *parts = xcalloc(n, sizeof(*parts));
	struct policy_cond *last = &parts[n - 1];
	uint64_t all, mask, value;
	int r = 0;

	memcpy(parts, conds, n * sizeof(*parts));
	all = last->is_32bit ? UINT32_MAX : UINT64_MAX;
	mask = last->mask[arch] & all;
	value = last->value[arch] & all;
	if (last->op != POLICY_MASKED_EQ) {
		last->op = contrary[last->op];
		return sum_add(sum, from, parts, n, arch);
	}
	if (value & ~mask) /* never holds */
		return sum_add(sum, from, parts, n - 1, arch);
	for (unsigned int bit = 0; bit < 64 && r == 0; bit++) {
		const uint64_t one = UINT64_C(1) << bit;

		if (!(mask & one))
			continue;
		last->mask[arch] = mask & ~(one - 1);
		last->value[arch] = (value ^ one) & last->mask[arch];
		r = sum_add(sum, from, parts, n, arch);
	}
	return r;
}

static bool can_meet(const struct product *p, const struct filter_rule *rule, enum arch arch)
{
	auto_free struct policy_cond *both = xcalloc(p->n + rule->n_conds + 1, sizeof(*both));

	for (size_t i = 0; i < p->n; i++)
		both[i] = p->conds[i];
	for (size_t i = 0; i < rule->n_conds; i++)
		both[p->n + i] = rule->conds[i];
	return conds_can_hold(both, p->n + rule->n_conds, arch, NULL, NULL);
}

/* Take from sum what rule matches. */
static int subtract(struct sum *sum, const struct filter_rule *rule, enum arch arch)
{
	auto_cleanup(sum) rest = {0};
	int r = 0;

	for (size_t i = 0; i < sum->n && r == 0; i++) {
		const struct product *p = &sum->items[i];

		if (!can_meet(p, rule, arch)) {
			r = sum_add(&rest, p, NULL, 0, arch);
			continue;
		}
		for (size_t k = 0; k < rule->n_conds && r == 0; k++)
			r = add_contrary(&rest, p, rule->conds, k + 1, arch);
	}
	sum_deinit(sum);
	*sum = rest;
	rest = (struct sum){0};
	return r;
}

/* --- one comparison for each argument --------------------------------------------------------- */

static int cubes_add(struct cubes *cubes, uint64_t mask, uint64_t value)
{
	if (value & ~mask)
		return 0;
	if (grow((void **)&cubes->items, cubes->n, &cubes->cap, sizeof(*cubes->items)) < 0)
		return -E2BIG;
	cubes->items[cubes->n++] = (struct cube){mask, value};
	return 0;
}

/*
 * What a comparison holds for, as masks that exclude each other. Numbers that are not, are below or
 * above a value agree with it above some bit and differ there.
 */
static int cubes_of(const struct policy_cond *cond, enum arch arch, struct cubes *ret)
{
	const uint64_t all = cond->is_32bit ? UINT32_MAX : UINT64_MAX;
	const uint64_t value = cond->value[arch] & all;
	const enum policy_op op = cond->op;
	int r = 0;

	if (op == POLICY_MASKED_EQ)
		return cubes_add(ret, cond->mask[arch] & all, value);
	if (op == POLICY_EQ || op == POLICY_LE || op == POLICY_GE)
		r = cubes_add(ret, all, value);
	if (op == POLICY_EQ)
		return r;
	for (unsigned int bit = 0; bit < 64 && r == 0 && all >> bit & 1; bit++) {
		const uint64_t one = UINT64_C(1) << bit, mask = all & ~(one - 1);
		const bool below = value & one; /* what differs here is smaller */

		if (op == POLICY_NE || below == (op == POLICY_LT || op == POLICY_LE))
			r = cubes_add(ret, mask, (value ^ one) & mask);
	}
	return r;
}

static int cubes_meet(const struct cubes *a, const struct cubes *b, struct cubes *ret)
{
	int r = 0;

	for (size_t i = 0; i < a->n && r == 0; i++)
		for (size_t k = 0; k < b->n && r == 0; k++)
			if (!((a->items[i].value ^ b->items[k].value) & a->items[i].mask &
			      b->items[k].mask))
				r = cubes_add(ret, a->items[i].mask | b->items[k].mask,
					      a->items[i].value | b->items[k].value);
	return r;
}

/* The comparisons of one argument of a product as alternatives; the first is n 0 when none. */
static int lower_arg(const struct product *p, unsigned int arg, enum arch arch, struct cubes *cubes,
		     const struct policy_cond **single)
{
	size_t n = 0;
	int r;

	for (size_t i = 0; i < p->n; i++) {
		auto_cleanup(cubes) own = {0}, met = {0};

		if (p->conds[i].arg != arg)
			continue;
		*single = &p->conds[i];
		r = cubes_of(&p->conds[i], arch, n++ ? &own : cubes);
		if (r == 0 && n > 1) {
			r = cubes_meet(cubes, &own, &met);
			cubes_deinit(cubes);
			*cubes = met;
			met = (struct cubes){0};
		}
		if (r < 0)
			return r;
	}
	if (n != 1 || (*single)->is_32bit || (*single)->op == POLICY_MASKED_EQ)
		*single = NULL;
	return n > 0;
}

static struct policy_cond make_cond(unsigned int arg, const struct cube *cube)
{
	struct policy_cond cond = {.arg = arg, .op = ~cube->mask ? POLICY_MASKED_EQ : POLICY_EQ};

	for (int a = 0; a < ARCH_COUNT; a++) {
		cond.value[a] = cube->value;
		cond.mask[a] = ~cube->mask ? cube->mask : 0;
	}
	return cond;
}

/* Copy a comparison as it is on one architecture. */
static struct policy_cond fix_cond(const struct policy_cond *from, enum arch arch)
{
	struct policy_cond cond = {.arg = from->arg, .op = from->op};

	for (int a = 0; a < ARCH_COUNT; a++)
		cond.value[a] = from->value[arch];
	return cond;
}

static int add_case(struct flat *flat, const struct flat_case *from, const struct policy_cond *cond)
{
	if (grow((void **)&flat->cases, flat->n, &flat->cap, sizeof(*flat->cases)) < 0)
		return -E2BIG;
	flat->cases[flat->n] = *from;
	if (cond)
		flat->cases[flat->n].conds[flat->cases[flat->n].n_conds++] = *cond;
	flat->n++;
	return 0;
}

static int lower_product(const struct product *p, struct policy_action action, enum arch arch,
			 struct flat *ret)
{
	auto_cleanup(flat) done = {0};
	int r = add_case(&done, &(struct flat_case){.action = action}, NULL);

	for (unsigned int arg = 0; arg < 6 && r >= 0; arg++) {
		const struct policy_cond *single = NULL;
		auto_cleanup(cubes) cubes = {0};
		auto_cleanup(flat) next = {0};

		r = lower_arg(p, arg, arch, &cubes, &single);
		if (r <= 0)
			continue;
		r = 0;
		for (size_t i = 0; i < done.n && r == 0; i++) {
			struct policy_cond cond;

			if (single) {
				cond = fix_cond(single, arch);
				r = add_case(&next, &done.cases[i], &cond);
			}
			for (size_t k = 0; !single && k < cubes.n && r == 0; k++) {
				cond = make_cond(arg, &cubes.items[k]);
				r = add_case(&next, &done.cases[i],
					     cubes.items[k].mask ? &cond : NULL);
			}
		}
		flat_deinit(&done);
		done = next;
		next = (struct flat){0};
	}
	for (size_t i = 0; i < done.n && r >= 0; i++)
		r = add_case(ret, &done.cases[i], NULL);
	return r < 0 ? r : 0;
}

/* Whether a rule right behind does the same for more. */
static bool is_covered(const struct filter_call *call, size_t i, enum arch arch)
{
	const struct filter_rule *rule = &call->rules[i];

	for (size_t k = i + 1;
	     k < call->n && policy_action_equal(&call->rules[k].action, &rule->action); k++)
		if (conds_imply(rule->conds, rule->n_conds, call->rules[k].conds,
				call->rules[k].n_conds, arch))
			return true;
	return false;
}

int flat_call(const struct filter_model *model, int nr, struct flat *ret)
{
	const struct filter_call *call = &model->calls[nr];
	const struct filter_rule otherwise = {.action = call->is_unknown ? model->unknown
									 : model->fallback};
	const enum arch arch = model->target.arch;
	auto_cleanup(flat) flat = {0};
	int r = 0;

	for (size_t i = 0; i <= call->n && r == 0; i++) {
		const struct filter_rule *rule = i < call->n ? &call->rules[i] : &otherwise;
		const struct product whole = {(struct policy_cond *)rule->conds, rule->n_conds};
		auto_cleanup(sum) sum = {0};

		if (i && !call->rules[i - 1].n_conds)
			break; /* nothing is left */
		if (i < call->n && is_covered(call, i, arch))
			continue;
		r = sum_add(&sum, &whole, NULL, 0, arch);
		for (size_t k = 0; k < i && r == 0; k++)
			if (!policy_action_equal(&call->rules[k].action, &rule->action))
				r = subtract(&sum, &call->rules[k], arch);
		for (size_t k = 0; k < sum.n && r == 0; k++)
			r = lower_product(&sum.items[k], rule->action, arch, &flat);
	}
	if (r < 0)
		return r;
	*ret = flat;
	flat = (struct flat){0};
	return 0;
}
