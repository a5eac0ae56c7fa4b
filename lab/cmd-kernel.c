#include <stdio.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/cmd-kernel.h"
#include "lab/kernel/built-meta.h"
#include "lab/kernel/kernel-headers.h"
#include "lab/kernel/kernel-pin.h"
#include "lab/kernel/kernel-store.h"
#include "lab/kernel/kernel-target.h"
#include "lab/progress.h"

struct args {
	bool all, debug, headers, json, offline;
	struct strv archs;
	const char *what;
};

static const struct opt options[] = {
	{0, "all", NULL, OPT_FLAG, offsetof(struct args, all),
	 "pin, pull, verify, rm: every kernel"},
	{0, "arch", "A[,A...]", OPT_STRV, offsetof(struct args, archs),
	 "amd64, arm64 (default: both; path: this machine's)"},
	{0, "debug", NULL, OPT_FLAG, offsetof(struct args, debug),
	 "pull: with the debug package, for 'lab debug'"},
	{0, "headers", NULL, OPT_FLAG, offsetof(struct args, headers),
	 "pull: with what modules for it are built with; pin: that alone"},
	{0, "json", NULL, OPT_FLAG, offsetof(struct args, json), "list: machine-readable output"},
	{0, "offline", NULL, OPT_FLAG, offsetof(struct args, offline), "path: fetch nothing"},
	{0, "what", "WHAT", OPT_STRING, offsetof(struct args, what),
	 "path: image (default), config, modules or vmlinux"},
};
static const struct cmd_usage usage = {
	"kernel",
	"list | pin NAME... | pull [NAME...] | verify [NAME...] | path NAME | rm NAME... |\n"
	"                  source NAME | build NAME | config NAME | export NAME FILE | import FILE "
	"|\n"
	"                  module DIR",
	"Kernels: those pinned in kernel-config/kernels.yml, and those that were built.\n"
	"  list     names, versions, architectures, and what is in the cache or built\n"
	"  pin      look for the newest package of a kernel and write it to the lock\n"
	"  pull     fetch, check and unpack (default: the default kernel)\n"
	"  verify   hash again what is in the cache\n"
	"  path     print where the image, config, modules or vmlinux of a kernel are\n"
	"  rm       remove a kernel from the cache\n\n"
	"  source   fetch and unpack a kernel's source, and print where it is (source --help)\n"
	"  build    build a kernel from its source (build --help)\n"
	"  config   what a kernel's fragments ask for, what it has, and why not (config --help)\n"
	"  export   write a kernel that was built here to a file (export --help)\n"
	"  import   take one in from such a file (import --help)\n"
	"  module   build a module for a kernel, and print where it is (module --help)",
};

struct state {
	struct args args;
	struct kernel_selection of;
};

static void state_deinit(struct state *s)
{
	strv_deinit(&s->args.archs);
	strv_deinit(&s->of.names);
	pins_deinit(&s->of.pins);
	kernels_lock_deinit(&s->of.lock);
	for (size_t i = 0; i < s->of.n_built; i++)
		built_deinit(&s->of.built[i]);
	free(s->of.built);
}
DEFINE_CLEANUP(state, state_deinit)

/* Of what is looked for in the archive: that it is not there is no mistake of the user's. */
static int exit_code(int r)
{
	return r == -ENOENT ? EXIT_LOST : cmd_exit_code(r);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static bool is_selected(const struct state *s, const struct built *b)
{
	return (s->of.archs & 1u << b->arch) && strv_has(&s->of.names, b->name);
}

/* The locked kernels that were asked for, in kernels.yml's order. Returns how many. */
static size_t wanted(const struct state *s, const struct lock_kernel **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s->of.pins.n; i++)
		for (int arch = 0; arch < ARCH_COUNT; arch++) {
			const struct lock_kernel *k =
				kernels_lock_find(&s->of.lock, s->of.pins.items[i].name, arch);

			if (k && (s->of.archs & 1u << arch) && strv_has(&s->of.names, k->name))
				ret[n++] = k;
		}
	return n;
}

static int verb_list(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	(void)kernels, (void)n;
	return kernel_list(&s->of, s->args.json);
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
		strv_addf(&p->lines,
			  str_starts(what, "headers") ? "%-9s %-6s the archive has none"
						      : "%-9s %-6s dropped: not in kernels.yml",
			  name, what);
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
	r = s->args.headers ? kernel_pin_headers(&s->of.names, pin_progress, pin_decided, &p, &err)
			    : kernel_pin(&s->of.names, pin_progress, pin_decided, &p, &err);
	progress_stop(p.progress);
	for (size_t i = 0; i < p.lines.n; i++)
		puts(p.lines.items[i]);
	for (size_t i = 0; r == 0 && !s->args.headers && i < s->of.names.n; i++) {
		const struct pin *pin = pins_find(&s->of.pins, s->of.names.items[i]);

		if (pin && pin->source.url) /* nothing to look for */
			printf("%-9s %-6s %s\n", pin->name, "source", pin->source.url);
	}
	strv_deinit(&p.lines);
	return r < 0 ? cmd_fail(exit_code(r), &err) : EXIT_MET;
}

