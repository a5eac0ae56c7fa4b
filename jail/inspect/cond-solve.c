#include "jail/inspect/cond-solve.h"

/* What is known about one argument: some bits, an interval, and what it is not. */
struct domain {
	uint64_t known, value; /* (x & known) == value */
	uint64_t low, high;
	uint64_t all; /* the bits that there are */
	uint64_t not [POLICY_CONDS_MAX + 1];
	size_t n_not;
	bool is_empty;
};

static void know(struct domain *d, uint64_t mask, uint64_t value)
{
	if (value & ~mask || (d->value ^ value) & d->known & mask)
		d->is_empty = true;
	d->known |= mask;
	d->value |= value;
}

/* Restrict the domain by one comparison. */
static void restrict_by(struct domain *d, enum policy_op op, uint64_t value, uint64_t mask)
{
	switch (op) {
	case POLICY_EQ:
		know(d, d->all, value);
		break;
	case POLICY_NE:
		if (d->n_not < POLICY_CONDS_MAX + 1)
			d->not [d->n_not++] = value;
		break;
	case POLICY_LT:
		if (value == 0)
			d->is_empty = true;
		else if (value - 1 < d->high)
			d->high = value - 1;
		break;
	case POLICY_LE:
		if (value < d->high)
			d->high = value;
		break;
	case POLICY_GT:
		if (value == UINT64_MAX)
			d->is_empty = true;
		else if (value + 1 > d->low)
			d->low = value + 1;
		break;
	case POLICY_GE:
		if (value > d->low)
			d->low = value;
		break;
	case POLICY_MASKED_EQ:
		know(d, mask, value);
		break;
	}
}

/* The smallest number from low on whose known bits are right; false: there is none. */
static bool next_fit(const struct domain *d, uint64_t low, uint64_t *ret)
{
	const uint64_t known = d->known | ~d->all;

	if ((low & known) == d->value) {
		*ret = low;
		return true;
	}
	/* equal to low above some bit, larger there, smallest below: the lowest such bit */
	for (unsigned int bit = 0; bit < 64; bit++) {
		const uint64_t one = UINT64_C(1) << bit, above = ~(one | (one - 1));

		if (low & one || ((low ^ d->value) & known & above) ||
		    (known & one && !(d->value & one)))
			continue;
		*ret = (low & above) | one | (d->value & (one - 1));
		return true;
	}
	return false;
}

static bool is_excluded(const struct domain *d, uint64_t x)
{
	for (size_t i = 0; i < d->n_not; i++)
		if (d->not [i] == x)
			return true;
	return false;
}

static bool domain_pick(const struct domain *d, uint64_t *ret)
{
	uint64_t x = d->low;

	if (d->is_empty)
		return false;
	while (next_fit(d, x, &x) && x <= d->high) {
		if (!is_excluded(d, x)) {
			*ret = x;
			return true;
		}
		if (x == UINT64_MAX)
			break;
		x++;
	}
	return false;
}

/*
 * The domain of an argument under the comparisons that speak of it. False: it is compared in both
 * widths.
 */
static bool domain_make(struct domain *d, const struct policy_cond *conds, size_t n, enum arch arch,
			unsigned int arg, bool *is_32bit)
{
	bool narrow = false, wide = false;

	for (size_t i = 0; i < n; i++)
		if (conds[i].arg == arg)
			*(conds[i].is_32bit ? &narrow : &wide) = true;
	*d = (struct domain){.all = narrow ? UINT32_MAX : UINT64_MAX};
	d->high = d->all;
	*is_32bit = narrow;
	if (narrow && wide)
		return false;
	for (size_t i = 0; i < n; i++)
		if (conds[i].arg == arg)
			restrict_by(d, conds[i].op, conds[i].value[arch] & d->all,
				    conds[i].mask[arch] & d->all);
	return true;
}

bool conds_can_hold(const struct policy_cond *conds, size_t n, enum arch arch, uint64_t args[6],
		    unsigned int *arg)
{
	for (unsigned int i = 0; i < 6; i++) {
		uint64_t x = 0;
		struct domain d;
		bool is_32bit;

		if (domain_make(&d, conds, n, arch, i, &is_32bit) && !domain_pick(&d, &x)) {
			if (arg)
				*arg = i;
			return false;
		}
		if (args)
			args[i] = x;
	}
	return true;
}

/* Whether the comparison can fail within the domain: solve the domain with its contrary. */
static bool can_fail(const struct domain *d, const struct policy_cond *cond, enum arch arch)
{
	static const enum policy_op contrary[] = {
		[POLICY_EQ] = POLICY_NE, [POLICY_NE] = POLICY_EQ, [POLICY_LT] = POLICY_GE,
		[POLICY_GE] = POLICY_LT, [POLICY_LE] = POLICY_GT, [POLICY_GT] = POLICY_LE,
	};
	const uint64_t value = cond->value[arch] & d->all, mask = cond->mask[arch] & d->all;
	struct domain with = *d;
	uint64_t x;

	if (cond->op != POLICY_MASKED_EQ) {
		restrict_by(&with, contrary[cond->op], value, 0);
		return domain_pick(&with, &x);
	}
	if (value & ~mask) /* never holds */
		return domain_pick(d, &x);
	/* one bit of the mask is another */
	for (unsigned int bit = 0; bit < 64; bit++) {
		const uint64_t one = UINT64_C(1) << bit;

		if (!(mask & one))
			continue;
		with = *d;
		know(&with, one, ~value & one);
		if (domain_pick(&with, &x))
			return true;
	}
	return false;
}

bool conds_imply(const struct policy_cond *a, size_t n_a, const struct policy_cond *b, size_t n_b,
		 enum arch arch)
{
	for (size_t i = 0; i < n_b; i++) {
		struct domain d;
		bool is_32bit, is_plain = domain_make(&d, a, n_a, arch, b[i].arg, &is_32bit);
		bool is_compared = d.known || d.n_not || d.low || d.high != d.all || d.is_empty;

		if (!is_plain || (is_compared && is_32bit != b[i].is_32bit))
			return false;
		if (!is_compared && b[i].is_32bit) {
			d.all = UINT32_MAX;
			d.high = d.all;
		}
		if (can_fail(&d, &b[i], arch))
			return false;
	}
	return true;
}
