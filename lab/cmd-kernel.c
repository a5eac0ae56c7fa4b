#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/cmd-kernel.h"
#include "lab/kernel/kernel-pin.h"
#include "lab/kernel/kernel-store.h"
#include "lab/progress.h"

struct args {
	bool all, json, offline;
	struct strv archs;
	const char *what;
};

static const struct opt options[] = {
	{0, "all", NULL, OPT_FLAG, offsetof(struct args, all),
	 "pin, pull, verify, rm: every kernel"},
	{0, "arch", "A[,A...]", OPT_STRV, offsetof(struct args, archs),
	 "amd64, arm64 (default: both; path: this machine's)"},
	{0, "json", NULL, OPT_FLAG, offsetof(struct args, json), "list: machine-readable output"},
	{0, "offline", NULL, OPT_FLAG, offsetof(struct args, offline), "path: fetch nothing"},
	{0, "what", "WHAT", OPT_STRING, offsetof(struct args, what),
	 "path: image (default), config or modules"},
};
static const struct cmd_usage usage = {
	"kernel",
	"list | pin NAME... | pull [NAME...] | verify [NAME...] | path NAME | rm NAME... |\n"
	"                  build NAME | export NAME FILE | import FILE",
	"Pinned kernels (kernel-config/kernels.yml and kernels.lock):\n"
	"  list     names, versions, architectures, and what is in the cache\n"
	"  pin      look for the newest package of a kernel and write it to the lock\n"
	"  pull     fetch, check and unpack (default: the default kernel)\n"
	"  verify   hash again what is in the cache\n"
	"  path     print where the image, config or modules of a kernel are\n"
	"  rm       remove a kernel from the cache\n"
	"  build    build a kernel from its source (build --help)\n"
	"  export   write a kernel that was built here to a file (export --help)\n"
	"  import   take one in from such a file (import --help)",
};

struct state {
	struct args args;
	struct strv names;  /* operands after the verb, or what they default to */
	unsigned int archs; /* bit mask */
	struct pins pins;
	struct kernels_lock lock;
};

static void state_deinit(struct state *s)
{
	strv_deinit(&s->args.archs);
	strv_deinit(&s->names);
	pins_deinit(&s->pins);
	kernels_lock_deinit(&s->lock);
}
DEFINE_CLEANUP(state, state_deinit)

static int exit_code(int r)
{
	return r == -EINVAL || r == -ENOTSUP || r == -E2BIG ? EXIT_USAGE : EXIT_LOST;
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static uint64_t download_size(const struct lock_kernel *k)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < k->n_debs; i++)
		sum += k->debs[i].size;
	return sum;
}

static bool is_cached(const struct lock_kernel *k)
{
	auto_cleanup(kernel) found = {0};

	return kernel_store_find(k, &found, NULL) == 0;
}

/* The locked kernels that were asked for, in kernels.yml's order. Returns how many. */
static size_t wanted(const struct state *s, const struct lock_kernel **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s->pins.n; i++)
		for (int arch = 0; arch < ARCH_COUNT; arch++) {
			const struct lock_kernel *k =
				kernels_lock_find(&s->lock, s->pins.items[i].name, arch);

			if (k && (s->archs & 1u << arch) && strv_has(&s->names, k->name))
				ret[n++] = k;
		}
	return n;
}

static json_t *kernel_json(const struct state *s, const struct lock_kernel *k, bool cached)
{
	const struct pin *pin = pins_find(&s->pins, k->name);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:I}", "name", k->name, "version",
			 k->version, "release", k->release, "arch", arch_name(k->arch), "suite",
			 k->debs[0].suite, "default", pin && pin->is_default, "cached", cached,
			 "download_bytes", (json_int_t)download_size(k));
}

