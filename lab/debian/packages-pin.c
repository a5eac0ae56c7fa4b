#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "jail/base/yaml.h"
#include "lab/cache.h"
#include "lab/debian/apt.h"
#include "lab/debian/debver.h"
#include "lab/kernel/kernel-pin.h"

/* One architecture's index, and what was chosen from it so far. */
struct entry {
	struct deb deb;
	struct strv depends; /* as deb822_depends() gives them */
	bool chosen;
};
struct index {
	const char *suite, *stamp;
	struct entry *entries;
	size_t n, cap;
	struct provided {
		char *name;
		char *by;
	} * provided;
	size_t n_provided;
	const struct strv *exclude;
};

static void index_deinit(struct index *x)
{
	for (size_t i = 0; i < x->n; i++) {
		deb_deinit(&x->entries[i].deb);
		strv_deinit(&x->entries[i].depends);
	}
	for (size_t i = 0; i < x->n_provided; i++) {
		free(x->provided[i].name);
		free(x->provided[i].by);
	}
	free(x->entries);
	free(x->provided);
}
DEFINE_CLEANUP(index, index_deinit)

static int collect(void *data, const struct deb822 *s, struct err *err)
{
	static const char *const fields[] = {"Pre-Depends", "Depends"};
	struct index *x = data;
	const char *provides = deb822_get(s, "Provides");
	auto_cleanup(strv) names = {0};
	struct entry *e;

	if (x->n == x->cap) {
		x->cap = x->cap ? 2 * x->cap : 1024;
		x->entries = xreallocarray(x->entries, x->cap, sizeof(*x->entries));
	}
	e = &x->entries[x->n];
	*e = (struct entry){0};
	if (deb_from_stanza(s, x->suite, x->stamp, &e->deb, err) < 0)
		return err ? -err->code : -EIO;
	x->n++;
	for (size_t i = 0; i < array_len(fields); i++)
		if (deb822_get(s, fields[i]))
			deb822_depends(deb822_get(s, fields[i]), &e->depends);
	if (provides)
		deb822_depends(provides, &names);
	for (size_t i = 0; i < names.n; i++) {
		if (!(x->n_provided & (x->n_provided - 1)))
			x->provided =
				xreallocarray(x->provided, x->n_provided ? 2 * x->n_provided : 1,
					      sizeof(*x->provided));
		x->provided[x->n_provided++] =
			(struct provided){take_ptr(names.items[i]), xstrdup(e->deb.name)};
	}
	names.n = 0; /* its strings were taken over */
	return 0;
}

/* By name, the newest version first. */
static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = strcmp(x->deb.name, y->deb.name);

	return r ? r : debver_compare(y->deb.version, x->deb.version);
}

static struct entry *find(const struct index *x, const char *name)
{
	size_t low = 0, high = x->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(x->entries[middle].deb.name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < x->n && str_eq(x->entries[low].deb.name, name) ? &x->entries[low] : NULL;
}

/*
 * What "a|b" means here: the first alternative that is a package, else the first that one provides.
 */
static struct entry *resolve(const struct index *x, const char *group)
{
	auto_cleanup(strv) names = {0};
	struct entry *e = NULL;

	strv_split(&names, group, '|');
	for (size_t i = 0; !e && i < names.n; i++)
		e = find(x, names.items[i]);
	for (size_t i = 0; !e && i < names.n; i++)
		for (size_t k = 0; !e && k < x->n_provided; k++)
			if (str_eq(x->provided[k].name, names.items[i]))
				e = find(x, x->provided[k].by);
	return e;
}

static bool is_excluded(const struct index *x, const char *group)
{
	auto_cleanup(strv) names = {0};

	strv_split(&names, group, '|');
	return names.n && strv_has(x->exclude, names.items[0]);
}

/* Choose e and all it needs; its depends become names of packages. */
static int choose(struct index *x, struct entry *e, struct err *err)
{
	struct strv names = {0};

	if (e->chosen)
		return 0;
	e->chosen = true;
	for (size_t i = 0; i < e->depends.n; i++) {
		struct entry *need;
		int r;

		if (is_excluded(x, e->depends.items[i]))
			continue;
		need = resolve(x, e->depends.items[i]);
		if (!need) {
			strv_deinit(&names);
			return err_set(err, ENOENT, "%s needs %s, which %s does not have",
				       e->deb.name, e->depends.items[i], x->suite);
		}
		if (strv_has(x->exclude, need->deb.name) || strv_has(&names, need->deb.name))
			continue;
		strv_add(&names, need->deb.name);
		r = choose(x, need, err);
		if (r < 0) {
			strv_deinit(&names);
			return r;
		}
	}
	strv_sort(&names);
	strv_deinit(&e->depends);
	e->depends = names;
	return 0;
}

/* vm/packages.yml: suite, packages, exclude. */
static int load_wish(const char *home, char **suite, struct strv *packages, struct strv *exclude,
		     struct err *err)
{
	static const char *const keys[] = {"suite", "packages", "exclude"};
	auto_free char *path = path_join(home, "vm/packages.yml");
	auto_cleanup(yaml) y = {0};
	const struct yaml_node *node;
	const char *text;
	int r = yaml_parse_file(AT_FDCWD, path, &y, err);