static int verb_pull(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	const volatile int *cancel = cmd_catch_signals();
	int code = EXIT_MET;

	for (size_t i = 0; code == EXIT_MET && i < n; i++)
		code = kernel_pull(&s->of, kernels[i], s->args.debug, s->args.headers, cancel);
	return code;
}

/* What verifying said of a kernel. how: to have it anew. Returns 1 when it is damaged. */
static int tell_verified(const char *name, const char *version, enum arch arch, int r,
			 const struct err *err, const char *how)
{
	printf("%-15s %-10s %-6s %s\n", name, version, arch_name(arch), r < 0 ? "DAMAGED" : "ok");
	fflush(stdout);
	if (r == 0)
		return 0;
	cmd_fail(EXIT_LOST, err);
	fprintf(stderr, "lab: 'lab kernel rm %s --arch %s' and '%s' bring it anew\n", name,
		arch_name(arch), how);
	return 1;
}

static int verb_verify(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	size_t seen = 0, bad = 0;

	for (size_t i = 0; i < n; i++) {
		struct err err = {0};
		int r = kernel_store_verify(kernels[i], &err), also;

		also = kernel_headers_verify(&s->of.lock, kernels[i],
					     r < 0 && r != -ENOENT ? NULL : &err);
		if (also != -ENOENT && (r == 0 || r == -ENOENT))
			r = also;
		if (r == -ENOENT)
			continue;
		seen++;
		bad += tell_verified(kernels[i]->name, kernels[i]->version, kernels[i]->arch, r,
				     &err, "lab kernel pull");
	}
	for (size_t i = 0; i < s->of.n_built; i++) {
		const struct built *b = &s->of.built[i];
		struct err err = {0};
		int r = is_selected(s, b) ? built_verify(b, &err) : -ENOENT;

		if (r == -ENOENT)
			continue;
		seen++;
		bad += tell_verified(b->name, b->version, b->arch, r, &err, "lab kernel build");
	}
	if (!seen)
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
	enum arch arch = !s->args.archs.n		   ? arch_native()
			 : s->of.archs == 1u << ARCH_ARM64 ? ARCH_ARM64
							   : ARCH_AMD64;
	int r;

	(void)kernels, (void)n;
	if (s->of.names.n != 1 || (s->args.archs.n && s->of.archs != 1u << arch)) {
		err_set(&err, EINVAL, "path takes one kernel and one --arch");
		return cmd_fail(EXIT_USAGE, &err);
	}
	if (!str_eq(what, "image") && !str_eq(what, "config") && !str_eq(what, "modules") &&
	    !str_eq(what, "vmlinux")) {
		err_set(&err, EINVAL, "--what is image, config, modules or vmlinux, not '%s'",
			what);
		return cmd_fail(EXIT_USAGE, &err);
	}
	progress = progress_start(false, &events);
	r = kernel_resolve(s->of.names.items[0], arch,
			   &(struct kernel_want){.offline = s->args.offline,
						 .no_build = true,
						 .cache_from = cmd_cache_from(NULL),
						 .progress = progress_fetch,
						 .data = progress},
			   &k, &err);
	progress_stop(progress);
	if (r < 0)
		return cmd_fail(cmd_exit_code(r), &err);
	path = str_eq(what, "config")	 ? k.config
	       : str_eq(what, "modules") ? k.modules_dir
	       : str_eq(what, "vmlinux") ? k.vmlinux
					 : k.image;
	if (!path) {
		err_set(&err, ENOENT, "%s has no %s", s->of.names.items[0], what);
		return cmd_fail(EXIT_LOST, &err);
	}
	puts(path);
	return EXIT_MET;
}

static int verb_rm(struct state *s, const struct lock_kernel **kernels, size_t n)
{
	struct err err = {0};
	size_t removed = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = kernel_store_remove(kernels[i], &err);
		removed += r == 1;
	}
	for (size_t i = 0; r >= 0 && i < s->of.n_built; i++) {
		const struct built *b = &s->of.built[i];

		if (!is_selected(s, b))
			continue;
		r = built_remove(b->name, b->arch, &err); /* 0: went with the one before */
		removed += r == 1;
	}
	if (r < 0)
		return cmd_fail(EXIT_LOST, &err);
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

static bool is_built(const struct state *s, const char *name)
{
	for (size_t i = 0; i < s->of.n_built; i++)
		if (str_eq(s->of.built[i].name, name))
			return true;
	return false;
}

