#include "lab/crash/crash-title.h"

#include <string.h>

#include "jail/base/str.h"

enum { TITLE_MAX = 160, LINE_SHOWN = 300, WORD_MAX = 64 };

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool hex(char c)
{
	return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool word(char c)
{
	return hex(c) || c == '_' || (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z');
}

/*
 * How many bytes of what differs from one time to the next are at p, n bytes before the end; *name
 * is what stands for them. 0: none.
 */
static size_t variable(const char *p, size_t n, const char **name)
{
	size_t hexes = 0, digits = 0, dots = 0, i;
	bool prefixed = n > 2 && p[0] == '0' && p[1] == 'x';
	const char *q = prefixed ? p + 2 : p;

	n -= q - p;
	while (hexes < n && hex(q[hexes]))
		hexes++;
	while (digits < hexes && digit(q[digits]))
		digits++;
	if (prefixed) {
		*name = hexes > 3 ? "ADDR" : "NUM";
		return hexes ? hexes + 2 : 0;
	}
	for (i = digits; digits && i < n && (digit(q[i]) || q[i] == '.'); i++)
		dots += q[i] == '.' && i + 1 < n && digit(q[i + 1]);
	if (dots == 3 && (i == n || !word(q[i]))) {
		*name = "IP";
		return q[i - 1] == '.' ? i - 1 : i;
	}
	if (hexes < n && word(q[hexes]))
		return 0;
	*name = hexes >= 8 ? "ADDR" : "NUM";
	return hexes >= 8 || (digits && digits == hexes) ? hexes : 0;
}

/* The text without addresses and numbers. */
static void add_normalised(struct buf *out, const char *p, size_t n)
{
	char last = ' ';

	while (n) {
		const char *name = NULL;
		size_t skip = word(last) ? 0 : variable(p, n, &name);

		if (skip)
			buf_adds(out, name);
		else
			buf_add(out, p, skip = 1);
		last = p[skip - 1];
		p += skip;
		n -= skip;
	}
}

/* The text up to the first thing that differs from one time to the next. */
static void add_cut(struct buf *out, const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && !strchr(":,!;@[/", text[n]) &&
	       !(digit(text[n]) && (!n || text[n - 1] == ' ' || text[n - 1] == '#')) &&
	       !(len - n > 4 && memcmp(text + n, " at ", 4) == 0))
		n++;
	while (n && strchr(" #]-", text[n - 1]))
		n--;
	buf_add(out, text, n);
}

/* A template: %1 to %4 the stars, %~1 one of them cut, %=1 by its commonest name, %a, %f. */
static void expand(struct buf *out, const char *template, const struct crash_report *r)
{
	for (const char *p = template; *p; p++) {
		char how = 0;

		/* what follows the last word is the function; without one it goes */
		if (!*r->guilty && (str_eq(p, " in %f") || str_eq(p, ":%f")))
			return;
		if (*p != '%') {
			buf_add(out, p, 1);
			continue;
		}
		p++;
		if (*p == '~' || *p == '=')
			how = *p++;
		if (*p == 'f') {
			buf_adds(out, r->guilty);
		} else if (*p == 'a') {
			buf_addf(out, "%s%s", *r->access ? " " : "", r->access);
		} else {
			const struct crash_span *s = &r->star[*p - '1'];
			char text[WORD_MAX];

			if (how == '~') {
				add_cut(out, s->p, s->len);
			} else if (how == '=' && s->len < sizeof(text)) {
				memcpy(text, s->p, s->len);
				text[s->len] = '\0';
				buf_adds(out, crash_name_same(text));
			} else {
				add_normalised(out, s->p, s->len);
			}
		}
	}
}

static char *printable(const char *template, const struct crash_report *r)
{
	auto_cleanup(buf) text = {0}, out = {0};

	expand(&text, template, r);
	while (text.len && strchr(" :", text.data[text.len - 1]))
		text.data[--text.len] = '\0';
	str_printable(&out, text.data, text.len, TITLE_MAX, false);
	return out.data ? take_ptr(out.data) : xstrdup("");
}

/* Lower case, and everything between letters and digits is one '-'. */
static void add_slug(struct buf *out, const char *text)
{
	bool gap = false;

	for (const char *p = text; *p; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p;

		if (!digit(c) && !(c >= 'a' && c <= 'z')) {
			gap = true;
			continue;
		}
		if (gap && out->len && out->data[out->len - 1] != ':')
			buf_adds(out, "-");
		gap = false;
		buf_add(out, &c, 1);
	}
}

/* "null-deref:demo_write"; of what has no place in its title "panic:sysrq-triggered-crash" */
static char *make_signature(const struct crash_report *r)
{
	auto_free char *class = printable(r->header->class, r);
	const char *same = crash_name_same(class);
	auto_cleanup(buf) out = {0};

	add_slug(&out, same);
	if (strstr(r->header->title, "%f")) {
		buf_addf(&out, ":%s", *r->guilty ? r->guilty : "unknown");
	} else if (strchr(r->header->title, '%')) {
		auto_free char *title = printable(r->header->title, r);
		const char *colon = strstr(title, ": ");

		buf_adds(&out, ":");
		add_slug(&out, colon ? colon + 2 : title);
	}
	return take_ptr(out.data);
}

void crash_title_make(const struct crash_report *r, struct crash *ret)
{
	auto_free char *class = printable(r->header->class, r);
	const char *same = crash_name_same(class), *other;
	auto_cleanup(buf) first = {0};

	ret->title = printable(r->header->title, r);
	ret->type = xstrdup(r->header->type);
	ret->signature = make_signature(r);
	ret->guilty = *r->guilty ? xstrdup(r->guilty) : NULL;
	str_printable(&first, r->first_line, strlen(r->first_line), LINE_SHOWN, false);
	ret->first_line = first.data ? take_ptr(first.data) : xstrdup("");
	for (size_t i = 0; *r->guilty && (other = crash_name_other(same, i)); i++) {
		auto_free char *title = printable(other, r);

		if (!str_eq(title, ret->title))
			strv_add(&ret->alternatives, title);
	}
}
