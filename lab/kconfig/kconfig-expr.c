#include "lab/kconfig/kconfig-expr.h"

#include <ctype.h>
#include <string.h>

enum { DEPTH_MAX = 64, TEXT_MAX = 500 };

void kexpr_free(struct kexpr *e)
{
	if (!e)
		return;
	kexpr_free(e->a);
	kexpr_free(e->b);
	free(e->text);
	free(e);
}

static struct kexpr *node(int kind, struct kexpr *a, struct kexpr *b, char *text)
{
	struct kexpr *e = xcalloc(1, sizeof(*e));

	*e = (struct kexpr){.kind = kind, .a = a, .b = b, .text = text};
	return e;
}

static void skip_blanks(const char **at)
{
	while (isspace((unsigned char)**at))
		(*at)++;
}

static bool take(const char **at, const char *word)
{
	skip_blanks(at);
	if (!str_starts(*at, word))
		return false;
	*at += strlen(word);
	return true;
}

/* The end of "$(...)", with what is nested in it; NULL: it is not closed. */
static const char *macro_end(const char *s)
{
	int depth = 0;

	for (s++; *s; s++) {
		depth += *s == '(';
		depth -= *s == ')';
		if (depth == 0)
			return s + 1;
	}
	return NULL;
}

static struct kexpr *leaf(const char **at)
{
	const char *s, *end;
	int kind = KE_NAME;

	skip_blanks(at);
	s = end = *at;
	if (str_starts(s, "$(")) {
		kind = KE_MACRO;
		end = macro_end(s);
		*at = end;
	} else if (*s == '"' || *s == '\'') {
		end = strchr(s + 1, *s);
		s++;
		*at = end ? end + 1 : s;
		kind = end && memmem(s, end - s, "$(", 2) ? KE_MACRO : KE_TEXT;
	} else {
		while (isalnum((unsigned char)*end) || *end == '_' || *end == '-' || *end == '.')
			end++;
		*at = end;
	}
	if (!end || (end == s && end == *at) || end - s > TEXT_MAX) {
		*at = s;
		return NULL;
	}
	return node(kind, NULL, NULL, xstrndup(s, end - s));
}

static struct kexpr *parse_or(const char **at, int depth);

static struct kexpr *parse_not(const char **at, int depth)
{
	static const char *const operators[] = {"!=", "<=", ">=", "=", "<", ">"};
	struct kexpr *e, *b;

	if (depth > DEPTH_MAX)
		return NULL;
	skip_blanks(at);
	if (**at == '!' && (*at)[1] != '=') {
		(*at)++;
		e = parse_not(at, depth + 1);
		return e ? node(KE_NOT, e, NULL, NULL) : NULL;
	}
	if (take(at, "(")) {
		e = parse_or(at, depth + 1);
		if (e && take(at, ")"))
			return e;
		kexpr_free(e);
		return NULL;
	}
	e = leaf(at);
	for (size_t i = 0; e && i < array_len(operators); i++) {
		if (!take(at, operators[i]))
			continue;
		b = leaf(at);
		if (b)
			return node(KE_COMPARE, e, b, xstrdup(operators[i]));
		kexpr_free(e);
		return NULL;
	}
	return e;
}

static struct kexpr *parse_chain(const char **at, int depth, int kind)
{
	struct kexpr *e = kind == KE_OR ? parse_chain(at, depth, KE_AND) : parse_not(at, depth);

	for (int n = 0; e && take(at, kind == KE_OR ? "||" : "&&"); n++) {
		struct kexpr *b =
			kind == KE_OR ? parse_chain(at, depth, KE_AND) : parse_not(at, depth);

		/* a chain leans to the left: its depth is the stack's when it is walked */
		if (!b || n > 2 * DEPTH_MAX) {
			kexpr_free(e);
			kexpr_free(b);
			return NULL;
		}
		e = node(kind, e, b, NULL);
	}
	return e;
}

static struct kexpr *parse_or(const char **at, int depth)
{
	return parse_chain(at, depth, KE_OR);
}