/* One operand, as the name that the kernel has: a pin, or one that was built. */
static int add_name(struct state *s, const struct verb *verb, const char *spec, struct err *err)
{
	auto_cleanup(kernel_target) t = {0};
	int r = kernel_target(spec, arch_native(), NULL, &t, err);

	if (r < 0)
		return r;
	if (t.pin && str_eq(t.name, t.pin->name) && (t.pin->suite || verb->fn != verb_pull)) {
		strv_add(&s->of.names, t.name);
		return 0;
	}
	if (t.pin && verb->fn == verb_pull)
		return err_set(err, EINVAL,
			       "kernel %s is built, not pulled: run 'lab kernel build %s'", t.name,
			       t.name);
	if (verb->fn != verb_pin && verb->fn != verb_pull &&
	    (is_built(s, t.name) || (!t.pin && is_built(s, spec)))) {
		strv_add(&s->of.names, is_built(s, t.name) ? t.name : spec);
		return 0;
	}
	if (t.pin && verb->fn == verb_pin)
		return err_set(err, ENOENT, "%s is a flavour: what is pinned is %s", t.name,
			       t.pin->name);
	if (t.pin)
		return err_set(err, ENOENT, "kernel %s is not built: run 'lab kernel build %s'",
			       t.name, t.name);
	if (kernels_lock_find(&s->of.lock, spec, ARCH_AMD64) ||
	    kernels_lock_find(&s->of.lock, spec, ARCH_ARM64))
		return err_set(err, ENOENT,
			       "kernel %s is in kernels.lock but not in kernels.yml: add it "
			       "there, or 'lab kernel pin' drops it",
			       spec);
	return pins_unknown(&s->of.pins, spec, err);
}

/* All that the verb can work on. */
static void add_all(struct state *s, const struct verb *verb)
{
	for (size_t i = 0; i < s->of.pins.n; i++)
		if (s->of.pins.items[i].suite || verb->fn != verb_pull)
			strv_add(&s->of.names, s->of.pins.items[i].name);
	for (size_t i = 0; i < s->of.n_built; i++)
		if (verb->fn != verb_pin && verb->fn != verb_pull)
			strv_add(&s->of.names, s->of.built[i].name);
}

/* The names to work on: operands, split at commas, or what none means. */
static int set_names(struct state *s, const struct verb *verb, char **operands, struct err *err)
{
	auto_cleanup(strv) given = {0};
	int r = 0;

	for (; *operands; operands++)
		strv_split(&given, *operands, ',');
	if (verb->names == NAMES_RAW) {
		s->of.names = given;
		given = (struct strv){0};
		return 0;
	}
	if (s->args.all || strv_has(&given, "all") || (!given.n && verb->names == NAMES_ALL)) {
		s->of.all = true;
		add_all(s, verb);
		return 0;
	}
	if (!given.n && verb->names == NAMES_NEEDED)
		return err_set(err, EINVAL, "%s needs the name of a kernel, or --all", verb->name);
	if (!given.n) {
		char *name = NULL;

		r = kernel_default(&name, err);
		if (r == 0)
			strv_take(&given, name);
	}
	for (size_t i = 0; r == 0 && i < given.n; i++)
		r = add_name(s, verb, given.items[i], err);
	return r;
}

static int collect_built(void *data, const struct built *b, const char *dir, struct err *err)
{
	struct kernel_selection *of = data;

	(void)dir, (void)err;
	of->built = xreallocarray(of->built, of->n_built + 1, sizeof(*of->built));
	of->built[of->n_built++] = built_copy(b);
	return 0;
}

/* A name that kernels.yml has, but the lock has not for a wanted architecture. */
static int check_pinned(const struct state *s, struct err *err)
{
	for (size_t i = 0; i < s->of.names.n; i++) {
		const char *name = s->of.names.items[i];

		for (int arch = 0; arch < ARCH_COUNT; arch++)
			if ((s->of.archs & 1u << arch) &&
			    !kernels_lock_find(&s->of.lock, name, arch))
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
	int archs = cmd_archs(&s->args.archs, (1u << ARCH_COUNT) - 1, &err);
	int r = archs < 0 ? archs : 0;

	if (r == 0) {
		s->of.archs = (unsigned int)archs;
		r = pins_load(&s->of.pins, &err);
	}
	if (r == 0)
		r = kernels_lock_load(&s->of.lock, &err);
	if (r == 0)
		r = built_each(collect_built, &s->of, &err);
	if (r == 0)
		r = set_names(s, verb, operands, &err);
	if (r < 0)
		return cmd_fail(cmd_exit_code(r), &err);
	if (verb->fn == verb_pull && check_pinned(s, &err) < 0)
		return cmd_fail(EXIT_LOST, &err);
	kernels = xcalloc(s->of.lock.n + 1, sizeof(*kernels));
	return verb->fn(s, kernels, wanted(s, kernels));
}

/* Verbs with options of their own: cmd-kernel.h. */
static const struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
} commands[] = {
	{"build", cmd_kernel_build},
	{"config", cmd_kernel_config},
	{"export", cmd_kernel_export},
	{"import", cmd_kernel_import},
	{"module", cmd_kernel_module},
	{"source", cmd_kernel_source},
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
	return cmd_misused(
		&usage,
		"%s%.60s%s: list, pin, pull, verify, path, rm, source, build, config, export, "
		"import or module",
		at < argc ? "unknown verb '" : "say what to do", at < argc ? argv[at] : "",
		at < argc ? "'" : "");
}