/* Where kernels.yml and kernels.lock do not agree, and what to do about it. */
static void print_disagreements(const struct state *s)
{
	for (size_t i = 0; i < s->pins.n; i++)
		for (int arch = 0; arch < ARCH_COUNT; arch++) {
			const char *name = s->pins.items[i].name;

			if ((s->archs & 1u << arch) && strv_has(&s->names, name) &&
			    !kernels_lock_find(&s->lock, name, arch))
				printf("%-9s %-10s %-6s not pinned: lab kernel pin %s\n", name, "-",
				       arch_name(arch), name);
		}
	for (size_t i = 0; i < s->lock.n; i++) {
		const struct lock_kernel *k = &s->lock.items[i];

		if ((s->archs & 1u << k->arch) && !pins_find(&s->pins, k->name))
			printf("%-9s %-10s %-6s not in kernels.yml: the next 'lab kernel pin' "
			       "drops it\n",
			       k->name, k->version, arch_name(k->arch));
	}
}

static int print_json(const struct state *s, const struct lock_kernel **kernels, size_t n)
{
	json_t *list = json_array();
	int r;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, kernel_json(s, kernels[i], is_cached(kernels[i])));
	r = json_dumpf(list, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(list);
	return r < 0 ? EXIT_LOST : EXIT_MET;
}

static int verb_list(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	if (s->args.json)
		return print_json(s, kernels, n);
	printf("%-9s %-10s %-6s %-16s %9s  %s\n", "NAME", "VERSION", "ARCH", "SUITE", "DOWNLOAD",
	       "CACHE");
	for (size_t i = 0; i < n; i++) {
		const struct lock_kernel *k = kernels[i];
		const struct pin *pin = pins_find(&s->pins, k->name);

		printf("%-9s %-10s %-6s %-16s %5.1f MiB  %s%s\n", k->name, k->version,
		       arch_name(k->arch), k->debs[0].suite, download_size(k) / 1048576.0,
		       is_cached(k) ? "yes" : "no", pin && pin->is_default ? "  (default)" : "");
	}
	print_disagreements(s);
	return EXIT_MET;
}

struct pinning {
	struct progress *progress;
	struct strv lines; /* printed when the display is gone */
};

static void pin_progress(void *data, const char *what, uint64_t done, uint64_t total)
{
	progress_fetch(((struct pinning *)data)->progress, what, done, total);
}

static void pin_decided(void *data, const char *name, const char *what, const char *before,
			const char *after)
{
	struct pinning *p = data;

	if (!after) {
		strv_addf(&p->lines, "%-9s %-6s dropped: not in kernels.yml", name, what);
		return;
	}
	strv_addf(&p->lines, "%-9s %-6s %s%s%s%s", name, what, before ? before : "",
		  before ? " -> " : "", after,
		  before && str_eq(before, after) ? " (unchanged)" : "");
}

static int verb_pin(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	struct pinning p = {0};
	struct run_events events;
	struct err err = {0};
	int r;

	(void)kernels, (void)n;
	p.progress = progress_start(false, &events);
	r = kernel_pin(&s->names, pin_progress, pin_decided, &p, &err);
	progress_stop(p.progress);
	for (size_t i = 0; i < p.lines.n; i++)
		puts(p.lines.items[i]);
	for (size_t i = 0; r == 0 && i < s->names.n; i++) {
		const struct pin *pin = pins_find(&s->pins, s->names.items[i]);

		if (pin && pin->source.url) /* nothing to look for */
			printf("%-9s %-6s %s\n", pin->name, "source", pin->source.url);
	}
	strv_deinit(&p.lines);
	return r < 0 ? cmd_fail(exit_code(r), &err) : EXIT_MET;
}

static int verb_pull(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	(void)s;
	for (size_t i = 0; i < n; i++) {
		auto_cleanup(kernel) k = {0};
		struct progress *progress;
		struct run_events events;
		struct err err = {0};
		bool had = is_cached(kernels[i]);
		int r;

		progress = progress_start(had, &events);
		r = kernel_fetch(kernels[i], false, progress_fetch, progress, &k, &err);
		progress_stop(progress);
		if (r < 0)
			return cmd_fail(exit_code(r), &err);
		printf("%-9s %-10s %-6s %s\n", k.name, k.version, arch_name(k.arch),
		       had ? "was there" : "ready");
		fflush(stdout);
	}
	return EXIT_MET;
}

