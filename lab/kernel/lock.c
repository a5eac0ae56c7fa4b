#include "lab/kernel/lock.h"

#include <stdlib.h>
#include <string.h>

#include "jail/base/yaml.h"
#include "lab/debian/debver.h"
#include "lab/debian/lock-deb.h"

bool lock_name_ok(const char *name)
{
	size_t n =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-");

	return n > 0 && n <= 64 && !name[n] && !strchr("._+-", name[0]);
}

void lock_kernel_deinit(struct lock_kernel *k)
{
	for (size_t i = 0; i < k->n_debs; i++)
		deb_deinit(&k->debs[i]);
	free(k->debs);
	deb_deinit(&k->debug);
	for (size_t i = 0; i < k->n_headers; i++)
		deb_deinit(&k->headers[i]);
	free(k->headers);
	free(k->name);
	free(k->version);
	free(k->release);
	*k = (struct lock_kernel){0};
}

void lock_source_deinit(struct lock_source *s)
{
	deb_deinit(&s->package);
	free(s->name);
	free(s->version);
	*s = (struct lock_source){0};
}

void kernels_lock_deinit(struct kernels_lock *lock)
{
	for (size_t i = 0; i < lock->n_sources; i++)
		lock_source_deinit(&lock->sources[i]);
	free(lock->sources);
	for (size_t i = 0; i < lock->n; i++)
		lock_kernel_deinit(&lock->items[i]);
	free(lock->items);
	*lock = (struct kernels_lock){0};
}

const struct lock_kernel *kernels_lock_find(const struct kernels_lock *lock, const char *name,
					    enum arch arch)
{
	for (size_t i = 0; i < lock->n; i++)
		if (lock->items[i].arch == arch && str_eq(lock->items[i].name, name))
			return &lock->items[i];
	return NULL;
}

void kernels_lock_put(struct kernels_lock *lock, struct lock_kernel *entry)
{
	struct lock_kernel *at =
		(struct lock_kernel *)kernels_lock_find(lock, entry->name, entry->arch);

	if (at) {
		lock_kernel_deinit(at);
	} else {
		lock->items = xreallocarray(lock->items, lock->n + 1, sizeof(*lock->items));
		at = &lock->items[lock->n++];
	}
	*at = *entry;
	*entry = (struct lock_kernel){0};
}

const struct lock_source *kernels_lock_source(const struct kernels_lock *lock, const char *name)
{
	for (size_t i = 0; i < lock->n_sources; i++)
		if (str_eq(lock->sources[i].name, name))
			return &lock->sources[i];
	return NULL;
}

void kernels_lock_put_source(struct kernels_lock *lock, struct lock_source *entry)
{
	struct lock_source *at = (struct lock_source *)kernels_lock_source(lock, entry->name);

	if (at) {
		lock_source_deinit(at);
	} else {
		lock->sources =
			xreallocarray(lock->sources, lock->n_sources + 1, sizeof(*lock->sources));
		at = &lock->sources[lock->n_sources++];
	}
	*at = *entry;
	*entry = (struct lock_source){0};
}

/* The list of key "packages" of the map. */
static int parse_debs(const struct lock_text *t, const struct yaml_node *map, struct deb **debs,
		      size_t *n, struct err *err)
{
	const struct yaml_node *list = yaml_get(map, "packages");

	if (!list)
		return yaml_error(t->yaml, map, err, "packages is missing");
	if (list->kind != YAML_LIST || !list->n || list->n > 8)
		return yaml_error(t->yaml, list, err, "packages must be a list of 1 to 8 packages");
	*debs = xcalloc(list->n, sizeof(**debs));
	for (size_t i = 0; i < list->n; i++) {
		++*n;
		if (lock_deb_parse(t, &list->items[i], NULL, &(*debs)[i], err) < 0)
			return -EINVAL;
	}
	return 0;
}

