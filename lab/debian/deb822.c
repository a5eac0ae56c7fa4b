#include "lab/debian/deb822.h"

#include <string.h>
#include <strings.h>

static bool is_blank_line(const char *s, const char *end)
{
	for (; s < end && *s != '\n'; s++)
		if (*s != ' ' && *s != '\t' && *s != '\r')
			return false;
	return true;
}

/* The length of the stanza at data up to the blank line or the end; 0: not complete. */
static size_t stanza_length(const char *data, size_t len, bool last)
{
	const char *end = data + len, *line = data;

	while (line < end) {
		const char *newline = memchr(line, '\n', end - line);

		if (!newline)
			return last ? len : 0;
		if (is_blank_line(line, newline))
			return line - data;
		line = newline + 1;
	}
	return last ? len : 0;
}

static int split_fields(struct deb822 *d, struct err *err)
{
	char *line = d->text.data, *end = line + d->text.len;

	while (line < end) {
		char *newline = memchr(line, '\n', end - line), *colon, *value;

		if (!newline)
			newline = end;
		if (*line == ' ' || *line == '\t')
			return err_set(err, EBADMSG, "a continuation line without a field");
		colon = memchr(line, ':', newline - line);
		if (!colon || colon == line)
			return err_set(err, EBADMSG, "a line that is not 'Field: value'");
		while (newline < end && (newline[1] == ' ' || newline[1] == '\t')) {
			newline = memchr(newline + 1, '\n', end - newline - 1);
			if (!newline)
				newline = end;
		}
		if (d->n == DEB822_MAX_FIELDS)
			return err_set(err, E2BIG, "more than %d fields", DEB822_MAX_FIELDS);
		*colon = '\0';
		*newline = '\0';
		for (value = colon + 1; *value == ' ' || *value == '\t';)
			value++;
		d->fields[d->n++] = (struct deb822_field){line, value};
		line = newline + 1;
	}
	return 0;
}

ssize_t deb822_next(const char *data, size_t len, bool last, struct deb822 *ret, struct err *err)
{
	size_t skip = 0, n;
	int r;

	ret->n = 0;
	buf_reset(&ret->text);
	if (!len)
		return 0;
	for (const char *line;
	     (line = memchr(data + skip, '\n', len - skip)) && is_blank_line(data + skip, line);)
		skip = line + 1 - data;
	n = stanza_length(data + skip, len - skip, last);
	if (n > DEB822_MAX_STANZA || (!n && len - skip > DEB822_MAX_STANZA))
		return err_set(err, E2BIG, "a stanza of more than %d MiB", DEB822_MAX_STANZA >> 20);
	if (!n)
		return skip;
	if (memchr(data + skip, '\0', n))
		return err_set(err, EBADMSG, "a NUL byte");
	buf_add(&ret->text, data + skip, n);
	r = split_fields(ret, err);
	return r < 0 ? r : (ssize_t)(skip + n);
}

const char *deb822_get(const struct deb822 *d, const char *field)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcasecmp(d->fields[i].name, field) == 0)
			return d->fields[i].value;
	return NULL;
}

void deb822_deinit(struct deb822 *d)
{
	buf_deinit(&d->text);
	d->n = 0;
}

int deb822_checksum(const char *value, const char *name, char hex[65], uint64_t *size)
{
	auto_cleanup(strv) lines = {0};

	strv_split(&lines, value, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		auto_cleanup(strv) words = {0};

		strv_split(&words, lines.items[i], ' ');
		if (words.n != 3 || !str_eq(words.items[2], name) || strlen(words.items[0]) != 64)
			continue;
		if (str_to_u64(words.items[1], 0, INT64_MAX, size) < 0)
			continue;
		memcpy(hex, words.items[0], 65);
		return 0;
	}
	return -ENOENT;
}

void deb822_depends(const char *value, struct strv *ret)
{
	auto_cleanup(strv) groups = {0};

	strv_split(&groups, value, ',');
	for (size_t i = 0; i < groups.n; i++) {
		auto_cleanup(strv) names = {0};
		auto_cleanup(buf) joined = {0};

		strv_split(&names, groups.items[i], '|');
		for (size_t k = 0; k < names.n; k++) {
			names.items[k][strcspn(names.items[k], " \t\n:([<")] = '\0';
			buf_addf(&joined, "%s%s", k ? "|" : "", names.items[k]);
		}
		if (joined.len)
			strv_add(ret, joined.data);
	}
}
