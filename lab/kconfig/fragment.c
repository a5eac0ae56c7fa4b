#include "lab/kconfig/fragment.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { NAME_MAX_LEN = 120, VALUE_MAX_LEN = 1000, REASON_MAX_LEN = 1000 };

void fragment_deinit(struct fragment *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->items[i].name);
		free(f->items[i].value);
		free(f->items[i].reason);
	}
	free(f->items);
	free(f->name);
	free(f->path);
	*f = (struct fragment){0};
}

struct reader {
	const char *path, *text; /* text: of the line, without its end; NUL-terminated */
	int line;
	struct buf reason; /* of the comment lines right above */
	int reason_line;   /* the first of them */
	size_t reason_at;  /* column of its text */
	struct fragment *ret;
	struct err *err;
};

static int bad(struct reader *r, int line, size_t at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* line:column of the text; at counts from 0. */
static int bad(struct reader *r, int line, size_t at, const char *fmt, ...)
{
	auto_cleanup(buf) text = {0}, shown = {0};
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	str_printable(&shown, text.data, text.len, 300, false);
	return err_set(r->err, EINVAL, "%.150s:%d:%zu: %s", r->path, line, at + 1, shown.data);
}

/* The words in brackets: architectures and comparisons. text is "[...] why", at its column. */
static int read_where(struct reader *r, const char *text, struct fragment_option *o,
		      const char **rest)
{
	const char *end = strchr(text, ']');
	auto_free char *inside = NULL;
	auto_cleanup(strv) words = {0};
	auto_cleanup(buf) range = {0};
	struct err why = {0};

	if (!end)
		return bad(r, r->reason_line, r->reason_at, "a '[' that is not closed");
	inside = xstrndup(text + 1, end - text - 1);
	for (char *p = inside; *p; p++)
		if (isspace((unsigned char)*p))
			*p = ' ';
	strv_split(&words, inside, ' ');
	for (size_t i = 0; i < words.n; i++) {
		const char *word = words.items[i];
		int arch = arch_parse(word);

		if (arch >= 0)
			o->archs |= 1u << arch;
		else if (strchr("<>=!", word[0]))
			buf_addf(&range, "%s%s", range.len ? " " : "", word);
		else
			return bad(r, r->reason_line, r->reason_at + (strstr(text, word) - text),
				   "'%s': in brackets stand amd64, arm64, or versions like >=5.13",
				   word);
	}
	if (!words.n)
		return bad(r, r->reason_line, r->reason_at,
			   "empty brackets: amd64, arm64, or versions like >=5.13");
	if (range.len && kver_range_parse(range.data, &o->kernels, &why) < 0)
		return bad(r, r->reason_line, r->reason_at, "%s", why.msg);
	*rest = end + 1;
	return 0;
}

static bool value_ok(const char *v)
{
	size_t n = strlen(v), digits;

	if (!n || n > VALUE_MAX_LEN)
		return false;
	if (*v == '"') {
		for (size_t i = 1; i < n; i++) {
			if (v[i] == '\\' && i + 2 < n)
				i++;
			else if (v[i] == '"')
				return i == n - 1;
			else if (v[i] == '\\' || (unsigned char)v[i] < 0x20)
				return false;
		}
		return false;
	}
	if (n == 1 && strchr("ymn", *v))
		return true;
	if (v[0] == '0' && (v[1] == 'x' || v[1] == 'X'))
		return n > 2 && strspn(v + 2, "0123456789abcdefABCDEF") == n - 2;
	v += *v == '-';
	digits = strspn(v, "0123456789");
	return digits && !v[digits];
}

/* An option: its name begins at column at, its value is given or (not set) "n". */
static int take_option(struct reader *r, size_t at, size_t len, const char *value, size_t value_at)
{
	struct fragment_option *o;
	const char *reason = r->reason.len ? r->reason.data : NULL;
	struct fragment *f = r->ret;

	if (!len || len > NAME_MAX_LEN)
		return bad(r, r->line, at, "a name of 1 to %d characters goes after CONFIG_",
			   NAME_MAX_LEN);
	if (!value_ok(value))
		return bad(r, r->line, value_at,
			   "'%.60s' is no value: y, m, n, a number, 0x…, or text in double quotes",
			   value);
	f->items = xreallocarray(f->items, f->n + 1, sizeof(*f->items));
	o = &f->items[f->n++];
	*o = (struct fragment_option){
		.line = r->line, .name = xstrndup(r->text + at, len), .value = xstrdup(value)};
	if (reason && *reason == '[' && read_where(r, reason, o, &reason) < 0)
		return -EINVAL;
	if (!o->archs)
		o->archs = (1u << ARCH_COUNT) - 1;
	while (reason && *reason == ' ')
		reason++;
	if (reason && *reason)
		o->reason = xstrdup(reason);
	return 0;
}

static size_t name_length(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

/* Text of a comment: more of the reason for the option below. */
static void take_comment(struct reader *r)
{
	const char *text = r->text + strspn(r->text, "# \t");

	if (!r->reason.len) {
		r->reason_line = r->line;
		r->reason_at = text - r->text;
	}
	if (r->reason.len < REASON_MAX_LEN)
		buf_addf(&r->reason, "%s%s", r->reason.len ? " " : "", text);
}

static int take_line(struct reader *r)
{
	static const char prefix[] = "CONFIG_", unset[] = " is not set";
	const char *s = r->text;
	size_t len;
	int ret;

	if (!*s) {
		buf_reset(&r->reason);
		return 0;
	}
	if (str_starts(s, "# CONFIG_")) {
		len = name_length(s + 9);
		if (!str_eq(s + 9 + len, unset)) {
			take_comment(r);
			return 0;
		}
		ret = take_option(r, 9, len, "n", 9);
	} else if (*s == '#') {
		take_comment(r);
		return 0;
	} else if (str_starts(s, prefix)) {
		len = name_length(s + 7);
		if (s[7 + len] != '=')
			return bad(r, r->line, 7 + len, "expected '=' after the name");
		ret = take_option(r, 7, len, s + 8 + len, 8 + len);
	} else {
		return bad(r, r->line, 0,
			   "expected CONFIG_NAME=value, '# CONFIG_NAME is not set' or a comment");
	}
	buf_reset(&r->reason);
	return ret;
}

static int take_lines(struct reader *r, const char *text, size_t len)
{
	int ret = 0;

	for (const char *p = text, *end = text + len; p < end && ret == 0;) {
		const char *eol = memchr(p, '\n', end - p), *stop = eol ? eol : end;
		auto_free char *line = NULL;

		if (++r->line > FRAGMENT_MAX_LINES)
			return err_set(r->err, E2BIG, "%.150s: more than %d lines", r->path,
				       FRAGMENT_MAX_LINES);
		if (memchr(p, 0, stop - p))
			return bad(r, r->line, 0, "not text");
		while (stop > p && isspace((unsigned char)stop[-1]))
			stop--;
		line = xstrndup(p, stop - p);
		r->text = line;
		ret = take_line(r);
		p = eol ? eol + 1 : end;
	}
	return ret;
}

int fragment_parse(const char *name, const char *path, const char *text, size_t len,
		   struct fragment *ret, struct err *err)
{
	auto_cleanup(fragment) f = {0};
	struct err unused = {0};
	struct reader r = {.path = path, .ret = &f, .err = err ? err : &unused};
	int result;

	if (len > FRAGMENT_MAX_BYTES)
		return err_set(err, E2BIG, "%.150s: more than %d bytes", path, FRAGMENT_MAX_BYTES);
	result = take_lines(&r, text, len);
	buf_deinit(&r.reason);
	if (result < 0)
		return result;
	f.name = xstrdup(name);
	f.path = xstrdup(path);
	*ret = f;
	f = (struct fragment){0};
	return 0;
}

void fragment_set_deinit(struct fragment_set *s)
{
	free(s->items);
	*s = (struct fragment_set){0};
}

/* By name, then in the order given: they all point into one array. */
static int by_name(const void *a, const void *b)
{
	const struct fragment_pick *const *x = a, *const *y = b;
	int c = strcmp((*x)->option->name, (*y)->option->name);

	return c ? c : (*x > *y) - (*x < *y);
}

static int conflict(const struct fragment_pick *a, const struct fragment_pick *b, struct err *err)
{
	return err_set(err, EINVAL,
		       "%.150s:%d: wants %s=%.40s, but %.150s:%d wants %s=%.40s: they cannot be "
		       "combined",
		       b->fragment->path, b->option->line, b->option->name, b->option->value,
		       a->fragment->path, a->option->line, a->option->name, a->option->value);
}

/* Leave the first of each name; two values are an error. */
static int drop_repeated(struct fragment_set *s, struct err *err)
{
	auto_free struct fragment_pick **sorted = xcalloc(s->n + 1, sizeof(*sorted));
	size_t kept = 0;

	for (size_t i = 0; i < s->n; i++)
		sorted[i] = &s->items[i];
	qsort(sorted, s->n, sizeof(*sorted), by_name);
	for (size_t i = 1, first = 0; i < s->n; i++) {
		if (!str_eq(sorted[first]->option->name, sorted[i]->option->name)) {
			first = i;
			continue;
		}
		if (!str_eq(sorted[first]->option->value, sorted[i]->option->value))
			return conflict(sorted[first], sorted[i], err);
		sorted[i]->fragment = NULL;
	}
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].fragment)
			s->items[kept++] = s->items[i];
	s->n = kept;
	return 0;
}

int fragment_set_build(const struct fragment *fragments, size_t n, const struct kver *kver,
		       enum arch arch, struct fragment_set *ret, struct err *err)
{
	auto_cleanup(fragment_set) s = {0};
	size_t total = 0;
	int r;

	for (size_t i = 0; i < n; i++)
		total += fragments[i].n;
	s.items = xcalloc(total + 1, sizeof(*s.items));
	for (size_t i = 0; i < n; i++)
		for (size_t o = 0; o < fragments[i].n; o++) {
			const struct fragment_option *option = &fragments[i].items[o];

			if ((option->archs & 1u << arch) && kver_in_range(kver, &option->kernels))
				s.items[s.n++] = (struct fragment_pick){&fragments[i], option};
		}
	r = drop_repeated(&s, err);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct fragment_set){0};
	return 0;
}

void fragment_set_text(const struct fragment_set *s, const struct fragment *of, struct buf *out)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct fragment_option *o = s->items[i].option;

		if (s->items[i].fragment != of)
			continue;
		if (str_eq(o->value, "n"))
			buf_addf(out, "# CONFIG_%s is not set\n", o->name);
		else
			buf_addf(out, "CONFIG_%s=%s\n", o->name, o->value);
	}
}
