#include "lab/kconfig/kconfig-lang.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { DEFS_MAX = 200000, LINE_MAX_LEN = 65536, AND_MAX = 300 };

struct parser {
	struct klang *k;
	const char *srcarch;
	klang_read_fn read;
	void *data;
	int depth; /* of sourced files */
	struct err *err;
};

/* One file. */
struct text {
	const char *name; /* owned by k->files */
	const char *at, *end;
	int line;
	struct buf now; /* the line, with what was continued */
	struct klang_block *block;
	const struct klang_block *base; /* where the file was sourced */
	/* what attributes belong to: a definition, a block, or nothing */
	ssize_t def; /* -1: none */
	bool in_block;
};

/* Both of them; of more than a few hundred the rest is dropped, since they are walked by recursion.
 */
static struct kexpr *both(struct kexpr *a, struct kexpr *b)
{
	struct kexpr *e = a;

	if (!a || !b)
		return a ? a : b;
	for (int n = 0; e && e->kind == KE_AND; e = e->a)
		if (++n > AND_MAX) {
			kexpr_free(b);
			return a;
		}
	e = xcalloc(1, sizeof(*e));
	*e = (struct kexpr){.kind = KE_AND, .a = a, .b = b};
	return e;
}

/* "... if EXPR" at the end of an attribute; NULL when there is none. */
static struct kexpr *condition(const char *s)
{
	s += strspn(s, " \t");
	if (!str_starts(s, "if") || isalnum((unsigned char)s[2]) || s[2] == '_')
		return NULL;
	s += 2;
	return kexpr_parse(&s);
}

/* Behind a quoted text, or one word. */
static const char *skip_value(const char *s)
{
	s += strspn(s, " \t");
	if (*s == '"' || *s == '\'') {
		for (char quote = *s++; *s && *s != quote; s++)
			if (*s == '\\' && s[1])
				s++;
		return *s ? s + 1 : s;
	}
	return s + strcspn(s, " \t");
}

/* --- lines --- */

/* The next line without its end in t->now, lines that end with a backslash joined. */
static bool next_line(struct text *t)
{
	bool more = true;

	buf_reset(&t->now);
	buf_add(&t->now, "", 0);
	if (t->at >= t->end)
		return false;
	while (more && t->at < t->end) {
		const char *eol = memchr(t->at, '\n', t->end - t->at), *stop = eol ? eol : t->end;

		t->line++;
		more = stop > t->at && stop[-1] == '\\';
		if (t->now.len < LINE_MAX_LEN)
			buf_add(&t->now, t->at, stop - t->at - more);
		t->at = eol ? eol + 1 : t->end;
	}
	return true;
}

static int indentation(const char *s)
{
	int n = 0;

	for (; *s == ' ' || *s == '\t'; s++)
		n = *s == '\t' ? (n | 7) + 1 : n + 1;
	return n;
}

/* A help text ends before the first line that is indented less than its first. */
static void skip_help(struct text *t)
{
	int first = -1;

	for (;;) {
		const char *at = t->at;
		int line = t->line, indent;

		if (!next_line(t))
			return;
		if (!t->now.data[strspn(t->now.data, " \t\r")])
			continue;
		indent = indentation(t->now.data);
		if (first < 0)
			first = indent;
		if (indent < first || indent == 0) {
			t->at = at;
			t->line = line;
			return;
		}
	}
}

/* --- statements --- */

static void *grow(void *items, size_t n, size_t size)
{
	return n & (n - 1) ? items : xreallocarray(items, n ? 2 * n : 1, size);
}

static void open_block(struct parser *p, struct text *t, int kind, struct kexpr *depends)
{
	struct klang_block *b = xcalloc(1, sizeof(*b));
	struct klang *k = p->k;

	*b = (struct klang_block){.up = t->block, .kind = kind, .depends = depends};
	k->blocks = grow(k->blocks, k->n_blocks, sizeof(struct klang_block *));
	k->blocks[k->n_blocks++] = b;
	t->block = b;
	t->in_block = kind != KLANG_IF;
	t->def = -1;
}

static void close_block(struct text *t)
{
	if (t->block != t->base)
		t->block = (struct klang_block *)t->block->up;
	t->in_block = false;
	t->def = -1;
}

static int open_def(struct parser *p, struct text *t, const char *name)
{
	struct klang *k = p->k;
	size_t n = strcspn(name, " \t\r#");

	if (k->n >= DEFS_MAX)
		return err_set(p->err, E2BIG, "%.200s:%d: more than %d options", t->name, t->line,
			       DEFS_MAX);
	k->defs = grow(k->defs, k->n, sizeof(*k->defs));
	k->defs[k->n] = (struct klang_def){
		.name = xstrndup(name, n), .file = t->name, .line = t->line, .block = t->block};
	t->def = k->n++;
	t->in_block = false;
	return 0;
}

