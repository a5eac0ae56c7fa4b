#include "lab/crash/crash-line.h"

#include <string.h>

#include "jail/base/str.h"
#include "vm/kmsg-text.h"

/* isdigit() without a locale, for any byte */
static inline bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "[    1.234567] " or "[    1.234567]" at p; returns its end, NULL when there is none. */
static const char *stamp(const char *p, const char *end, struct crash_line *line)
{
	const char *q = p + 1, *from;
	int fraction = 0;

	while (q < end && *q == ' ' && q - p <= 5)
		q++;
	for (from = q; q < end && digit(*q) && q - p < 16; q++)
		;
	if (q == from || q >= end || *q != '.')
		return NULL;
	for (q++; q < end && digit(*q) && fraction < 7; q++)
		fraction++;
	/* printk's have six; in the middle of a line next_prefix() insists on it */
	if (!fraction || fraction > 6 || q >= end || *q != ']')
		return NULL;
	line->stamp = from;
	line->stamp_len = q - from;
	return q + 1 < end && q[1] == ' ' ? q + 2 : q + 1;
}

/* "T123" or "C0" at p, len bytes */
static bool take_context(const char *p, size_t len, struct crash_line *line)
{
	if (len < 2 || len >= CRASH_CONTEXT_MAX || (*p != 'T' && *p != 'C'))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!digit(p[i]))
			return false;
	memcpy(line->context, p, len);
	line->context[len] = '\0';
	return true;
}

/* "[    T1] " at p: its end, or p */
static const char *caller(const char *p, const char *end, struct crash_line *line)
{
	const char *q = p + 1, *close;

	if (p >= end || *p != '[')
		return p;
	while (q < end && *q == ' ' && q - p < 16)
		q++;
	close = memchr(q, ']', (size_t)(end - q) < 16 ? (size_t)(end - q) : 16);
	if (!close || !take_context(q, close - q, line))
		return p;
	return close + 1 < end && close[1] == ' ' ? close + 2 : close + 1;
}

/* "6,339,5140900,-,caller=T1;": a raw record of /dev/kmsg; its end, or p */
static const char *record(const char *p, const char *end, struct crash_line *line)
{
	unsigned int priority = 0, commas = 0;
	const char *q = p, *from = NULL;

	for (; q < end && q - p < 64 && (digit(*q) || *q == ','); q++) {
		if (*q != ',') {
			priority = commas ? priority : (priority * 10 + (*q - '0')) & 0xffff;
			continue;
		}
		if (++commas == 2)
			from = q + 1;
		if (commas == 3)
			break;
	}
	if (commas != 3 || q == from)
		return p;
	line->stamp = from;
	line->stamp_len = q - from;
	for (from = q; q < end && q - from < 64 && *q != ';'; q++)
		if (end - q > 8 && memcmp(q, "caller=", 7) == 0) {
			const char *who = q + 7;

			while (who < end && (*who == 'T' || *who == 'C' || digit(*who)))
				who++;
			take_context(q + 7, who - q - 7, line);
		}
	if (q >= end || *q != ';') {
		line->stamp = NULL;
		line->context[0] = '\0';
		return p;
	}
	line->kernel = true;
	line->user = priority >> 3;
	return q + 1;
}

/* What terminals obey and consoles are sent at a reset: "\033[2J", NULs, '\r'. */
static const char *skip_controls(const char *p, const char *end)
{
	while (p < end && (unsigned char)*p < ' ') {
		const char *q = p + 1;

		if (*p == '\t')
			break;
		if (*p == '\033' && q < end && (*q == '[' || *q == 'c')) {
			for (q++; q < end && q[-1] != 'c' && (digit(*q) || strchr(";=?[", *q)) &&
				  *q && q - p < 16;
			     q++)
				;
			q += q < end && *p && q[-1] != 'c';
		}
		p = q;
	}
	return p;
}

static const char *skip_prefix(const char *p, const char *end, struct crash_line *line)
{
	const char *q;

	if (p + 2 < end && *p == '<' && digit(p[1]) && p[2] == '>')
		p += 3;
	if (p >= end)
		return p;
	if (digit(*p))
		return record(p, end, line);
	if (*p != '[')
		return p;
	q = stamp(p, end, line);
	q = caller(q ? q : p, end, line);
	line->kernel = q != p;
	if (line->kernel && (size_t)(end - q) >= sizeof(KMSG_TEXT_USER) - 1 &&
	    memcmp(q, KMSG_TEXT_USER, sizeof(KMSG_TEXT_USER) - 1) == 0) {
		line->user = true;
		q += sizeof(KMSG_TEXT_USER) - 1;
	}
	return q;
}

/* Where, from p on, another line's prefix begins; end when nowhere. */
static const char *next_prefix(const char *p, const char *end)
{
	struct crash_line other = {0};

	while ((p = memchr(p, '[', end - p))) {
		if (end - p > 14 && (p[1] == ' ' || digit(p[1])) && stamp(p, end, &other) &&
		    other.stamp_len > 7 && other.stamp[other.stamp_len - 7] == '.')
			return p;
		p++;
	}
	return end;
}

bool crash_line_next(const char *data, size_t len, size_t *at, struct crash_line *ret)
{
	const char *line = data + *at, *end, *cut;

	if (*at >= len)
		return false;
	len = len - *at < CRASH_LINE_LOOK ? len : *at + CRASH_LINE_LOOK;
	end = memchr(line, '\n', len - *at);
	*at = end ? (size_t)(end - data) + 1 : len;
	if (!end)
		end = data + len;
	ret->start = line - data;
	ret->stamp = NULL;
	ret->stamp_len = 0;
	ret->context[0] = '\0';
	ret->kernel = ret->user = false;
	if (line < end && (unsigned char)*line < ' ')
		line = skip_controls(line, end);
	ret->text = skip_prefix(line, end, ret);
	cut = next_prefix(ret->text, end);
	if (cut != end) {
		end = cut;
		*at = cut - data;
	}
	while (end > ret->text && (end[-1] == '\r' || end[-1] == ' '))
		end--;
	ret->len = end - ret->text;
	return true;
}

void crash_line_copy(const struct crash_line *line, char ret[CRASH_LINE_MAX])
{
	size_t n = line->len < CRASH_LINE_MAX ? line->len : CRASH_LINE_MAX - 1;

	memcpy(ret, line->text, n);
	ret[n] = '\0';
	for (char *nul; (nul = memchr(ret, '\0', n));)
		*nul = '?';
}
