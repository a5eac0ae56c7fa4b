/* lab kernel config: what a kernel's fragments ask for, what it has, why not, and two compared. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lab/cmd-kernel.h"
#include "lab/kbuild/explain.h"
#include "lab/kconfig/kconfig-history.h"
#include "lab/kconfig/kconfig-why.h"
#include "lab/progress.h"

struct config_args {
	const char *arch, *flavour, *diff, *source, *mirror;
	bool llvm, offline, json;
};

#define ARG(member) offsetof(struct config_args, member)

static const struct opt options[] = {
	{'a', "arch", "A", OPT_STRING, ARG(arch), "amd64 or arm64 (default: this machine's)"},
	{0, "flavour", "F[,F...]", OPT_STRING, ARG(flavour),
	 "with these fragments: debug+kasan, ./my.config ..."},
	{0, "diff", "OTHER", OPT_STRING, ARG(diff),
	 "only what differs; exit status 1 when something does"},
	{0, "source", "PATH", OPT_STRING, ARG(source),
	 "a tree, or a tarball: what one built of it would have"},
	{0, "mirror", "PLACE", OPT_STRING, ARG(mirror),
	 "a URL or folder that has the source's tarball, asked first"},
	{0, "llvm", NULL, OPT_FLAG, ARG(llvm), "configure for clang and lld"},
	{0, "offline", NULL, OPT_FLAG, ARG(offline), "fetch nothing"},
	{0, "json", NULL, OPT_FLAG, ARG(json), "machine-readable output"},
};
static const struct cmd_usage usage = {
	"kernel config", "[options] NAME [OPTION...]",
	"What the fragments of a kernel ask for, each with its reason, and whether the kernel has\n"
	"it; with OPTIONs (OVERLAY_FS), these alone, and why one is not set. NAME and OTHER: a "
	"pin\n"
	"(6.1), one with fragments (6.1+kasan), a path (a .config, a build tree, an image, a "
	".deb).\n"
	"One that could be built and is not, is configured to see. '!' marks what is not as it "
	"was\n"
	"asked for."};

/* A configuration without end is the user's own. */
static int exit_code(int r)
{
	return r == -EFBIG ? EXIT_USAGE : cmd_exit_code(r);
}

/* first NULL: this is the first; else the other one of --diff, for the same architecture. */
static int load(const struct config_args *a, const char *spec, const struct explained *first,
		struct explained *ret, struct err *err)
{
	int arch = first && !a->arch ? (int)first->arch : cmd_arch(a->arch, err), r;
	struct run_events events;
	struct progress *progress;

	if (arch < 0)
		return arch;
	progress = progress_start(a->json, &events);
	r = explain(
		&(struct explain_request){
			.spec = spec,
			.flavour = first ? NULL : a->flavour,
			.source = first ? NULL : a->source,
			.only_config = a->diff != NULL,
			.arch = arch,
			.any_arch = !a->arch,
			.want = &(struct kernel_want){.offline = a->offline,
						      .llvm = a->llvm,
						      .mirror = a->mirror,
						      .progress = progress_fetch,
						      .data = progress,
						      .cancel = cmd_catch_signals()}},
		ret, err);
	progress_stop(progress);
	return r;
}

/* --- one kernel --- */

struct view {
	const struct explained *e;
	struct kconfig_tree *tree; /* NULL: its source is not here */
	int name_width, value_width;
	size_t missed;
	json_t *rows; /* NULL: text */
};

/* Why it is not value; empty when that is not known. */
static void find_why(const struct view *v, const char *option, const char *value, struct buf *out)
{
	struct kver kver;

	if (v->tree)
		kconfig_why(v->tree, &v->e->config, option, value, out);
	else if (kver_parse(v->e->version, &kver, NULL) == 0)
		kconfig_history(option, &kver, out);
}

static const struct fragment_pick *find_wanted(const struct explained *e, const char *option)
{
	for (size_t i = 0; i < e->wanted.n; i++)
		if (str_eq(e->wanted.items[i].option->name, option))
			return &e->wanted.items[i];
	return NULL;
}