struct kexpr *kexpr_parse(const char **at)
{
	return parse_or(at, 0);
}

static enum tristate to_tristate(const char *value)
{
	return str_eq(value, "y") ? TRI_Y : str_eq(value, "m") ? TRI_M : TRI_N;
}

/* The text that a leaf stands for, without quotes. Allocated. */
static char *value_of(const struct kexpr *e, const struct kexpr_values *v)
{
	const char *value;

	if (e->kind != KE_NAME || !v->known(v->data, e->text))
		return xstrdup(e->text);
	value = kconfig_get(v->config, e->text);
	return *value == '"' ? xstrndup(value + 1, strlen(value + 1) - 1) : xstrdup(value);
}

static bool compare(const struct kexpr *e, const struct kexpr_values *v)
{
	auto_free char *a = value_of(e->a, v), *b = value_of(e->b, v);
	char *a_end, *b_end;
	long long x = strtoll(a, &a_end, 0), y = strtoll(b, &b_end, 0);
	int c = *a && *b && !*a_end && !*b_end ? (x > y) - (x < y) : strcmp(a, b);

	if (e->text[0] == '!')
		return c != 0;
	if (e->text[0] == '=')
		return c == 0;
	return (e->text[1] && c == 0) || (e->text[0] == '<' ? c < 0 : c > 0);
}

enum tristate kexpr_eval(const struct kexpr *e, const struct kexpr_values *v)
{
	enum tristate a, b;

	if (!e)
		return TRI_Y;
	if (e->kind == KE_NAME)
		return to_tristate(v->known(v->data, e->text) ? kconfig_get(v->config, e->text)
							      : e->text);
	if (e->kind == KE_TEXT)
		return to_tristate(e->text);
	if (e->kind == KE_MACRO)
		return TRI_Y;
	if (e->kind == KE_COMPARE) {
		bool unknown = e->a->kind == KE_MACRO || e->b->kind == KE_MACRO;

		return unknown || compare(e, v) ? TRI_Y : TRI_N;
	}
	a = kexpr_eval(e->a, v);
	if (e->kind == KE_NOT)
		return TRI_Y - a;
	b = kexpr_eval(e->b, v);
	return (e->kind == KE_AND) == (a < b) ? a : b;
}

void kexpr_print(const struct kexpr *e, struct buf *out)
{
	bool grouped;

	switch (e->kind) {
	case KE_TEXT:
		buf_addf(out, "\"%s\"", e->text);
		return;
	case KE_NAME:
	case KE_MACRO:
		buf_adds(out, e->text);
		return;
	case KE_NOT:
		grouped = e->a->b != NULL;
		buf_adds(out, grouped ? "!(" : "!");
		kexpr_print(e->a, out);
		buf_adds(out, grouped ? ")" : "");
		return;
	case KE_COMPARE:
		kexpr_print(e->a, out);
		buf_addf(out, " %s ", e->text);
		kexpr_print(e->b, out);
		return;
	default:
		for (int side = 0; side < 2; side++) {
			const struct kexpr *x = side ? e->b : e->a;

			grouped = e->kind == KE_AND && x->kind == KE_OR;
			buf_adds(out, side ? e->kind == KE_AND ? " && " : " || " : "");
			buf_adds(out, grouped ? "(" : "");
			kexpr_print(x, out);
			buf_adds(out, grouped ? ")" : "");
		}
	}
}

const char *kexpr_unknown(const struct kexpr *e)
{
	const char *found;

	if (!e)
		return NULL;
	if (e->kind == KE_MACRO)
		return e->text;
	found = kexpr_unknown(e->a);
	return found ? found : kexpr_unknown(e->b);
}

void kexpr_names(const struct kexpr *e, void (*fn)(void *data, const char *name), void *data)
{
	if (!e)
		return;
	if (e->kind == KE_NAME)
		fn(data, e->text);
	kexpr_names(e->a, fn, data);
	kexpr_names(e->b, fn, data);
}