/* They have an origin of their own: they may be pinned later than the kernel. */
static int parse_headers(struct lock_text *t, const struct yaml_node *map, struct lock_kernel *k,
			 struct err *err)
{
	static const char *const keys[] = {"suite", "snapshot", "packages"};

	if (yaml_check_keys(t->yaml, map, "pinned headers", keys, array_len(keys), err) < 0 ||
	    lock_origin(t, map, err) < 0)
		return -EINVAL;
	return parse_debs(t, map, &k->headers, &k->n_headers, err);
}

static int parse_kernel(struct lock_text *t, const struct yaml_node *node, struct lock_kernel *k,
			struct err *err)
{
	static const char *const keys[] = {"version",  "release", "suite",  "snapshot",
					   "packages", "debug",	  "headers"};
	const struct yaml_node *debug = yaml_get(node, "debug"),
			       *headers = yaml_get(node, "headers");

	if (yaml_check_keys(t->yaml, node, "a pinned kernel", keys, array_len(keys), err) < 0)
		return -EINVAL;
	if (lock_word(t, node, "version", LOCK_NAME, &k->version, err) < 0 ||
	    lock_word(t, node, "release", LOCK_NAME, &k->release, err) < 0 ||
	    lock_origin(t, node, err) < 0)
		return -EINVAL;
	if (parse_debs(t, node, &k->debs, &k->n_debs, err) < 0 ||
	    (debug && lock_deb_parse(t, debug, NULL, &k->debug, err) < 0))
		return -EINVAL;
	return headers ? parse_headers(t, headers, k, err) : 0;
}

static int parse_source(struct lock_text *t, const char *name, const struct yaml_node *node,
			struct kernels_lock *lock, struct err *err)
{
	static const char *const keys[] = {"version", "suite", "snapshot", "package"};
	auto_cleanup(lock_source) s = {.name = xstrdup(name)};
	const struct yaml_node *package = yaml_get(node, "package");

	if (yaml_check_keys(t->yaml, node, "a pinned source", keys, array_len(keys), err) < 0 ||
	    lock_word(t, node, "version", LOCK_NAME, &s.version, err) < 0 ||
	    lock_origin(t, node, err) < 0)
		return -EINVAL;
	if (!package)
		return yaml_error(t->yaml, node, err, "package is missing");
	if (lock_deb_parse(t, package, NULL, &s.package, err) < 0)
		return -EINVAL;
	kernels_lock_put_source(lock, &s);
	return 0;
}

static int parse_pin(struct lock_text *t, const char *name, const struct yaml_node *node,
		     struct kernels_lock *lock, struct err *err)
{
	if (node->kind != YAML_MAP)
		return yaml_error(t->yaml, node, err, "a map of architectures is expected here");
	for (size_t i = 0; i < node->n; i++) {
		auto_cleanup(lock_kernel) k = {.name = xstrdup(name)};
		int arch = arch_parse(node->keys[i].text);

		if (str_eq(node->keys[i].text, "source")) {
			if (parse_source(t, name, &node->items[i], lock, err) < 0)
				return -EINVAL;
			continue;
		}
		if (arch < 0 || !str_eq(node->keys[i].text, arch_name(arch)))
			return yaml_error(
				t->yaml, &node->keys[i], err,
				"unknown architecture '%.40s' (known: amd64, arm64; or source)",
				node->keys[i].text);
		k.arch = arch;
		if (parse_kernel(t, &node->items[i], &k, err) < 0)
			return -EINVAL;
		kernels_lock_put(lock, &k);
	}
	return 0;
}

int kernels_lock_parse(const char *name, const char *text, size_t len, struct kernels_lock *ret,
		       struct err *err)
{
	static const char *const keys[] = {"schema", "kernels"};
	auto_cleanup(kernels_lock) lock = {0};
	auto_cleanup(yaml) yaml = {0};
	auto_cleanup(lock_text) t = {.yaml = &yaml};
	const struct yaml_node *kernels;
	int r = yaml_parse(name, text, len, &yaml, err);