static int verb_verify(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	size_t good = 0, bad = 0;

	(void)s;
	for (size_t i = 0; i < n; i++) {
		struct err err = {0};
		int r = kernel_store_verify(kernels[i], &err);

		if (r == -ENOENT)
			continue;
		printf("%-9s %-10s %-6s %s\n", kernels[i]->name, kernels[i]->version,
		       arch_name(kernels[i]->arch), r < 0 ? "DAMAGED" : "ok");
		fflush(stdout);
		good += r == 0;
		bad += r < 0;
		if (r < 0) {
			cmd_fail(EXIT_LOST, &err);
			fprintf(stderr,
				"lab: 'lab kernel rm %s --arch %s' and 'lab kernel pull' bring it "
				"anew\n",
				kernels[i]->name, arch_name(kernels[i]->arch));
		}
	}
	if (!good && !bad)
		printf("nothing of these is in the cache\n");
	return bad ? EXIT_LOST : EXIT_MET;
}

static int verb_path(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	const char *what = s->args.what ? s->args.what : "image", *path;
	auto_cleanup(kernel) k = {0};
	struct progress *progress;
	struct run_events events;
	struct err err = {0};
	enum arch arch = !s->args.archs.n		? arch_native()
			 : s->archs == 1u << ARCH_ARM64 ? ARCH_ARM64
							: ARCH_AMD64;
	int r;

	(void)kernels, (void)n;
	if (s->names.n != 1 || (s->args.archs.n && s->archs != 1u << arch)) {
		err_set(&err, EINVAL, "path takes one kernel and one --arch");
		return cmd_fail(EXIT_USAGE, &err);
	}
	if (!str_eq(what, "image") && !str_eq(what, "config") && !str_eq(what, "modules")) {
		err_set(&err, EINVAL, "--what is image, config or modules, not '%s'", what);
		return cmd_fail(EXIT_USAGE, &err);
	}
	progress = progress_start(false, &events);
	r = kernel_resolve(s->names.items[0], arch,
			   &(struct kernel_want){.offline = s->args.offline,
						 .progress = progress_fetch,
						 .data = progress},
			   &k, &err);
	progress_stop(progress);
	if (r < 0)
		return cmd_fail(r == -ENOENT || r == -ENOEXEC ? EXIT_USAGE : exit_code(r), &err);
	path = str_eq(what, "config")	 ? k.config
	       : str_eq(what, "modules") ? k.modules_dir
					 : k.image;
	if (!path) {
		err_set(&err, ENOENT, "%s has no %s", s->names.items[0], what);
		return cmd_fail(EXIT_LOST, &err);
	}
	puts(path);
	return EXIT_MET;
}

static int verb_rm(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	size_t removed = 0;

	(void)s;
	for (size_t i = 0; i < n; i++) {
		struct err err = {0};
		int r = kernel_store_remove(kernels[i], &err);

		if (r < 0)
			return cmd_fail(EXIT_LOST, &err);
		removed += r == 1;
	}
	printf("%zu kernel%s removed from the cache\n", removed, plural(removed));
	return EXIT_MET;
}

static const struct verb {
	const char *name;
	int (*fn)(struct state *s, const struct lock_kernel **kernels, size_t n);
	enum {
		NAMES_ALL,
		NAMES_DEFAULT,
		NAMES_NEEDED,
		NAMES_RAW
	} names; /* what no operand means */
} verbs[] = {
	{"list", verb_list, NAMES_ALL},	    {"pin", verb_pin, NAMES_NEEDED},
	{"pull", verb_pull, NAMES_DEFAULT}, {"verify", verb_verify, NAMES_ALL},
	{"path", verb_path, NAMES_RAW},	    {"rm", verb_rm, NAMES_NEEDED},
};

static int set_archs(struct state *s, struct err *err)
{
	if (!s->args.archs.n || strv_has(&s->args.archs, "all"))
		s->archs = (1u << ARCH_COUNT) - 1;
	for (size_t i = 0; i < s->args.archs.n; i++) {
		int arch = arch_parse(s->args.archs.items[i]);

		if (arch < 0 && !str_eq(s->args.archs.items[i], "all"))
			return err_set(err, EINVAL,
				       "unknown architecture '%.60s': there are amd64 and arm64",
				       s->args.archs.items[i]);
		if (arch >= 0)
			s->archs |= 1u << arch;
	}
	return 0;
}

