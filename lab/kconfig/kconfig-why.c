#include "lab/kconfig/kconfig-why.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kconfig/kconfig-history.h"
#include "lab/kconfig/kconfig-lang.h"

enum { FILE_MAX_BYTES = 2 << 20, SHOWN_MAX = 3, DEPTH_MAX = 1, SHORT_MAX = 5 };

struct kconfig_tree {
	struct klang k;
	char *srctree;
	enum arch arch;
};

static int read_file(void *data, const char *path, struct buf *text)
{
	auto_close int fd =
		io_open_beneath(*(int *)data, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, true);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return io_read_fd(fd, FILE_MAX_BYTES, text, NULL);
}

int kconfig_tree_open(const char *srctree, enum arch arch, struct kconfig_tree **ret,
		      struct err *err)
{
	auto_close int dirfd = open(srctree, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct kconfig_tree *t;
	int r;

	if (dirfd < 0)
		return err_errno(err, "%s", srctree);
	t = xcalloc(1, sizeof(*t));
	t->arch = arch;
	t->srctree = xstrdup(srctree);
	r = klang_parse("Kconfig", arch == ARCH_ARM64 ? "arm64" : "x86", read_file, &dirfd, &t->k,
			err);
	if (r < 0) {
		kconfig_tree_close(t);
		return err_wrap(err, "%s", srctree);
	}
	*ret = t;
	return 0;
}

void kconfig_tree_close(struct kconfig_tree *t)
{
	if (!t)
		return;
	klang_deinit(&t->k);
	free(t->srctree);
	free(t);
}

/* --- one question --- */

struct why {
	const struct kconfig_tree *t;
	struct kexpr_values values;
	struct buf *out;
	int depth; /* of "..., which itself depends on" */
};

static const char *value_in(const struct why *w, const char *option)
{
	return kconfig_get(w->values.config, option);
}

static enum tristate eval(const struct why *w, const struct kexpr *e)
{
	return kexpr_eval(e, &w->values);
}

static bool is_known(const void *data, const char *name)
{
	size_t first;

	return klang_find(&((const struct kconfig_tree *)data)->k, name, &first) > 0;
}

static enum tristate tri(const char *value)
{
	return str_eq(value, "n") ? TRI_N : str_eq(value, "m") ? TRI_M : TRI_Y;
}

static void explain_value(struct why *w, const char *option);

struct naming {
	struct why *w;
	struct buf *out;
	int n;
};

static void name_value(void *data, const char *name)
{
	struct naming *n = data;

	if (!is_known(n->w->t, name) || n->n > SHOWN_MAX)
		return;
	buf_addf(n->out, "%s%s is %s", n->n ? ", " : " (", name, value_in(n->w, name));
	n->n++;
}

/* One part of a dependency that does not hold, as "X, which is n". */
static char *culprit(struct why *w, const struct kexpr *e)
{
	struct buf out = {0};
	struct naming names = {.w = w, .out = &out};

	if (e->kind == KE_NAME && is_known(w->t, e->text)) {
		buf_addf(&out, "%s, which is %s", e->text, value_in(w, e->text));
		if (str_eq(value_in(w, e->text), "n") && w->depth < DEPTH_MAX) {
			struct why deeper = *w;

			deeper.out = &out;
			deeper.depth++;
			explain_value(&deeper, e->text);
		}
	} else if (e->kind == KE_NAME && !str_eq(e->text, "n") && !str_eq(e->text, "m")) {
		buf_addf(&out, "%s, which %s does not have", e->text, arch_name(w->t->arch));
	} else if (e->kind == KE_NOT && e->a->kind == KE_NAME) {
		buf_addf(&out, "%s=n, which is %s", e->a->text, value_in(w, e->a->text));
	} else {
		kexpr_print(e, &out);
		kexpr_names(e, name_value, &names);
		buf_adds(&out, names.n ? ")" : "");
	}
	return out.data;
}

/* The smallest parts of e that keep it below want. */
static void culprits(struct why *w, const struct kexpr *e, enum tristate want, struct strv *found)
{
	char *text;

	if (!e || eval(w, e) >= want)
		return;
	if (e->kind == KE_AND) {
		culprits(w, e->a, want, found);
		culprits(w, e->b, want, found);
		return;
	}
	text = culprit(w, e);
	if (strv_has(found, text))
		free(text);
	else
		strv_take(found, text);
}

static void def_culprits(struct why *w, const struct klang_def *d, enum tristate want,
			 struct strv *found)
{
	for (const struct klang_block *b = d->block; b; b = b->up)
		culprits(w, b->depends, want, found);
	culprits(w, d->depends, want, found);
}

/* What hides the question that would set it. */
static void prompt_culprits(struct why *w, const struct klang_def *d, enum tristate want,
			    struct strv *found)
{
	for (const struct klang_block *b = d->block; b; b = b->up)
		culprits(w, b->visible, want, found);
	culprits(w, d->prompt_if, want, found);
}

static void join(struct buf *out, const struct strv *items, const char *between)
{
	for (size_t i = 0; i < items->n && i < SHOWN_MAX; i++)
		buf_addf(out, "%s%s", i ? between : "", items->items[i]);
	if (items->n > SHOWN_MAX)
		buf_addf(out, " and %zu more", items->n - SHOWN_MAX);
}

static const struct klang_block *choice_of(const struct klang_def *d)
{
	const struct klang_block *b = d->block;

	while (b && b->kind != KLANG_CHOICE)
		b = b->up;
	return b;
}

/* The member of a choice that was taken, other than name; NULL: none. */
static const char *taken(const struct why *w, const struct klang_block *choice, const char *name)
{
	const struct klang *k = &w->t->k;

	for (size_t i = 0; i < k->n; i++)
		if (choice_of(&k->defs[i]) == choice && !str_eq(k->defs[i].name, name) &&
		    str_eq(value_in(w, k->defs[i].name), "y"))
			return k->defs[i].name;
	return NULL;
}

/* Who selects it; active: and does so in this configuration. imply is not asked. */
static void selectors(const struct why *w, const char *name, bool active, struct strv *found)
{
	const struct klang *k = &w->t->k;

	for (size_t i = 0; i < k->n_selects; i++) {
		const struct klang_select *s = &k->selects[i];
		const char *from = k->defs[s->from].name;

		if (s->weak || !str_eq(s->target, name) || strv_has(found, from))
			continue;
		if (!active || (!str_eq(value_in(w, from), "n") && eval(w, s->depends) != TRI_N))
			strv_add(found, from);
	}
}

/* An option without a prompt: where its value comes from. */
static void no_prompt(struct why *w, const char *name, const struct klang_def *d)
{
	auto_cleanup(strv) by = {0};
	const char *macro = kexpr_unknown(d->value);

	selectors(w, name, false, &by);
	if (macro) {
		buf_addf(w->out, "a test of the compiler and its tools: %.200s", macro);
	} else if (by.n) {
		buf_adds(w->out, "cannot be set by itself; selected by ");
		join(w->out, &by, ", ");
	} else {
		buf_adds(w->out, "cannot be set by itself; ");
		if (d->value) {
			buf_adds(w->out, "its value is ");
			kexpr_print(d->value, w->out);
		} else {
			buf_addf(w->out, "nothing selects it on %s", arch_name(w->t->arch));
		}
	}
}

/* What definition is worth talking about: one that could be set, whose dependencies lack least. */
static const struct klang_def *best_def(struct why *w, const char *name, enum tristate want)
{
	const struct klang *k = &w->t->k;
	const struct klang_def *best = NULL;
	size_t first, n = klang_find(k, name, &first), fewest = 0;

	for (size_t i = first; i < first + n; i++) {
		const struct klang_def *d = &k->defs[k->order[i]];
		auto_cleanup(strv) found = {0};
		struct why quiet = *w;

		quiet.depth = DEPTH_MAX;
		def_culprits(&quiet, d, want, &found);
		if (!best || (d->prompt && !best->prompt) ||
		    (d->prompt == best->prompt && found.n < fewest)) {
			best = d;
			fewest = found.n;
		}
	}
	return best;
}

/* After "X, which is n": what X lacks itself, in brackets, unless it only has to be set. */
static void explain_value(struct why *w, const char *name)
{
	const struct klang_def *d = best_def(w, name, TRI_M);
	auto_cleanup(strv) found = {0};

	if (!d->prompt) {
		buf_adds(w->out, " (");
		no_prompt(w, name, d);
		buf_adds(w->out, ")");
		return;
	}
	def_culprits(w, d, TRI_M, &found);
	if (!found.n)
		return;
	buf_adds(w->out, " (and depends on ");
	join(w->out, &found, " and on ");
	buf_adds(w->out, ")");
}

static const char *type_name(const struct klang_def *d)
{
	static const char *const names[] = {[KLANG_NONE] = "y or n",
					    [KLANG_BOOL] = "y or n",
					    [KLANG_TRISTATE] = "y, m or n",
					    [KLANG_NUMBER] = "a number",
					    [KLANG_STRING] = "a text in quotes"};

	return names[d->type];
}

static bool type_fits(const struct klang_def *d, const char *value)
{
	bool is_tri = str_eq(value, "y") || str_eq(value, "m") || str_eq(value, "n");

	if (d->type == KLANG_NUMBER || d->type == KLANG_STRING)
		return !is_tri && (d->type == KLANG_STRING) == (*value == '"');
	return is_tri && (d->type != KLANG_BOOL || *value != 'm');
}

/* Wanted off, but it is on (or has a value). */
static void why_on(struct why *w, const char *name)
{
	const struct klang_def *d = best_def(w, name, TRI_N);
	const struct klang_block *choice = choice_of(d);
	auto_cleanup(strv) by = {0}, hidden = {0};

	selectors(w, name, true, &by);
	prompt_culprits(w, d, TRI_Y, &hidden);
	if (by.n) {
		buf_adds(w->out, "selected by ");
		join(w->out, &by, ", ");
	} else if (choice) {
		buf_adds(w->out, "one of a choice, which took it: set another one of it");
	} else if (!d->prompt) {
		no_prompt(w, name, d);
	} else if (hidden.n) {
		buf_adds(w->out, "can only be turned off with ");
		join(w->out, &hidden, " and with ");
	} else {
		buf_adds(w->out, "it was asked for, or is the kernel's default");
	}
}

static void why_not(struct why *w, const char *name, const char *value)
{
	enum tristate want = tri(value);
	const struct klang_def *d = best_def(w, name, want);
	const struct klang_block *choice = choice_of(d);
	const char *other = choice ? taken(w, choice, name) : NULL;
	auto_cleanup(strv) missing = {0}, hidden = {0}, by = {0};

	if (want == TRI_M && str_eq(value_in(w, name), "y"))
		selectors(w, name, true, &by);
	def_culprits(w, d, want, &missing);
	prompt_culprits(w, d, want, &hidden);
	if (!type_fits(d, value)) {
		buf_addf(w->out, "takes %s, not %s", type_name(d), value);
	} else if (by.n) {
		buf_adds(w->out, "selected by ");
		join(w->out, &by, ", ");
	} else if (missing.n) {
		buf_adds(w->out, "depends on ");
		join(w->out, &missing, " and on ");
	} else if (!d->prompt) {
		no_prompt(w, name, d);
	} else if (hidden.n) {
		buf_adds(w->out, "can only be set with ");
		join(w->out, &hidden, " and with ");
	} else if (other) {
		buf_addf(w->out, "a choice: %s was taken", other);
	} else if (want == TRI_M && str_eq(value_in(w, "MODULES"), "n")) {
		buf_adds(w->out, "m needs MODULES, which is n");
	} else if (d->range) {
		buf_addf(w->out, "its range is %s", d->range);
	} else {
		const char *macro = kexpr_unknown(d->depends);

		if (macro)
			buf_addf(w->out, "depends on a test of the compiler and its tools: %.200s",
				 macro);
		else
			buf_adds(w->out, "it could be set: nothing that it depends on is missing");
	}
}

/* The name of the other architecture when its kernels have the option, else NULL. */
static const char *elsewhere(const struct why *w, const char *name)
{
	enum arch other = w->t->arch == ARCH_AMD64 ? ARCH_ARM64 : ARCH_AMD64;
	struct kconfig_tree *t = NULL;
	bool has = kconfig_tree_open(w->t->srctree, other, &t, NULL) == 0 && is_known(t, name);

	kconfig_tree_close(t);
	return has ? arch_name(other) : NULL;
}

static void unknown(const struct why *w, const char *name)
{
	const struct klang *k = &w->t->k;
	const char *version = w->values.config->version, *near, *other;
	auto_free const char **names = xcalloc(k->n + 1, sizeof(*names));
	struct kver kver;
	bool has_kver = version && kver_parse(version, &kver, NULL) == 0;
	auto_cleanup(buf) known = {0};

	buf_adds(w->out, "no such option");
	if (has_kver)
		buf_addf(w->out, " in %u.%u", kver.part[0], kver.part[1]);
	if (kconfig_history(name, has_kver ? &kver : NULL, &known)) {
		buf_addf(w->out, " (%s)", known.data);
		return;
	}
	other = elsewhere(w, name);
	if (other) {
		buf_addf(w->out, " for %s (%s has it)", arch_name(w->t->arch), other);
		return;
	}
	for (size_t i = 0; i < k->n; i++)
		names[i] = k->defs[i].name;
	/* among so many something is near to every short name */
	near = strlen(name) > SHORT_MAX ? str_nearest(name, names, k->n) : NULL;
	if (near)
		buf_addf(w->out, " (did you mean %s?)", near);
}

void kconfig_why(const struct kconfig_tree *t, const struct kconfig *c, const char *option,
		 const char *value, struct buf *out)
{
	const char *name = str_starts(option, "CONFIG_") ? option + 7 : option;
	auto_cleanup(buf) text = {0};
	struct why w = {.t = t, .values = {c, is_known, t}, .out = &text};

	if (!is_known(t, name))
		unknown(&w, name);
	else if (str_eq(value, "n"))
		why_on(&w, name);
	else
		why_not(&w, name, value);
	str_printable(out, text.data, text.len, 600, false);
}
