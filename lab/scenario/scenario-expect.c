#include "lab/scenario/scenario-expect.h"

#include <signal.h>
#include <string.h>

#include "lab/scenario/scenario-regex.h"

int scenario_read_archs(const struct yaml *y, const struct yaml_node *node, const char *what,
			unsigned int *ret, struct err *err)
{
	auto_cleanup(strv) names = {0};
	unsigned int mask = 0;

	if (yaml_strings(y, node, what, &names, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < names.n; i++) {
		int arch = arch_parse(names.items[i]);

		if (arch < 0)
			return yaml_error(y, node->kind == YAML_LIST ? &node->items[i] : node, err,
					  "unknown architecture '%.40s' (known: amd64, arm64)",
					  names.items[i]);
		mask |= 1u << arch;
	}
	if (!mask)
		return yaml_error(y, node, err, "%s names no architecture", what);
	*ret = mask;
	return 0;
}

int scenario_read_range(const struct yaml *y, const struct yaml_node *node, const char *what,
			struct kver_range *ret, struct err *err)
{
	const char *text;
	struct err why = {0};

	if (yaml_string(y, node, what, &text, err) < 0)
		return -EINVAL;
	if (kver_range_parse(text, ret, &why) < 0)
		return yaml_error(y, node, err, "%s", why.msg);
	return 0;
}

static bool is_config(const char *name)
{
	return *name && strlen(name) <= 128 &&
	       !name[strspn(name,
			    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")];
}

int scenario_read_config(const struct yaml *y, const struct yaml_node *node, const char *what,
			 struct strv *ret, struct err *err)
{
	if (yaml_strings(y, node, what, ret, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ret->n; i++)
		if (!is_config(ret->items[i]))
			return yaml_error(y, node->kind == YAML_LIST ? &node->items[i] : node, err,
					  "%s: '%.80s' is not a kernel option (like OVERLAY_FS)",
					  what, ret->items[i]);
	return 0;
}

static int read_match(const struct yaml *y, const struct yaml_node *node, const char *what,
		      struct match *m, struct err *err)
{
	struct err why = {0};
	const char *text;
	size_t len;

	if (node->kind == YAML_MAP) {
		static const char *const keys[] = {"not"};

		if (yaml_check_keys(y, node, what, keys, array_len(keys), err) < 0)
			return -EINVAL;
		if (!node->n)
			return yaml_error(y, node, err, "%s: an empty map (write {not: text})",
					  what);
		m->negate = true;
		node = &node->items[0];
	}
	if (yaml_string(y, node, what, &text, err) < 0)
		return -EINVAL;
	len = strlen(text);
	if (!len)
		return yaml_error(y, node, err,
				  "%s: an empty text matches everything; to expect no output write "
				  "/./ under not:",
				  what);
	m->regex = len >= 2 && text[0] == '/' && text[len - 1] == '/';
	if (!m->regex) {
		m->text = xstrdup(text);
		return 0;
	}
	m->text = xstrndup(text + 1, len - 2);
	if (scenario_regex_check(m->text, &why) < 0)
		return yaml_error(y, node, err, "%s: %s", what, why.msg);
	return 0;
}

/* text, {not: text}, or a list of those */
static int read_matches(const struct yaml *y, const struct yaml_node *node, const char *what,
			struct matches *ret, struct err *err)
{
	const struct yaml_node *items = node->kind == YAML_LIST ? node->items : node;
	size_t n = node->kind == YAML_LIST ? node->n : 1;

	if (!n)
		return yaml_error(y, node, err, "%s: an empty list", what);
	ret->items = xcalloc(n, sizeof(*ret->items));
	for (size_t i = 0; i < n; i++) {
		ret->n++;
		if (read_match(y, &items[i], what, &ret->items[i], err) < 0)
			return -EINVAL;
	}
	return 0;
}

static int read_files(const struct yaml *y, const struct yaml_node *node, struct expect *e,
		      struct err *err)
{
	if (node->kind != YAML_MAP)
		return yaml_error(y, node, err,
				  "files in an expectation must be a map (path: text)");
	e->files = xcalloc(node->n, sizeof(*e->files));
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *value = &node->items[i];
		const char *path = node->keys[i].text;
		struct expect_file *f = &e->files[e->n_files];

		if (!path_is_inside(path))
			return yaml_error(y, &node->keys[i], err,
					  "files: '%.80s' must be a path inside the working folder "
					  "(no '..', no leading '/')",
					  path);
		e->n_files++;
		f->path = xstrdup(path);
		f->absent = value->kind == YAML_SCALAR && !value->quoted &&
			    str_eq(value->text, "absent");
		if (!f->absent && read_matches(y, value, path, &f->content, err) < 0)
			return -EINVAL;
	}
	return 0;
}

static int read_signal(const struct yaml *y, const struct yaml_node *node, int *ret,
		       struct err *err)
{
	uint64_t number;

	if (node->kind == YAML_SCALAR) {
		const char *name = node->text;

		if (str_to_u64(name, 1, 64, &number) == 0) {
			*ret = (int)number;
			return 0;
		}
		if (str_starts(name, "SIG"))
			name += 3;
		for (int sig = 1; sig < 32; sig++) {
			const char *known = sigabbrev_np(sig);

			if (known && str_eq(known, name)) {
				*ret = sig;
				return 0;
			}
		}
	}
	return yaml_error(y, node, err,
			  "signal must be a name like SIGSEGV, or a number from 1 to 64");
}

static int read_exit(const struct yaml *y, const struct yaml_node *node, int *ret, struct err *err)
{
	int64_t code;

	if (node->kind == YAML_SCALAR && !node->quoted && str_eq(node->text, "any")) {
		*ret = -1;
		return 0;
	}
	if (yaml_int(y, node, "exit", 0, 255, &code, NULL) < 0)
		return yaml_error(y, node, err, "exit must be a number from 0 to 255, or any");
	*ret = (int)code;
	return 0;
}

static int read_when(const struct yaml *y, const struct yaml_node *when, struct expect *e,
		     struct err *err)
{
	static const char *const keys[] = {"kernel", "arch", "config"};
	const struct yaml_node *node;

	if (yaml_check_keys(y, when, "when", keys, array_len(keys), err) < 0)
		return -EINVAL;
	if (!when->n)
		return yaml_error(y, when, err, "an empty when (known: kernel, arch, config)");
	if ((node = yaml_get(when, "kernel")) &&
	    scenario_read_range(y, node, "kernel", &e->kernel, err) < 0)
		return -EINVAL;
	if ((node = yaml_get(when, "arch")) &&
	    scenario_read_archs(y, node, "arch", &e->archs, err) < 0)
		return -EINVAL;
	if ((node = yaml_get(when, "config")) &&
	    scenario_read_config(y, node, "config", &e->config, err) < 0)
		return -EINVAL;
	return 0;
}

/* How it ends: one of exit, signal, crash, hang; exit 0 when none is given. */
static int read_ending(const struct yaml *y, const struct yaml_node *map, struct expect *e,
		       struct err *err)
{
	static const char *const ends[] = {"exit", "signal", "crash", "hang"};
	const struct yaml_node *node, *first = NULL;
	const char *first_name = NULL;

	for (size_t i = 0; i < array_len(ends); i++) {
		node = yaml_get(map, ends[i]);
		if (!node)
			continue;
		if (first)
			return yaml_error(
				y, node, err,
				"%s contradicts %s in line %u: it can only end in one way", ends[i],
				first_name, first->line);
		first = node;
		first_name = ends[i];
	}
	e->exit_code = first ? -1 : 0;
	if ((node = yaml_get(map, "exit")) && read_exit(y, node, &e->exit_code, err) < 0)
		return -EINVAL;
	if ((node = yaml_get(map, "signal")) && read_signal(y, node, &e->signal, err) < 0)
		return -EINVAL;
	if ((node = yaml_get(map, "crash")) && read_matches(y, node, "crash", &e->crash, err) < 0)
		return -EINVAL;
	if ((node = yaml_get(map, "hang"))) {
		if (yaml_bool(y, node, "hang", &e->hang, err) < 0)
			return -EINVAL;
		if (!e->hang)
			return yaml_error(y, node, err,
					  "hang: false is what every expectation means; remove it");
	}
	return 0;
}

static int read_entry(const struct yaml *y, const struct yaml_node *map, struct expect *e,
		      struct err *err)
{
	static const char *const keys[] = {"when",    "exit",  "signal", "stdout", "stderr",
					   "console", "files", "crash",	 "hang"};
	const struct {
		const char *name;
		struct matches *matches;
	} texts[] = {{"stdout", &e->out}, {"stderr", &e->err}, {"console", &e->console}};
	const struct yaml_node *node;

	e->line = map->line;
	if (yaml_check_keys(y, map, "an expectation", keys, array_len(keys), err) < 0)
		return -EINVAL;
	if ((node = yaml_get(map, "when")) && read_when(y, node, e, err) < 0)
		return -EINVAL;
	if (read_ending(y, map, e, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < array_len(texts); i++)
		if ((node = yaml_get(map, texts[i].name)) &&
		    read_matches(y, node, texts[i].name, texts[i].matches, err) < 0)
			return -EINVAL;
	if ((node = yaml_get(map, "files")) && read_files(y, node, e, err) < 0)
		return -EINVAL;
	return 0;
}

int scenario_read_expects(const struct yaml *y, const struct yaml_node *node, struct scenario *s,
			  struct err *err)
{
	const struct yaml_node *items = node->kind == YAML_LIST ? node->items : node;
	size_t n = node->kind == YAML_LIST ? node->n : 1;

	if (!n)
		return yaml_error(y, node, err, "expect is empty (without it, exit 0 is expected)");
	s->expects = xcalloc(n, sizeof(*s->expects));
	for (size_t i = 0; i < n; i++) {
		s->n_expects++;
		if (read_entry(y, &items[i], &s->expects[i], err) < 0)
			return -EINVAL;
		if (i + 1 < n && !yaml_get(&items[i], "when"))
			return yaml_error(y, &items[i], err,
					  "an expectation without 'when' always applies: those "
					  "after it are never reached (put it last)");
	}
	return 0;
}

static void matches_deinit(struct matches *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i].text);
	free(m->items);
}

void scenario_expect_deinit(struct expect *e)
{
	strv_deinit(&e->config);
	matches_deinit(&e->crash);
	matches_deinit(&e->out);
	matches_deinit(&e->err);
	matches_deinit(&e->console);
	for (size_t i = 0; i < e->n_files; i++) {
		free(e->files[i].path);
		matches_deinit(&e->files[i].content);
	}
	free(e->files);
	*e = (struct expect){0};
}