/* The names to work on: operands, split at commas; each must be a pin. */
static int set_names(struct state *s, const struct verb *verb, char **operands, struct err *err)
{
	bool all = s->args.all;

	for (; *operands; operands++)
		strv_split(&s->names, *operands, ',');
	if (verb->names == NAMES_RAW)
		return 0;
	all |= strv_has(&s->names, "all");
	if (!s->names.n && !all && verb->names == NAMES_NEEDED)
		return err_set(err, EINVAL, "%s needs the name of a kernel, or --all", verb->name);
	if (!s->names.n && verb->names == NAMES_ALL)
		all = true;
	for (size_t i = 0; i < s->names.n; i++) {
		const char *name = s->names.items[i];

		if (str_eq(name, "all") || pins_find(&s->pins, name))
			continue;
		if (kernels_lock_find(&s->lock, name, ARCH_AMD64) ||
		    kernels_lock_find(&s->lock, name, ARCH_ARM64))
			return err_set(
				err, ENOENT,
				"kernel %s is in kernels.lock but not in kernels.yml: add it "
				"there, or 'lab kernel pin' drops it",
				name);
		return kernel_unknown(name, &s->pins, err);
	}
	for (size_t i = 0; i < s->pins.n; i++)
		if (all || (!s->names.n && s->pins.items[i].is_default))
			strv_add(&s->names, s->pins.items[i].name);
	return 0;
}

/* A name that kernels.yml has, but the lock has not for a wanted architecture. */
static int check_pinned(const struct state *s, struct err *err)
{
	for (size_t i = 0; i < s->names.n; i++) {
		const char *name = s->names.items[i];

		for (int arch = 0; arch < ARCH_COUNT; arch++)
			if ((s->archs & 1u << arch) && !str_eq(name, "all") &&
			    !kernels_lock_find(&s->lock, name, arch))
				return err_set(err, ENOENT,
					       "%s is not pinned for %s: run 'lab kernel pin %s'",
					       name, arch_name(arch), name);
	}
	return 0;
}

static int run_verb(struct state *s, const struct verb *verb, char **operands)
{
	auto_free const struct lock_kernel **kernels = NULL;
	struct err err = {0};
	int r = set_archs(s, &err);

	if (r == 0)
		r = pins_load(&s->pins, &err);
	if (r == 0)
		r = kernels_lock_load(&s->lock, &err);
	if (r == 0)
		r = set_names(s, verb, operands, &err);
	if (r < 0)
		return cmd_fail(r == -ENOENT ? EXIT_USAGE : exit_code(r), &err);
	if (verb->fn == verb_pull && check_pinned(s, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
	kernels = xcalloc(s->lock.n + 1, sizeof(*kernels));
	return verb->fn(s, kernels, wanted(s, kernels));
}

/* Verbs with options of their own: cmd-kernel.h. */
static const struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
} commands[] = {
	{"build", cmd_kernel_build},
	{"export", cmd_kernel_export},
	{"import", cmd_kernel_import},
	{NULL, NULL},
};

static const struct command *find_command(const char *name)
{
	for (const struct command *c = commands; name && c->name; c++)
		if (str_eq(name, c->name))
			return c;
	return NULL;
}

int cmd_kernel(int argc, char **argv)
{
	auto_cleanup(state) s = {0};
	struct err err = {0};
	const struct command *command = find_command(argv[1]);
	int at, r;

	if (command)
		return command->fn(argc - 1, argv + 1);
	r = cmd_options(&usage, options, array_len(options), argc, argv, &s.args, &at);
	if (r >= 0)
		return r;
	for (size_t i = 0; at < argc && i < array_len(verbs); i++)
		if (str_eq(argv[at], verbs[i].name))
			return run_verb(&s, &verbs[i], argv + at + 1);
	err_set(&err, EINVAL, "%s%.60s%s: list, pin, pull, verify, path, rm, build, export or import",
		at < argc ? "unknown verb '" : "say what to do", at < argc ? argv[at] : "",
		at < argc ? "'" : "");
	cmd_fail(EXIT_USAGE, &err);
	fprintf(stderr, "Try 'lab kernel --help'.\n");
	return EXIT_USAGE;
}