/* pick NULL: no fragment asks for it. why: empty, or a text. */
static void print_row(struct view *v, const char *option, const struct fragment_pick *pick,
		      bool holds, const char *why)
{
	const char *is = v->e->has_config ? kconfig_get(&v->e->config, option) : NULL;
	const char *wanted = pick ? pick->option->value : NULL;
	auto_free char *value = !is	? xstrdup(wanted ? wanted : "?")
				: holds ? xstrdup(is)
					: str_printf("%s, is %s", wanted, is);
	const char *reason = pick && pick->option->reason ? pick->option->reason : "";

	v->missed += !holds;
	if (v->rows) {
		json_array_append_new(
			v->rows,
			json_pack("{s:s, s:s?, s:s?, s:b, s:s?, s:s?, s:i, s:s?}", "name", option,
				  "wanted", wanted, "value", is, "holds", holds, "fragment",
				  pick ? pick->fragment->name : NULL, "reason",
				  *reason ? reason : NULL, "line", pick ? pick->option->line : 0,
				  "why", why && *why ? why : NULL));
		return;
	}
	printf("%c %-*s  %-*s%s%s\n", holds ? ' ' : '!', v->name_width, option,
	       *reason ? v->value_width : 0, value, *reason ? "  " : "", reason);
	if (why && *why)
		printf("    %s\n", why);
}

static bool holds(const struct explained *e, const struct fragment_pick *pick)
{
	const struct fragment_set one = {.items = (struct fragment_pick *)pick, .n = 1};

	return !e->has_config || kconfig_check(&e->config, &one, NULL, NULL) == 0;
}

static void measure(struct view *v)
{
	const struct explained *e = v->e;

	for (size_t i = 0; i < e->wanted.n; i++) {
		const struct fragment_option *o = e->wanted.items[i].option;
		int name = (int)strlen(o->name), value = (int)strlen(o->value);

		if (!holds(e, &e->wanted.items[i]))
			value += (int)strlen(", is ") +
				 (int)strlen(kconfig_get(&e->config, o->name));
		v->name_width = name > v->name_width ? name : v->name_width;
		v->value_width = value > v->value_width && value < 24 ? value : v->value_width;
	}
}

/* Why an option is not as it was asked for; a module instead of what is built in, and the other way
 * round, needs no words. */
static void find_miss(const struct view *v, const struct fragment_option *o, struct buf *out)
{
	if (str_eq(o->value, "n") || str_eq(kconfig_get(&v->e->config, o->name), "n"))
		find_why(v, o->name, o->value, out);
}

static void print_pick(struct view *v, const struct fragment_pick *pick)
{
	bool fine = holds(v->e, pick);
	auto_cleanup(buf) why = {0};

	if (!fine)
		find_miss(v, pick->option, &why);
	print_row(v, pick->option->name, pick, fine, why.data);
}

static void print_fragments(struct view *v)
{
	const struct explained *e = v->e;

	measure(v);
	for (size_t f = 0; f < e->fragments.n; f++) {
		const struct fragment *fragment = &e->fragments.items[f];

		if (!v->rows)
			printf("\n%s (%s)\n", fragment->name, fragment->path);
		for (size_t i = 0; i < e->wanted.n; i++)
			if (e->wanted.items[i].fragment == fragment)
				print_pick(v, &e->wanted.items[i]);
	}
	if (v->rows)
		return;
	printf("\n%zu options of %zu fragments", e->wanted.n, e->fragments.n);
	if (e->has_config)
		printf(", %zu not as they were asked for", v->missed);
	putchar('\n');
}

static void print_options(struct view *v, char **names)
{
	for (char **n = names; *n; n++) {
		const char *name = str_starts(*n, "CONFIG_") ? *n + 7 : *n;
		int width = (int)strlen(name);

		v->name_width = width > v->name_width ? width : v->name_width;
	}
	for (; *names; names++) {
		const char *name = str_starts(*names, "CONFIG_") ? *names + 7 : *names;
		const struct fragment_pick *pick = find_wanted(v->e, name);
		bool fine = !pick || holds(v->e, pick);
		auto_cleanup(buf) why = {0};

		if (!fine)
			find_miss(v, pick->option, &why);
		else if (!pick && v->e->has_config && str_eq(kconfig_get(&v->e->config, name), "n"))
			find_why(v, name, "y", &why);
		print_row(v, name, pick, fine, why.data);
	}
}

static int check_names(char **names, struct err *err)
{
	for (; *names; names++) {
		size_t n = strspn(*names, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					  "0123456789_");

		if (!n || (*names)[n])
			return err_set(err, EINVAL,
				       "'%.80s' is no option of a kernel: a name like OVERLAY_FS",
				       *names);
	}
	return 0;
}