	if (r < 0)
		return r;
	if (lock_schema(&yaml, keys, array_len(keys), err) < 0)
		return -EINVAL;
	kernels = yaml_get(&yaml.root, "kernels");
	if (kernels && kernels->kind != YAML_MAP)
		return yaml_error(&yaml, kernels, err, "kernels must be a map of pins");
	for (size_t i = 0; kernels && i < kernels->n; i++) {
		if (!lock_name_ok(kernels->keys[i].text))
			return yaml_error(&yaml, &kernels->keys[i], err,
					  "'%.60s' cannot name a pin", kernels->keys[i].text);
		if (parse_pin(&t, kernels->keys[i].text, &kernels->items[i], &lock, err) < 0)
			return -EINVAL;
	}
	*ret = lock;
	lock = (struct kernels_lock){0};
	return 0;
}

static int compare_names(const char *a, const char *b)
{
	int r = debver_compare(a, b);

	return r ? r : strcmp(a, b);
}

static int compare_kernels(const void *a, const void *b)
{
	const struct lock_kernel *x = a, *y = b;
	int r = compare_names(x->name, y->name);

	return r ? r : (int)x->arch - (int)y->arch;
}

static int compare_sources(const void *a, const void *b)
{
	return compare_names(((const struct lock_source *)a)->name,
			     ((const struct lock_source *)b)->name);
}

static void print_kernel(struct buf *out, const struct lock_kernel *k)
{
	buf_addf(out,
		 "    %s:\n      version: %s\n      release: %s\n      suite: %s\n"
		 "      snapshot: %s\n      packages:\n",
		 arch_name(k->arch), k->version, k->release, k->debs[0].suite, k->debs[0].snapshot);
	for (size_t d = 0; d < k->n_debs; d++)
		lock_deb_print(out, "        - ", "          ", &k->debs[d]);
	if (k->debug.name) {
		buf_adds(out, "      debug:\n");
		lock_deb_print(out, "        ", "        ", &k->debug);
	}
	if (k->n_headers)
		buf_addf(out,
			 "      headers:\n        suite: %s\n        snapshot: %s\n"
			 "        packages:\n",
			 k->headers[0].suite, k->headers[0].snapshot);
	for (size_t d = 0; d < k->n_headers; d++)
		lock_deb_print(out, "          - ", "            ", &k->headers[d]);
}

void kernels_lock_print(struct kernels_lock *lock, struct buf *out)
{
	size_t i = 0, s = 0;

	if (lock->n)
		qsort(lock->items, lock->n, sizeof(*lock->items), compare_kernels);
	if (lock->n_sources)
		qsort(lock->sources, lock->n_sources, sizeof(*lock->sources), compare_sources);
	buf_adds(out,
		 "# Written by 'lab kernel pin'; what it follows is in kernels.yml.\nschema: 1\n");
	buf_adds(out, lock->n || lock->n_sources ? "kernels:\n" : "kernels: {}\n");
	while (i < lock->n || s < lock->n_sources) {
		const struct lock_source *source = s < lock->n_sources ? &lock->sources[s] : NULL;
		const char *name = i < lock->n ? lock->items[i].name : source->name;

		if (source && compare_names(source->name, name) < 0)
			name = source->name;
		buf_addf(out, "  \"%s\":\n", name);
		for (; i < lock->n && str_eq(lock->items[i].name, name); i++)
			print_kernel(out, &lock->items[i]);
		if (!source || !str_eq(source->name, name))
			continue;
		buf_addf(out,
			 "    source:\n      version: %s\n      suite: %s\n      snapshot: %s\n"
			 "      package:\n",
			 source->version, source->package.suite, source->package.snapshot);
		lock_deb_print(out, "        ", "        ", &source->package);
		s++;
	}
}
