#include "lab/crash/known.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/yaml.h"
#include "lab/scenario/scenario-expect.h"
#include "lab/scenario/scenario-regex.h"

enum { TOLD_MAX = 10 };

/* "2026-11-22", a day that there is */
static bool is_date(const char *s)
{
	static const unsigned char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int month, day;

	if (strlen(s) != 10)
		return false;
	for (int i = 0; i < 10; i++)
		if (i == 4 || i == 7 ? s[i] != '-' : !isdigit((unsigned char)s[i]))
			return false;
	month = atoi(s + 5);
	day = atoi(s + 8);
	return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

static int read_title(const struct yaml *y, const struct yaml_node *node, struct known *k,
		      struct err *err)
{
	struct err why = {0};
	const char *text;
	size_t len;

	if (yaml_string(y, node, "title", &text, err) < 0)
		return -EINVAL;
	len = strlen(text);
	k->regex = len >= 2 && *text == '/' && text[len - 1] == '/';
	k->title = k->regex ? xstrndup(text + 1, len - 2) : xstrdup(text);
	if (k->regex && scenario_regex_check(k->title, &why) < 0)
		return yaml_error(y, node, err, "title: %s", why.msg);
	return 0;
}

static int read_text(const struct yaml *y, const struct yaml_node *entry, const char *key,
		     const char *why, char **ret, struct err *err)
{
	const struct yaml_node *node = yaml_get(entry, key);
	const char *text;

	if (!node)
		return yaml_error(y, entry, err, "a known crash needs '%s': %s", key, why);
	if (yaml_string(y, node, key, &text, err) < 0)
		return -EINVAL;
	if (!*text)
		return yaml_error(y, node, err, "%s is empty: %s", key, why);
	*ret = xstrdup(text);
	return 0;
}

static int read_entry(const struct yaml *y, const struct yaml_node *entry, const char *today,
		      struct known *k, struct err *err)
{
	static const char *const keys[] = {"title", "kernel", "arch", "reason", "link", "until"};
	const struct yaml_node *title, *kernel, *arch;

	if (yaml_check_keys(y, entry, "a known crash", keys, array_len(keys), err) < 0)
		return -EINVAL;
	k->file = xstrdup(y->name);
	k->line = entry->line;
	title = yaml_get(entry, "title");
	kernel = yaml_get(entry, "kernel");
	arch = yaml_get(entry, "arch");
	if (!title)
		return yaml_error(y, entry, err,
				  "a known crash needs 'title': its title or /regex/");
	if (read_title(y, title, k, err) < 0 ||
	    (kernel && scenario_read_range(y, kernel, "kernel", &k->kernel, err) < 0) ||
	    (arch && scenario_read_archs(y, arch, "arch", &k->archs, err) < 0) ||
	    read_text(y, entry, "reason", "why it may pass", &k->reason, err) < 0 ||
	    read_text(y, entry, "link", "where it is worked on", &k->link, err) < 0 ||
	    read_text(y, entry, "until", "its last day, as 2027-01-31", &k->until, err) < 0)
		return -EINVAL;
	if (!str_starts(k->link, "https://") && !str_starts(k->link, "http://"))
		return yaml_error(y, yaml_get(entry, "link"), err,
				  "link: '%.80s' does not begin with https://", k->link);
	if (!is_date(k->until))
		return yaml_error(y, yaml_get(entry, "until"), err,
				  "until: '%.40s' is not a day, as 2027-01-31", k->until);
	k->over = strcmp(k->until, today) < 0;
	return 0;
}

int known_parse(const char *name, const char *text, size_t len, const char *today,
		struct known_list *ret, struct err *err)
{
	auto_cleanup(yaml) y = {0};
	int r = yaml_parse(name, text, len, &y, err);

	if (r < 0)
		return r;
	if (y.root.kind != YAML_LIST)
		return yaml_error(&y, &y.root, err,
				  "known crashes are a list (- title: …, reason, link, until)");
	if (y.root.n > KNOWN_MAX - ret->n)
		return err_set(err, E2BIG, "%s: more than %d known crashes", name, KNOWN_MAX);
	ret->items = xreallocarray(ret->items, ret->n + y.root.n, sizeof(*ret->items));
	for (size_t i = 0; i < y.root.n; i++) {
		struct known *k = &ret->items[ret->n++];

		*k = (struct known){0};
		if (read_entry(&y, &y.root.items[i], today, k, err) < 0)
			return -EINVAL;
	}
	return 0;
}

static bool has_title(const struct known *k, const regex_t *re, const char *title)
{
	return k->regex ? regexec(re, title, 0, NULL, 0) == 0 : str_eq(k->title, title);
}

static bool names(const struct known *k, const struct crash *crash)
{
	bool found;
	regex_t re;

	if (k->regex && regcomp(&re, k->title, REG_EXTENDED | REG_NOSUB))
		return false; /* known_parse() has compiled it before */
	found = has_title(k, &re, crash->title);
	for (size_t i = 0; i < crash->alternatives.n && !found; i++)
		found = has_title(k, &re, crash->alternatives.items[i]);
	if (k->regex)
		regfree(&re);
	return found;
}

static bool is_about(const struct known *k, const struct kver *kernel, enum arch arch)
{
	return kver_in_range(kernel, &k->kernel) && (!k->archs || k->archs & 1u << arch);
}

void known_concern(struct known_list *list, const struct kver *kernel, enum arch arch)
{
	for (size_t i = 0; i < list->n; i++)
		list->items[i].concerned |= is_about(&list->items[i], kernel, arch);
}

const struct known *known_find(struct known_list *list, const struct kver *kernel, enum arch arch,
			       const struct crash *crash)
{
	for (size_t i = 0; i < list->n; i++) {
		struct known *k = &list->items[i];

		if (!is_about(k, kernel, arch) || !names(k, crash))
			continue;
		k->matched = true;
		if (!k->over)
			return k;
	}
	return NULL;
}

void known_add_unmatched(const struct known_list *list, struct buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct known *k = &list->items[i];

		if (!k->concerned || k->matched)
			continue;
		if (n < TOLD_MAX)
			buf_addf(out, "%s%s:%u", n ? ", " : "", k->file, k->line);
		n++;
	}
	if (n > TOLD_MAX)
		buf_addf(out, " and %zu more", n - TOLD_MAX);
}

void known_list_deinit(struct known_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct known *k = &list->items[i];

		free(k->title);
		free(k->file);
		free(k->reason);
		free(k->link);
		free(k->until);
	}
	free(list->items);
	*list = (struct known_list){0};
}
