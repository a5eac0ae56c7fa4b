#include "jail/base/kver.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/str.h"

/* Returns the count of numbers read at *p (1..3), 0 when there is none. */
static int parse_parts(const char **p, struct kver *ret)
{
	struct kver v = {{0}};
	int n = 0;

	while (n < 3 && isdigit((unsigned char)**p)) {
		char *end;
		unsigned long part = strtoul(*p, &end, 10);

		if (part > 65535)
			return 0;
		v.part[n++] = part;
		*p = end;
		if (**p != '.' || !isdigit((unsigned char)(*p)[1]))
			break;
		(*p)++;
	}
	if (n)
		*ret = v;
	return n;
}

int kver_parse(const char *text, struct kver *ret, struct err *err)
{
	const char *p = text;

	if (parse_parts(&p, ret) == 0)
		return err_set(err, EINVAL, "'%.40s' is not a kernel version (like 6.1 or 6.1.176)",
			       text);
	return 0;
}

int kver_range_parse(const char *text, struct kver_range *ret, struct err *err)
{
	static const struct {
		const char *text;
		int op;
	} ops[] = {{"<=", KVER_LE}, {">=", KVER_GE}, {"==", KVER_EQ}, {"!=", KVER_NE},
		   {"<", KVER_LT},  {">", KVER_GT},  {"=", KVER_EQ}};
	struct kver_range range = {0};
	const char *p = text;

	for (;;) {
		struct kver_cmp *cmp = &range.cmp[range.n];
		size_t i;

		while (isspace((unsigned char)*p) || *p == ',')
			p++;
		if (!*p)
			break;
		if (range.n == KVER_RANGE_MAX)
			return err_set(err, EINVAL, "more than %d comparisons in '%.40s'",
				       KVER_RANGE_MAX, text);
		for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
			if (strncmp(p, ops[i].text, strlen(ops[i].text)) == 0)
				break;
		if (i == sizeof(ops) / sizeof(ops[0]))
			goto bad;
		cmp->op = ops[i].op;
		p += strlen(ops[i].text);
		while (*p == ' ')
			p++;
		cmp->parts = parse_parts(&p, &cmp->than);
		if (!cmp->parts || (*p && !isspace((unsigned char)*p) && *p != ','))
			goto bad;
		range.n++;
	}
	if (!range.n)
		goto bad;
	*ret = range;
	return 0;
bad:
	return err_set(
		err, EINVAL,
		"'%.40s' is not a range of kernel versions (like \">=5.11\" or \">=5.10 <6.1\")",
		text);
}

static int compare_parts(const struct kver *a, const struct kver *b, int parts)
{
	for (int i = 0; i < parts; i++)
		if (a->part[i] != b->part[i])
			return a->part[i] < b->part[i] ? -1 : 1;
	return 0;
}

int kver_compare(const struct kver *a, const struct kver *b)
{
	return compare_parts(a, b, 3);
}

void kver_range_print(struct buf *out, const struct kver_range *range)
{
	static const char *const ops[] = {[KVER_LT] = "<",  [KVER_LE] = "<=", [KVER_EQ] = "==",
					  [KVER_NE] = "!=", [KVER_GE] = ">=", [KVER_GT] = ">"};

	for (size_t i = 0; i < range->n; i++) {
		const struct kver_cmp *cmp = &range->cmp[i];

		buf_addf(out, "%s%s%u", i ? " " : "", ops[cmp->op], cmp->than.part[0]);
		for (int k = 1; k < cmp->parts; k++)
			buf_addf(out, ".%u", cmp->than.part[k]);
	}
}

bool kver_in_range(const struct kver *v, const struct kver_range *range)
{
	for (size_t i = 0; i < range->n; i++) {
		const struct kver_cmp *cmp = &range->cmp[i];
		int c = compare_parts(v, &cmp->than, cmp->parts);
		bool holds = (cmp->op == KVER_LT && c < 0) || (cmp->op == KVER_LE && c <= 0) ||
			     (cmp->op == KVER_EQ && c == 0) || (cmp->op == KVER_NE && c != 0) ||
			     (cmp->op == KVER_GE && c >= 0) || (cmp->op == KVER_GT && c > 0);

		if (!holds)
			return false;
	}
	return true;
}