static int parse_file(struct parser *p, const char *path, const struct klang_block *base);

/* source "path": $(SRCARCH) is known; a path with another variable is left out. */
static int source(struct parser *p, struct text *t, const char *s)
{
	const char *end = skip_value(s), *mark;
	static const char arch[] = "$(SRCARCH)";
	auto_free char *path = NULL;
	auto_cleanup(buf) expanded = {0};

	s += strspn(s, " \t");
	if (*s == '"' && end > s + 1)
		path = xstrndup(s + 1, end - s - 2);
	else
		path = xstrndup(s, end - s);
	s = path;
	while ((mark = strstr(s, arch))) {
		buf_add(&expanded, s, mark - s);
		buf_adds(&expanded, p->srcarch);
		s = mark + strlen(arch);
	}
	buf_adds(&expanded, s);
	t->def = -1;
	t->in_block = false;
	if (strchr(expanded.data, '$') || !path_is_inside(expanded.data))
		return 0;
	return parse_file(p, expanded.data, t->block);
}

static void set_default(struct klang_def *d, const char *rest)
{
	if (!d->value)
		d->value = kexpr_parse(&rest);
}

/* bool, tristate, int, ..., with a prompt or (def_bool) a default. */
static void set_type(struct klang_def *d, const char *word, const char *rest)
{
	bool is_default = str_starts(word, "def_");

	word += is_default ? 4 : 0;
	d->type = str_eq(word, "bool")	     ? KLANG_BOOL
		  : str_eq(word, "tristate") ? KLANG_TRISTATE
		  : str_eq(word, "string")   ? KLANG_STRING
					     : KLANG_NUMBER;
	rest += strspn(rest, " \t");
	if (is_default)
		set_default(d, rest);
	else if (*rest == '"' || *rest == '\'') {
		d->prompt = true;
		d->prompt_if = both(d->prompt_if, condition(skip_value(rest)));
	}
}

static void add_select(struct parser *p, size_t from, const char *rest, bool weak)
{
	struct klang *k = p->k;
	const char *end;

	rest += strspn(rest, " \t");
	end = rest + strcspn(rest, " \t\r#");
	k->selects = grow(k->selects, k->n_selects, sizeof(*k->selects));
	k->selects[k->n_selects++] = (struct klang_select){.target = xstrndup(rest, end - rest),
							   .from = from,
							   .depends = condition(end),
							   .weak = weak};
}

/* "depends on A [if B]": A is asked for where B holds. */
static struct kexpr *read_depends(const char *rest)
{
	struct kexpr *a, *b, *not_b, *e;

	rest += strspn(rest, " \t");
	rest += str_starts(rest, "on") ? 2 : 0;
	a = kexpr_parse(&rest);
	b = a ? condition(rest) : NULL;
	if (!b)
		return a;
	not_b = xcalloc(1, sizeof(*not_b));
	e = xcalloc(1, sizeof(*e));
	*not_b = (struct kexpr){.kind = KE_NOT, .a = b};
	*e = (struct kexpr){.kind = KE_OR, .a = a, .b = not_b};
	return e;
}

/* A line that says something of what was opened last. */
static void attribute(struct parser *p, struct text *t, const char *word, const char *rest)
{
	struct klang_def *d = t->def >= 0 ? &p->k->defs[t->def] : NULL;
	struct klang_block *b = t->in_block ? t->block : NULL;

	if (str_eq(word, "depends") && d)
		d->depends = both(d->depends, read_depends(rest));
	else if (str_eq(word, "depends") && b)
		b->depends = both(b->depends, read_depends(rest));
	else if (str_eq(word, "visible") && b)
		b->visible = both(b->visible, condition(rest));
	else if (b && b->kind == KLANG_CHOICE &&
		 (str_eq(word, "prompt") || str_eq(word, "bool") || str_eq(word, "tristate")))
		b->visible = both(b->visible, condition(skip_value(rest)));
	else if (!d)
		return;
	else if (str_eq(word, "prompt")) {
		d->prompt = true;
		d->prompt_if = both(d->prompt_if, condition(skip_value(rest)));
	} else if (str_eq(word, "select") || str_eq(word, "imply"))
		add_select(p, t->def, rest, *word == 'i');
	else if (str_eq(word, "default"))
		set_default(d, rest);
	else if (str_eq(word, "range") && !d->range)
		d->range = xstrndup(rest, strcspn(rest, "#"));
	else if (str_starts(word, "def_") || str_eq(word, "bool") || str_eq(word, "tristate") ||
		 str_eq(word, "int") || str_eq(word, "hex") || str_eq(word, "string"))
		set_type(d, word, rest);
}

