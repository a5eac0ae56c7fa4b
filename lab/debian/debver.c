#include "lab/debian/debver.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* '~' before the end of the part, the end before letters, letters before everything else. */
static int rank(const char *s, const char *end)
{
	unsigned char c;

	if (s == end || is_digit(*s))
		return 0;
	c = (unsigned char)*s;
	if (c == '~')
		return -1;
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return c;
	return c + 256;
}

static int compare_part(const char *a, const char *a_end, const char *b, const char *b_end)
{
	while (a < a_end || b < b_end) {
		const char *an, *bn;

		while ((a < a_end && !is_digit(*a)) || (b < b_end && !is_digit(*b))) {
			int ra = rank(a, a_end), rb = rank(b, b_end);

			if (ra != rb)
				return ra - rb;
			if (a < a_end)
				a++;
			if (b < b_end)
				b++;
		}
		while (a < a_end && *a == '0')
			a++;
		while (b < b_end && *b == '0')
			b++;
		for (an = a; an < a_end && is_digit(*an);)
			an++;
		for (bn = b; bn < b_end && is_digit(*bn);)
			bn++;
		if (an - a != bn - b)
			return an - a < bn - b ? -1 : 1;
		for (; a < an; a++, b++)
			if (*a != *b)
				return *a - *b;
	}
	return 0;
}

static const char *skip_epoch(const char *v, unsigned long *epoch)
{
	const char *colon = strchr(v, ':');

	*epoch = 0;
	if (!colon)
		return v;
	*epoch = strtoul(v, NULL, 10);
	return colon + 1;
}

int debver_compare(const char *a, const char *b)
{
	unsigned long ea, eb;
	const char *ra, *rb, *a_end, *b_end;
	int r;

	a = skip_epoch(a, &ea);
	b = skip_epoch(b, &eb);
	if (ea != eb)
		return ea < eb ? -1 : 1;
	a_end = a + strlen(a);
	b_end = b + strlen(b);
	ra = strrchr(a, '-');
	rb = strrchr(b, '-');
	r = compare_part(a, ra ? ra : a_end, b, rb ? rb : b_end);
	if (r)
		return r;
	return compare_part(ra ? ra + 1 : a_end, a_end, rb ? rb + 1 : b_end, b_end);
}
