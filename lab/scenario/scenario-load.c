#include "lab/scenario/scenario-load.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "jail/base/yaml.h"
#include "lab/cache.h"
#include "lab/crash/known.h"

enum { MAX_DEPTH = 16 };

struct loader {
	const char *filter;
	struct scenario_set set;
	size_t cap;
	struct strv *mistakes;
	size_t n_mistakes;
	size_t n_files, n_filtered; /* scenario files seen, and left out by filter */
};

/* Text about files may hold anything that a file's name can hold. */
static void add_mistake(struct loader *l, const char *text)
{
	auto_cleanup(buf) line = {0};

	if (l->n_mistakes++ >= SCENARIO_LOAD_MAX_MISTAKES)
		return;
	str_printable(&line, text, strlen(text), sizeof(((struct err *)0)->msg), false);
	strv_add(l->mistakes, line.data);
}

static bool is_scenario(const char *name)
{
	return *name != '.' && str_ends(name, ".yml") && !str_ends(name, ".policy.yml") &&
	       !str_eq(name, KNOWN_FILE);
}

/* The folder whose scenarios are being loaded: as it was asked for, and its real path. */
struct root {
	const char *asked, *real;
};

static char *scenario_name(const struct root *root, const char *path)
{
	static const char mark[] = "/scenarios/";
	const char *below = path + strlen(root->asked);
	auto_free char *real = NULL;

	while (*below == '/')
		below++;
	real = path_join(root->real, below);
	for (const char *p = strstr(real, mark); p; p = strstr(p + 1, mark))
		below = p + strlen(mark);
	return xstrndup(below, strlen(below) - strlen(".yml"));
}

/* --- one file --- */

static void check_files(struct loader *l, const struct scenario *s)
{
	const char *slash = strrchr(s->path, '/');
	auto_free char *dir = slash ? xstrndup(s->path, slash - s->path + 1) : xstrdup(".");
	auto_close int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < s->files.n; i++) {
		const char *file = s->files.items[i];
		auto_close int fd =
			io_open_beneath(dirfd, file, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, true);
		auto_free char *text = NULL;
		struct stat st;
		const char *why = NULL;

		if (fd < 0)
			why = errno == ENOENT	 ? "does not exist"
			      : errno == EXDEV	 ? "leads out of the scenario's folder by a link"
			      : errno == ENOTDIR ? "does not exist (a part of its path is a file)"
						 : strerror(errno);
		else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
			why = "is not a regular file";
		if (!why)
			continue;
		text = str_printf("%s:%u:%u: %s %s", s->path, s->files_at[i].line,
				  s->files_at[i].column, file, why);
		add_mistake(l, text);
	}
}

char *scenario_module_dir(const struct scenario *s, const char *module, struct err *err)
{
	const char *slash = strrchr(s->path, '/');
	auto_free char *home = NULL, *path = NULL;

	if (strchr(module, '/'))
		return str_printf("%.*s%.*s", slash ? (int)(slash - s->path + 1) : 0, s->path,
				  (int)(strlen(module) - str_ends(module, "/")), module);
	home = home_dir(err);
	path = home ? path_join("vm", module) : NULL;
	return home ? path_join(home, path) : NULL;
}

static void check_modules(struct loader *l, const struct scenario *s)
{
	for (size_t i = 0; i < s->modules.n; i++) {
		const char *module = s->modules.items[i];
		struct err err = {0};
		auto_free char *dir = scenario_module_dir(s, module, &err);
		auto_free char *kbuild = dir ? path_join(dir, "Kbuild") : NULL;
		auto_free char *makefile = dir ? path_join(dir, "Makefile") : NULL;
		auto_free char *text = NULL;

		if (dir && (io_exists(kbuild) || io_exists(makefile)))
			continue;
		text = str_printf("%s:%u:%u: module %s: %s%s", s->path, s->modules_at[i].line,
				  s->modules_at[i].column, module,
				  dir ? "there is no Kbuild or Makefile in " : err.msg,
				  dir ? dir : "");
		add_mistake(l, text);
	}
}

static void add_scenario(struct loader *l, struct scenario *s)
{
	if (l->set.n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 32;
		l->set.items = xreallocarray(l->set.items, l->cap, sizeof(*l->set.items));
	}
	l->set.items[l->set.n++] = *s;
	*s = (struct scenario){0};
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int read_scenario(const char *path, struct buf *text, struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0)
		return err_errno(err, "%s", path);
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s: not a regular file", path);
	r = io_read_fd(fd, YAML_MAX_BYTES, text, err);
	if (r == -EFBIG)
		return err_set(err, E2BIG,
			       "%s:1:1: larger than %d KiB, which is too much for a scenario", path,
			       YAML_MAX_BYTES >> 10);
	return r < 0 ? err_wrap(err, "%s", path) : 0;
}

