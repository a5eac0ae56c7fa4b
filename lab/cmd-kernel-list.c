#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lab/cmd-kernel.h"
#include "lab/kbuild/kbuild.h"
#include "lab/kernel/kernel-debug.h"

/* One kernel for one architecture, as it is listed. */
struct row {
	const char *name, *version;
	enum arch arch;
	const char *from;		/* suite, tarball, package, or what was built */
	const struct lock_kernel *lock; /* of Debian's; else it is one that is built */
	const struct pin *pin;
	const struct built *built; /* or NULL */
	bool ready;		   /* in the cache; of one that is built: of what there is now */
	bool symbols;		   /* its debug package is in the cache */
};
struct rows {
	struct row *items;
	size_t n;
};

static void rows_deinit(struct rows *rows)
{
	free(rows->items);
}
DEFINE_CLEANUP(rows, rows_deinit)

static struct row *add_row(struct rows *rows)
{
	rows->items = xreallocarray(rows->items, rows->n + 1, sizeof(*rows->items));
	rows->items[rows->n] = (struct row){0};
	return &rows->items[rows->n++];
}

static uint64_t download_size(const struct lock_kernel *k)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < k->n_debs; i++)
		sum += k->debs[i].size;
	return sum;
}

static const struct built *find_built(const struct kernel_selection *of, const char *name,
				      enum arch arch)
{
	for (size_t i = 0; i < of->n_built; i++)
		if (of->built[i].arch == arch && str_eq(of->built[i].name, name))
			return &of->built[i];
	return NULL;
}

/* Would a run take it as it is? */
static bool is_ready(const char *name, enum arch arch)
{
	auto_cleanup(kernel) k = {0};

	return kernel_describe(name, arch, NULL, &k, NULL) == 0 && k.image;
}

static bool has_symbols(const struct lock_kernel *k)
{
	auto_cleanup(kernel_debug) found = {0};

	return k && kernel_debug_find(k, &found, NULL) == 0;
}

static void add_pin(struct rows *rows, const struct kernel_selection *of, const struct pin *pin,
		    enum arch arch)
{
	const struct lock_kernel *lock = kernels_lock_find(&of->lock, pin->name, arch);
	const struct lock_source *source = kernels_lock_source(&of->lock, pin->name);
	struct row *r;

	if (pin->suite && !lock)
		return; /* a disagreement */
	r = add_row(rows);
	*r = (struct row){.name = pin->name,
			  .version = lock     ? lock->version
				     : source ? source->version
					      : pin->series,
			  .arch = arch,
			  .pin = pin,
			  .lock = lock,
			  .from = lock		    ? lock->debs[0].suite
				  : pin->source.url ? strrchr(pin->source.url, '/') + 1
						    : pin->source.package,
			  .ready = is_ready(pin->name, arch),
			  .symbols = has_symbols(lock)};
	if (!lock)
		r->built = find_built(of, pin->name, arch);
	if (r->built)
		r->version = r->built->version;
}

static void add_built(struct rows *rows, const struct built *b)
{
	*add_row(rows) = (struct row){.name = b->name,
				      .version = b->version,
				      .arch = b->arch,
				      .from = b->source_what,
				      .built = b,
				      .ready = is_ready(b->name, b->arch)};
}

/* name is a flavour of the pin */
static bool is_flavour(const char *name, const char *pin)
{
	return str_starts(name, pin) && name[strlen(pin)] == '+';
}

/* Pins in kernels.yml's order, each with its flavours; then what else was built. */
static void collect(struct rows *rows, const struct kernel_selection *of)
{
	auto_free bool *shown = xcalloc(of->n_built, sizeof(*shown));

	for (size_t p = 0; p < of->pins.n; p++) {
		const struct pin *pin = &of->pins.items[p];
		bool named = strv_has(&of->names, pin->name);

		for (int arch = 0; arch < ARCH_COUNT; arch++)
			if (named && (of->archs & 1u << arch))
				add_pin(rows, of, pin, arch);
		for (size_t i = 0; i < of->n_built; i++) {
			const struct built *b = &of->built[i];

			if (str_eq(b->name, pin->name) && !pin->suite)
				shown[i] = find_built(of, b->name, b->arch) == b;
			if (!is_flavour(b->name, pin->name))
				continue;
			shown[i] = true;
			if ((of->archs & 1u << b->arch) && (named || strv_has(&of->names, b->name)))
				add_built(rows, b);
		}
	}
	for (size_t i = 0; i < of->n_built; i++) {
		const struct built *b = &of->built[i];

		if (!shown[i] && (of->archs & 1u << b->arch) && strv_has(&of->names, b->name))
			add_built(rows, b);
	}
}

