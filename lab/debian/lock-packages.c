#include <stdlib.h>
#include <string.h>

#include "jail/base/yaml.h"
#include "lab/debian/lock-deb.h"
#include "lab/kernel/lock.h"

static void package_deinit(struct lock_package *p)
{
	deb_deinit(&p->deb);
	strv_deinit(&p->depends);
}

void packages_lock_deinit(struct packages_lock *lock)
{
	for (size_t i = 0; i < lock->n; i++)
		package_deinit(&lock->items[i]);
	free(lock->items);
	*lock = (struct packages_lock){0};
}

static int parse_package(const struct lock_text *t, const struct yaml_node *key,
			 const struct yaml_node *node, enum arch arch, struct packages_lock *lock,
			 struct err *err)
{
	const struct yaml_node *depends = yaml_get(node, "depends");
	struct lock_package *p;

	if (!lock_name_ok(key->text))
		return yaml_error(t->yaml, key, err, "'%.60s' cannot name a package", key->text);
	lock->items = xreallocarray(lock->items, lock->n + 1, sizeof(*lock->items));
	p = &lock->items[lock->n++];
	*p = (struct lock_package){.arch = arch};
	if (lock_deb_parse(t, node, key->text, &p->deb, err) < 0)
		return -EINVAL;
	return depends ? yaml_strings(t->yaml, depends, "depends", &p->depends, err) : 0;
}

static const struct lock_package *find_package(const struct packages_lock *lock, const char *name,
					       enum arch arch)
{
	for (size_t i = 0; i < lock->n; i++)
		if (lock->items[i].arch == arch && str_eq(lock->items[i].deb.name, name))
			return &lock->items[i];
	return NULL;
}

/* Every name in depends must be there: a lock edited by hand could lack one. */
static int check_depends(const struct yaml *yaml, const struct packages_lock *lock, struct err *err)
{
	for (size_t i = 0; i < lock->n; i++) {
		const struct lock_package *p = &lock->items[i];

		for (size_t d = 0; d < p->depends.n; d++)
			if (!find_package(lock, p->depends.items[d], p->arch))
				return yaml_error(yaml, &yaml->root, err,
						  "%s for %s depends on %s, which is not in the "
						  "file: run 'lab image pin'",
						  p->deb.name, arch_name(p->arch),
						  p->depends.items[d]);
	}
	return 0;
}

int packages_lock_parse(const char *name, const char *text, size_t len, struct packages_lock *ret,
			struct err *err)
{
	static const char *const keys[] = {"schema", "suite", "snapshot", "amd64", "arm64"};
	auto_cleanup(packages_lock) lock = {0};
	auto_cleanup(yaml) yaml = {0};
	auto_cleanup(lock_text) t = {.yaml = &yaml};
	int r = yaml_parse(name, text, len, &yaml, err);

	if (r < 0)
		return r;
	if (lock_schema(&yaml, keys, array_len(keys), err) < 0 ||
	    lock_origin(&t, &yaml.root, err) < 0)
		return -EINVAL;
	for (int arch = 0; arch < ARCH_COUNT; arch++) {
		const struct yaml_node *map = yaml_get(&yaml.root, arch_name(arch));

		if (map && map->kind != YAML_MAP)
			return yaml_error(&yaml, map, err, "a map of packages is expected here");
		for (size_t i = 0; map && i < map->n; i++)
			if (parse_package(&t, &map->keys[i], &map->items[i], arch, &lock, err) < 0)
				return -EINVAL;
	}
	if (check_depends(&yaml, &lock, err) < 0)
		return -EINVAL;
	*ret = lock;
	lock = (struct packages_lock){0};
	return 0;
}

static int compare_packages(const void *a, const void *b)
{
	const struct lock_package *x = a, *y = b;

	return x->arch != y->arch ? (int)x->arch - (int)y->arch : strcmp(x->deb.name, y->deb.name);
}

void packages_lock_print(struct packages_lock *lock, struct buf *out)
{
	int arch = -1;

	qsort(lock->items, lock->n, sizeof(*lock->items), compare_packages);
	buf_addf(out,
		 "# Written by 'lab image pin' from packages.yml.\nschema: 1\nsuite: %s\nsnapshot: "
		 "%s\n",
		 lock->items[0].deb.suite, lock->items[0].deb.snapshot);
	for (size_t i = 0; i < lock->n; i++) {
		const struct lock_package *p = &lock->items[i];

		if ((int)p->arch != arch)
			buf_addf(out, "%s:\n", arch_name(p->arch));
		arch = p->arch;
		buf_addf(out,
			 "  %s:\n    version: \"%s\"\n    path: %s\n    size: %llu\n    sha256: "
			 "\"%s\"\n",
			 p->deb.name, p->deb.version, p->deb.path, (unsigned long long)p->deb.size,
			 p->deb.sha256);
		for (size_t d = 0; d < p->depends.n; d++)
			buf_addf(out, "%s%s%s", d ? ", " : "    depends: [", p->depends.items[d],
				 d + 1 == p->depends.n ? "]\n" : "");
	}
}

int packages_lock_closure(const struct packages_lock *lock, const char *name, enum arch arch,
			  size_t **ret, size_t *n)
{
	const struct lock_package *p = find_package(lock, name, arch);
	size_t index;

	if (!p)
		return -ENOENT;
	index = p - lock->items;
	for (size_t i = 0; i < *n; i++)
		if ((*ret)[i] == index)
			return 0;
	*ret = xreallocarray(*ret, *n + 1, sizeof(**ret));
	(*ret)[(*n)++] = index;
	for (size_t d = 0; d < p->depends.n; d++) {
		int r = packages_lock_closure(lock, p->depends.items[d], arch, ret, n);

		if (r < 0)
			return r;
	}
	return 0;
}