	if (r < 0)
		return r;
	if (yaml_check_keys(&y, &y.root, "the list of packages", keys, array_len(keys), err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < 2; i++)
		if (!yaml_get(&y.root, keys[i]))
			return yaml_error(&y, &y.root, err, "%s is missing", keys[i]);
	if (yaml_string(&y, yaml_get(&y.root, "suite"), "suite", &text, err) < 0 ||
	    yaml_strings(&y, yaml_get(&y.root, "packages"), "packages", packages, err) < 0)
		return -EINVAL;
	if (!lock_name_ok(text))
		return yaml_error(&y, yaml_get(&y.root, "suite"), err, "'%.60s' cannot be a suite",
				  text);
	*suite = xstrdup(text);
	node = yaml_get(&y.root, "exclude");
	return node ? yaml_strings(&y, node, "exclude", exclude, err) : 0;
}

static int pin_arch(const struct apt_suite *suite, enum arch arch, const struct strv *packages,
		    const struct strv *exclude, struct packages_lock *lock,
		    kernel_progress_fn progress, void *data, struct err *err)
{
	auto_free char *stamp = pin_stamp(suite->date);
	auto_cleanup(index) x = {.suite = suite->name, .stamp = stamp, .exclude = exclude};
	int r = apt_suite_packages(suite, arch, progress, data, collect, &x, err);

	if (r < 0)
		return r;
	qsort(x.entries, x.n, sizeof(*x.entries), compare);
	for (size_t i = 0; i < packages->n; i++) {
		struct entry *e = find(&x, packages->items[i]);

		if (!e)
			return err_set(err, ENOENT,
				       "vm/packages.yml: %s has no package '%.80s' for %s",
				       suite->name, packages->items[i], arch_name(arch));
		r = choose(&x, e, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < x.n; i++) {
		struct entry *e = &x.entries[i];

		if (!e->chosen)
			continue;
		lock->items = xreallocarray(lock->items, lock->n + 1, sizeof(*lock->items));
		lock->items[lock->n++] =
			(struct lock_package){.deb = e->deb, .arch = arch, .depends = e->depends};
		e->deb = (struct deb){0};
		e->depends = (struct strv){0};
	}
	return 0;
}

int packages_pin(kernel_progress_fn progress, void *data, size_t *n, struct err *err)
{
	auto_free char *home = home_dir(err), *name = NULL, *path = NULL;
	auto_cleanup(strv) packages = {0}, exclude = {0};
	auto_cleanup(packages_lock) lock = {0};
	auto_cleanup(apt_suite) suite = {0};
	auto_cleanup(buf) text = {0};
	auto_close int only_one = home ? apt_lock(err) : -1;
	int r = only_one >= 0 ? load_wish(home, &name, &packages, &exclude, err)
		: err	      ? -err->code
			      : -EIO;

	if (r == 0)
		r = apt_suite_open(name, &suite, err);
	for (int arch = 0; r == 0 && arch < ARCH_COUNT; arch++)
		r = pin_arch(&suite, arch, &packages, &exclude, &lock, progress, data, err);
	if (r < 0)
		return r;
	if (!lock.n)
		return err_set(err, EINVAL, "vm/packages.yml names no packages");
	packages_lock_print(&lock, &text);
	*n = lock.n;
	path = path_join(home, "vm/packages.lock");
	return io_write_atomic(AT_FDCWD, path, text.data, text.len, 0644, err);
}
