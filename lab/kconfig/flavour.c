#include "lab/kconfig/flavour.h"

#include <string.h>

#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

void flavour_deinit(struct flavour *f)
{
	strv_deinit(&f->fragments);
	free(f->word);
	*f = (struct flavour){0};
}

/* What a fragment is called in a kernel's name; its length goes to *len. */
static const char *fragment_word(const char *fragment, size_t *len)
{
	const char *slash = strrchr(fragment, '/'), *word = slash ? slash + 1 : fragment;

	*len = strlen(word);
	if (str_ends(word, ".config"))
		*len -= strlen(".config");
	return word;
}

bool flavour_fragment_ok(const char *name)
{
	size_t len;
	const char *word = fragment_word(name, &len);
	bool own = str_ends(name, ".config");

	return len > 0 && len <= 40 && strspn(word, WORD) >= len && !strchr("._-", word[0]) &&
	       strlen(name) < 4096 && (own || !strchr(name, '/'));
}

static int add(struct strv *v, const char *fragment, struct err *err)
{
	auto_cleanup(buf) shown = {0};

	if (strv_has(v, fragment))
		return 0;
	str_printable(&shown, fragment, strlen(fragment), 80, false);
	if (!flavour_fragment_ok(fragment))
		return err_set(
			err, EINVAL,
			"'%s' cannot name a fragment: it is a word like 'debug', or the path "
			"of a file that ends in .config",
			shown.data);
	if (v->n == FLAVOUR_MAX_FRAGMENTS)
		return err_set(err, EINVAL, "a flavour is at most %d fragments: '%s' is one more",
			       FLAVOUR_MAX_FRAGMENTS, shown.data);
	strv_add(v, fragment);
	return 0;
}

/* The names in text, one after another; an empty one ("debug++kasan") is an error too. */
static int add_text(struct strv *v, const char *text, struct err *err)
{
	for (const char *at = text;; at++) {
		size_t n = strcspn(at, "+,");
		auto_free char *one = xstrndup(at, n);
		int r;

		if (!n)
			return err_set(err, EINVAL,
				       "flavour '%.80s': names joined by '+' are expected, like "
				       "debug+kasan",
				       text);
		if (str_eq(one, "default"))
			return err_set(err, EINVAL,
				       "flavour '%.80s': 'default' stands alone: it is what "
				       "kernels.yml says",
				       text);
		r = add(v, one, err);
		if (r < 0)
			return r;
		at += n;
		if (!*at)
			return 0;
	}
}

/* The fragments but minimal and guest, as names joined by '+'. Returns -EINVAL: two of one name. */
static int add_words(struct buf *word, const struct strv *fragments, struct err *err)
{
	auto_cleanup(strv) seen = {0};

	for (size_t i = 0; i < fragments->n; i++) {
		size_t len;
		const char *at = fragment_word(fragments->items[i], &len);
		char *name = xstrndup(at, len);
		bool twice = strv_has(&seen, name);

		strv_take(&seen, name);
		if (twice)
			return err_set(err, EINVAL, "two fragments are called '%s': rename a file",
				       name);
		if (!str_eq(name, "minimal") && !str_eq(name, "guest"))
			buf_addf(word, "%s%s", word->len ? "+" : "", name);
	}
	return 0;
}

int flavour_parse(const char *text, const struct strv *own, struct flavour *ret, struct err *err)
{
	auto_cleanup(strv) named = {0}, all = {0};
	auto_cleanup(flavour) f = {0};
	auto_cleanup(buf) word = {0};
	bool minimal, guest;
	int r = text && !str_eq(text, "default") ? add_text(&named, text, err) : 0;

	minimal = strv_has(&named, "minimal");
	guest = strv_has(&named, "guest");
	for (size_t i = 0; r == 0 && i < named.n; i++)
		r = add(&all, named.items[i], err);
	for (size_t i = 0; r == 0 && own && i < own->n; i++)
		if (!minimal || !str_eq(own->items[i], "guest"))
			r = add(&all, own->items[i], err);
	if (r < 0)
		return r;
	guest |= !strv_has(&all, "minimal") || strv_has(&all, "guest");
	strv_add(&f.fragments, "minimal");
	if (guest)
		strv_add(&f.fragments, "guest");
	else
		buf_adds(&word, "minimal");
	if (all.n)
		strv_sort(&all);
	for (size_t i = 0; i < all.n; i++)
		if (!str_eq(all.items[i], "minimal") && !str_eq(all.items[i], "guest"))
			strv_add(&f.fragments, all.items[i]);
	r = add_words(&word, &f.fragments, err);
	if (r < 0)
		return r;
	f.word = xstrdup(word.len ? word.data : "guest");
	*ret = f;
	f = (struct flavour){0};
	return 0;
}

void flavour_split(const char *spec, char **pin, char **text)
{
	const char *plus = strchr(spec, '+'), *slash = strchr(spec, '/');

	if (!plus || str_ends(spec, ".deb") || (slash && slash < plus)) {
		*pin = xstrdup(spec);
		*text = NULL;
		return;
	}
	*pin = xstrndup(spec, plus - spec);
	*text = xstrdup(plus + 1);
}