static int load_file(struct loader *l, const char *path, const struct root *root, struct err *err)
{
	auto_free char *name = scenario_name(root, path);
	auto_cleanup(buf) text = {0};
	auto_cleanup(scenario) s = {0};
	struct err why = {0};

	l->n_files++;
	if (l->filter && fnmatch(l->filter, name, 0) != 0) {
		l->n_filtered++;
		return 0;
	}
	if (!path_is_inside(name)) {
		auto_free char *line =
			str_printf("%s: cannot name a scenario (control characters?)", path);

		add_mistake(l, line);
		return 0;
	}
	for (size_t i = 0; i < l->set.n; i++)
		if (str_eq(l->set.items[i].name, name)) {
			auto_free char *line = NULL;

			if (same_file(l->set.items[i].path, path))
				return 0;
			line = str_printf("%s: a second scenario called %s (the other is %s)", path,
					  name, l->set.items[i].path);
			add_mistake(l, line);
			return 0;
		}
	if (l->set.n >= SCENARIO_LOAD_MAX)
		return err_set(err, E2BIG, "more than %d scenarios", SCENARIO_LOAD_MAX);
	if (read_scenario(path, &text, &why) < 0 ||
	    scenario_parse(path, text.data, text.len, &s, &why) < 0) {
		add_mistake(l, why.msg);
		return 0;
	}
	free(s.name);
	s.name = take_ptr(name);
	check_files(l, &s);
	check_modules(l, &s);
	add_scenario(l, &s);
	return 0;
}

/* --- folders --- */

static int load_dir(struct loader *l, const char *dir, const struct root *root, int depth,
		    struct err *err)
{
	auto_closedir DIR *d = opendir(dir);
	auto_cleanup(strv) entries = {0};
	struct dirent *e;

	if (!d)
		return err_errno(err, "%s", dir);
	if (depth > MAX_DEPTH)
		return err_set(err, ELOOP, "%s: folders nested deeper than %d", dir, MAX_DEPTH);
	while ((e = readdir(d)))
		strv_add(&entries, e->d_name);
	strv_sort(&entries);
	for (size_t i = 0; i < entries.n; i++) {
		const char *entry = entries.items[i];
		auto_free char *path = path_join(dir, entry);
		struct stat st;
		int r = 0;

		if (*entry == '.' || lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && !str_eq(entry, "files"))
			r = load_dir(l, path, root, depth + 1, err);
		else if (!S_ISDIR(st.st_mode) && is_scenario(entry))
			r = load_file(l, path, root, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int load_path(struct loader *l, const char *path, struct err *err)
{
	size_t before = l->n_files;
	const char *slash = strrchr(path, '/');
	auto_free char *dir = NULL, *real = NULL;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return errno == ENOENT
			       ? err_set(err, ENOENT, "%s: no such scenario or folder", path)
			       : err_errno(err, "%s", path);
	if (!S_ISDIR(st.st_mode) && str_ends(path, ".policy.yml"))
		return err_set(err, ENOENT, "%s: this is a policy, not a scenario", path);
	if (!S_ISDIR(st.st_mode) && !str_ends(path, ".yml"))
		return err_set(err, ENOENT, "%s: a scenario's name must end in .yml", path);
	if (S_ISDIR(st.st_mode))
		dir = xstrdup(path);
	else
		dir = slash ? xstrndup(path, slash - path + 1) : xstrdup("");
	real = realpath(*dir ? dir : ".", NULL);
	if (!real)
		return err_errno(err, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return load_file(l, path, &(struct root){dir, real}, err);
	r = load_dir(l, path, &(struct root){dir, real}, 0, err);
	if (r == 0 && l->n_files == before)
		return err_set(err, ENOENT, "%s: no scenario in this folder (files called *.yml)",
			       path);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct scenario *)a)->name, ((const struct scenario *)b)->name);
}

static int load_all(struct loader *l, char *const *paths, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = load_path(l, paths[i], err);

		if (r < 0)
			return r;
	}
	if (l->n_mistakes) {
		if (l->n_mistakes > SCENARIO_LOAD_MAX_MISTAKES)
			strv_addf(l->mistakes, "… and %zu more",
				  l->n_mistakes - SCENARIO_LOAD_MAX_MISTAKES);
		return err_set(err, EINVAL, "%s", l->mistakes->items[0]);
	}
	if (!l->set.n)
		return err_set(err, ENOENT,
			       "no scenario is called like '%s' (%zu are there: lab list)",
			       l->filter ? l->filter : "", l->n_filtered);
	qsort(l->set.items, l->set.n, sizeof(*l->set.items), compare_names);
	return 0;
}

int scenario_load(char *const *paths, size_t n, const char *filter, struct scenario_set *ret,
		  struct strv *mistakes, struct err *err)
{
	struct loader l = {.filter = filter, .mistakes = mistakes};
	int r = load_all(&l, paths, n, err);

	if (r < 0) {
		scenario_set_deinit(&l.set);
		return r;
	}
	*ret = l.set;
	return 0;
}

void scenario_set_deinit(struct scenario_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		scenario_deinit(&set->items[i]);
	free(set->items);
	*set = (struct scenario_set){0};
}