static int statement(struct parser *p, struct text *t)
{
	const char *s = t->now.data + strspn(t->now.data, " \t");
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz_");
	auto_free char *word = xstrndup(s, n);
	const char *rest = s + n;
	char *cr = strchr(t->now.data, '\r');

	if (cr)
		*cr = 0;
	/* a macro's definition begins with a word, too */
	if (!n || (*rest && !strchr(" \t\"'($!", *rest)) || rest[strspn(rest, " \t")] == '=' ||
	    str_starts(rest + strspn(rest, " \t"), ":="))
		return 0;
	rest += strspn(rest, " \t");
	if (str_eq(word, "config") || str_eq(word, "menuconfig"))
		return open_def(p, t, rest);
	if (str_eq(word, "source"))
		return source(p, t, rest);
	if (str_eq(word, "if"))
		open_block(p, t, KLANG_IF, kexpr_parse(&rest));
	else if (str_eq(word, "menu"))
		open_block(p, t, KLANG_MENU, NULL);
	else if (str_eq(word, "choice"))
		open_block(p, t, KLANG_CHOICE, NULL);
	else if (str_eq(word, "endif") || str_eq(word, "endmenu") || str_eq(word, "endchoice"))
		close_block(t);
	else if (str_eq(word, "comment") || str_eq(word, "mainmenu"))
		t->def = -1, t->in_block = false;
	else if (str_eq(word, "help"))
		skip_help(t);
	else
		attribute(p, t, word, rest);
	return 0;
}

static int parse_file(struct parser *p, const char *path, const struct klang_block *base)
{
	auto_cleanup(buf) content = {0};
	struct text t = {.base = base, .block = (struct klang_block *)base, .def = -1};
	int r;

	if (p->depth > KLANG_MAX_DEPTH || p->k->files.n >= KLANG_MAX_FILES)
		return err_set(p->err, E2BIG, "%.200s: sourced too deep, or too many files", path);
	r = p->read(p->data, path, &content);
	if (r < 0)
		return p->depth ? 0 : err_set(p->err, ENOENT, "%.200s cannot be read", path);
	p->k->bytes += content.len;
	if (p->k->bytes > KLANG_MAX_BYTES)
		return err_set(p->err, E2BIG, "%.200s: more than %d bytes of Kconfig", path,
			       KLANG_MAX_BYTES);
	strv_add(&p->k->files, path);
	t.name = p->k->files.items[p->k->files.n - 1];
	t.at = content.data;
	t.end = t.at + content.len;
	p->depth++;
	while (r == 0 && next_line(&t))
		r = statement(p, &t);
	p->depth--;
	buf_deinit(&t.now);
	return r;
}

static int by_name(const void *a, const void *b, void *k)
{
	const struct klang_def *defs = ((const struct klang *)k)->defs;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int c = strcmp(defs[x].name, defs[y].name);

	return c ? c : (x > y) - (x < y);
}

int klang_parse(const char *file, const char *srcarch, klang_read_fn read, void *data,
		struct klang *ret, struct err *err)
{
	auto_cleanup(klang) k = {0};
	struct parser p = {.k = &k, .srcarch = srcarch, .read = read, .data = data, .err = err};
	int r = parse_file(&p, file, NULL);

	if (r < 0)
		return r;
	k.order = xcalloc(k.n + 1, sizeof(*k.order));
	for (size_t i = 0; i < k.n; i++)
		k.order[i] = i;
	qsort_r(k.order, k.n, sizeof(*k.order), by_name, &k);
	*ret = k;
	k = (struct klang){0};
	return 0;
}

void klang_deinit(struct klang *k)
{
	for (size_t i = 0; i < k->n; i++) {
		free(k->defs[i].name);
		kexpr_free(k->defs[i].prompt_if);
		kexpr_free(k->defs[i].depends);
		kexpr_free(k->defs[i].value);
		free(k->defs[i].range);
	}
	for (size_t i = 0; i < k->n_selects; i++) {
		free(k->selects[i].target);
		kexpr_free(k->selects[i].depends);
	}
	for (size_t i = 0; i < k->n_blocks; i++) {
		kexpr_free(k->blocks[i]->depends);
		kexpr_free(k->blocks[i]->visible);
		free(k->blocks[i]);
	}
	free(k->defs);
	free(k->selects);
	free(k->blocks);
	free(k->order);
	strv_deinit(&k->files);
	*k = (struct klang){0};
}

size_t klang_find(const struct klang *k, const char *name, size_t *first)
{
	size_t low = 0, high = k->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(k->defs[k->order[middle]].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*first = low;
	while (low < k->n && str_eq(k->defs[k->order[low]].name, name))
		low++;
	return low - *first;
}