static json_t *row_json(const struct row *r)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "name", r->name, "version",
			      r->version, "arch", arch_name(r->arch), "from", r->from, "default",
			      r->pin && r->pin->is_default, "cached", r->ready);

	if (r->lock) {
		json_object_set_new(j, "release", json_string(r->lock->release));
		json_object_set_new(j, "suite", json_string(r->lock->debs[0].suite));
		json_object_set_new(j, "download_bytes",
				    json_integer((json_int_t)download_size(r->lock)));
		json_object_set_new(j, "debug_bytes",
				    json_integer((json_int_t)r->lock->debug.size));
		json_object_set_new(j, "debug_cached", json_boolean(r->symbols));
		return j;
	}
	json_object_set_new(j, "built", json_boolean(r->built));
	if (r->built) {
		const struct built *b = r->built;
		json_t *fragments = json_array();

		for (size_t i = 0; i < b->fragments.n; i++)
			json_array_append_new(fragments, json_string(b->fragments.items[i]));
		json_object_set_new(j, "release", json_string(b->release));
		json_object_set_new(j, "fragments", fragments);
		json_object_set_new(j, "local", json_boolean(b->local));
		json_object_set_new(j, "compiler", json_string(b->compiler));
		json_object_set_new(j, "build_id",
				    b->build_id ? json_string(b->build_id) : json_null());
		json_object_set_new(j, "seconds", json_integer(b->seconds));
		json_object_set_new(j, "inputs", b->inputs ? json_string(b->inputs) : json_null());
	}
	return j;
}

static int print_json(const struct rows *rows)
{
	json_t *list = json_array();
	int r;

	for (size_t i = 0; i < rows->n; i++)
		json_array_append_new(list, row_json(&rows->items[i]));
	r = json_dumpf(list, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(list);
	return r < 0 ? EXIT_LOST : EXIT_MET;
}

/* "built in 4 min 25 s", "not built (4 min 25 s last time)" */
static void print_built(const struct row *r)
{
	struct kbuild_history h = {0};
	auto_free char *took = NULL;

	if (r->built) {
		took = str_duration(r->built->seconds);
		printf("built in %s%s%s", took, r->built->local ? ", local" : "",
		       r->ready ? "" : ", of other fragments or another source than now");
		return;
	}
	kbuild_history(r->name, r->arch, &h);
	took = str_duration(h.seconds);
	printf("not built");
	if (h.seconds)
		printf(" (%s last time)", took);
}

static void print_row(const struct row *r, int name_width, int from_width)
{
	printf("%-*s %-10s %-6s %-*s ", name_width, r->name, r->version, arch_name(r->arch),
	       from_width, r->from);
	if (r->lock)
		printf("%5.1f MiB  %s%s", download_size(r->lock) / 1048576.0,
		       r->ready ? "yes" : "no", r->symbols ? ", with symbols" : "");
	else
		printf("%9s  ", "-"), print_built(r);
	printf("%s\n", r->pin && r->pin->is_default ? "  (default)" : "");
}

/* Where kernels.yml and kernels.lock do not agree, and what to do about it. */
static void print_disagreements(const struct kernel_selection *of, int name_width)
{
	for (size_t i = 0; i < of->pins.n; i++) {
		const struct pin *pin = &of->pins.items[i];
		const char *missing[ARCH_COUNT + 1];
		size_t n = 0;

		for (int arch = 0; pin->suite && arch < ARCH_COUNT; arch++)
			if ((of->archs & 1u << arch) &&
			    !kernels_lock_find(&of->lock, pin->name, arch))
				missing[n++] = arch_name(arch);
		if (pin->source.package && !kernels_lock_source(&of->lock, pin->name))
			missing[n++] = "source";
		for (size_t k = 0; k < n && strv_has(&of->names, pin->name); k++)
			printf("%-*s %-10s %-6s not pinned: lab kernel pin %s\n", name_width,
			       pin->name, "-", missing[k], pin->name);
	}
	for (size_t i = 0; i < of->lock.n; i++) {
		const struct lock_kernel *k = &of->lock.items[i];

		if ((of->archs & 1u << k->arch) && !pins_find(&of->pins, k->name))
			printf("%-*s %-10s %-6s not in kernels.yml: the next 'lab kernel pin' "
			       "drops it\n",
			       name_width, k->name, k->version, arch_name(k->arch));
	}
}

int kernel_list(const struct kernel_selection *of, bool json)
{
	auto_cleanup(rows) rows = {0};
	int name_width = 9, from_width = 16;

	collect(&rows, of);
	if (json)
		return print_json(&rows);
	for (size_t i = 0; i < rows.n; i++) {
		int name = strlen(rows.items[i].name), from = strlen(rows.items[i].from);

		name_width = name > name_width ? name : name_width;
		from_width = from > from_width ? from : from_width;
	}
	printf("%-*s %-10s %-6s %-*s %9s  %s\n", name_width, "NAME", "VERSION", "ARCH", from_width,
	       "FROM", "DOWNLOAD", "CACHE");
	for (size_t i = 0; i < rows.n; i++)
		print_row(&rows.items[i], name_width, from_width);
	print_disagreements(of, name_width);
	return EXIT_MET;
}
