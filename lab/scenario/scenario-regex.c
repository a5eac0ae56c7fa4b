#include "lab/scenario/scenario-regex.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "lab/scenario/scenario.h"

enum { MAX_COST = 50000 };

/* How often glibc copies the operand of the repetition at *p (0: none is here); *p moves on. */
static unsigned long repetition(const char **p)
{
	unsigned long max = 2;

	if (**p == '+' || **p == '*' || **p == '?') {
		(*p)++;
		return max;
	}
	if (**p != '{')
		return 0;
	for ((*p)++; **p && **p != '}';) {
		if (isdigit((unsigned char)**p)) {
			unsigned long v = strtoul(*p, (char **)p, 10);

			max = v > max ? v : max;
		} else {
			(*p)++;
		}
	}
	if (**p)
		(*p)++;
	return max;
}

/*
 * An upper bound for the size of the compiled expression: repetitions of a single character add,
 * those of a group or of another repetition multiply everything.
 */
static unsigned long cost(const char *regex)
{
	unsigned long sum = strlen(regex) + 1, factor = 1;
	bool multiplies = true;

	for (const char *p = regex; *p;) {
		unsigned long times = repetition(&p);

		if (times && multiplies)
			factor *= times;
		sum += times;
		if (factor * sum > MAX_COST)
			return MAX_COST + 1;
		if (times) {
			multiplies = true;
			continue;
		}
		multiplies = *p == ')';
		p++;
	}
	return factor * sum;
}

int scenario_regex_check(const char *regex, struct err *err)
{
	char why[128];
	regex_t re;
	int r;

	if (!*regex)
		return err_set(err, EINVAL, "an empty regular expression");
	if (strlen(regex) > SCENARIO_MAX_REGEX)
		return err_set(err, EINVAL, "a regular expression of more than %d bytes",
			       SCENARIO_MAX_REGEX);
	if (cost(regex) > MAX_COST)
		return err_set(err, EINVAL,
			       "a regular expression with too many nested repetitions");
	r = regcomp(&re, regex, REG_EXTENDED | REG_NOSUB);
	if (r) {
		regerror(r, &re, why, sizeof(why));
		return err_set(err, EINVAL,
			       "'/%.60s/' is not a POSIX extended regular expression: %s", regex,
			       why);
	}
	regfree(&re);
	return 0;
}