static int show(const struct config_args *a, const char *spec, char **names)
{
	auto_cleanup(explained) e = {0};
	struct view v = {.e = &e};
	struct err err = {0};
	json_t *j, *list;
	int r = check_names(names, &err);

	if (r == 0)
		r = load(a, spec, NULL, &e, &err);
	if (r < 0)
		return cmd_fail(exit_code(r), &err);
	if (e.srctree && kconfig_tree_open(e.srctree, e.arch, &v.tree, NULL) < 0)
		v.tree = NULL;
	if (a->json)
		v.rows = json_array();
	else if (!*names)
		printf("%s %s, Linux %s: %s\n", e.name, arch_name(e.arch), e.version, e.state);
	if (*names)
		print_options(&v, names);
	else
		print_fragments(&v);
	kconfig_tree_close(v.tree);
	if (!a->json)
		return EXIT_MET;
	list = json_array();
	for (size_t i = 0; i < e.fragments.n; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s}", "name", e.fragments.items[i].name,
						"path", e.fragments.items[i].path));
	j = json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:o}", "kernel", e.name, "arch",
		      arch_name(e.arch), "version", e.version, "state", e.state, "known",
		      e.has_config, "fragments", list, "options", v.rows);
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
	return EXIT_MET;
}

/* --- two --- */

struct differing {
	struct row {
		const char *option, *a, *b;
	} * rows;
	size_t n;
};

static void note(void *data, const char *option, const char *a, const char *b)
{
	struct differing *d = data;

	d->rows = xreallocarray(d->rows, d->n + 1, sizeof(*d->rows));
	d->rows[d->n++] = (struct row){option, a, b};
}

static void print_differing(const struct explained *a, const struct explained *b,
			    const struct differing *d)
{
	int width = (int)strlen("OPTION"), a_width = (int)strlen(a->name);

	for (size_t i = 0; i < d->n; i++) {
		int name = (int)strlen(d->rows[i].option), value = (int)strlen(d->rows[i].a);

		width = name > width && name < 40 ? name : width;
		a_width = value > a_width && value < 30 ? value : a_width;
	}
	if (d->n)
		printf("%-*s  %-*s  %s\n", width, "OPTION", a_width, a->name, b->name);
	for (size_t i = 0; i < d->n; i++)
		printf("%-*s  %-*s  %s\n", width, d->rows[i].option, a_width, d->rows[i].a,
		       d->rows[i].b);
	printf("%zu option%s\n", d->n, d->n == 1 ? " differs" : "s differ");
}

static int diff(const struct config_args *args, const char *spec)
{
	auto_cleanup(explained) a = {0}, b = {0};
	struct differing d = {0};
	struct err err = {0};
	json_t *rows;
	int r = load(args, spec, NULL, &a, &err);

	if (r == 0)
		r = load(args, args->diff, &a, &b, &err);
	if (r == 0 && (!a.has_config || !b.has_config))
		r = err_set(&err, ENODATA, "the configuration of %s is not known: %s",
			    a.has_config ? b.name : a.name, a.has_config ? b.state : a.state);
	if (r < 0)
		return cmd_fail(exit_code(r), &err);
	kconfig_diff(&a.config, &b.config, note, &d);
	if (args->json) {
		rows = json_array();
		for (size_t i = 0; i < d.n; i++)
			json_array_append_new(rows,
					      json_pack("{s:s, s:s, s:s}", "name", d.rows[i].option,
							"a", d.rows[i].a, "b", d.rows[i].b));
		rows = json_pack("{s:s, s:s, s:o}", "a", a.name, "b", b.name, "options", rows);
		json_dumpf(rows, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(rows);
	} else {
		print_differing(&a, &b, &d);
	}
	free(d.rows);
	return d.n ? EXIT_UNMET : EXIT_MET;
}

int cmd_kernel_config(int argc, char **argv)
{
	struct config_args a = {0};
	int at, r = cmd_options(&usage, options, array_len(options), argc, argv, &a, &at);

	if (r >= 0)
		return r;
	if (at < argc && !a.diff)
		return show(&a, argv[at], argv + at + 1);
	if (argc - at == 1)
		return diff(&a, argv[at]);
	return cmd_misused(&usage, "%s",
			   at < argc ? "--diff takes two kernels and no options of theirs"
				     : "say which kernel: a name or a path");
}
