#include "lab/kbuild/configure.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/kbuild/make.h"
#include "lab/kconfig/kconfig-why.h"

/* In the build folder: the digest of what its .config was made of, and that of .config. */
#define STAMP ".lab-configured"

/* --- fragments --- */

void fragments_deinit(struct fragments *f)
{
	for (size_t i = 0; i < f->n; i++)
		fragment_deinit(&f->items[i]);
	free(f->items);
	strv_deinit(&f->digests);
	*f = (struct fragments){0};
}

/* Names of the project's fragments, sorted. */
static int list_fragments(struct strv *names, struct err *err)
{
	static const char ending[] = ".config";
	auto_free char *home = home_dir(err);
	auto_free char *path = home ? path_join(home, "kernel-config") : NULL;
	auto_closedir DIR *d = path ? opendir(path) : NULL;
	struct dirent *e;

	if (!d)
		return path ? err_errno(err, "%s", path) : -ENOENT;
	while ((e = readdir(d))) {
		size_t len = strlen(e->d_name);

		if (str_ends(e->d_name, ending) && flavour_fragment_ok(e->d_name))
			strv_take(names, xstrndup(e->d_name, len - strlen(ending)));
	}
	strv_sort(names);
	return 0;
}

static int no_fragment(const char *name, struct err *err)
{
	auto_cleanup(strv) names = {0};
	auto_cleanup(buf) known = {0};
	const char *near;
	int r = list_fragments(&names, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < names.n; i++)
		buf_addf(&known, "%s%s", i ? ", " : "", names.items[i]);
	near = str_nearest(name, (const char *const *)names.items, names.n);
	return err_set(err, ENOENT,
		       "no fragment '%.60s' in kernel-config/%s%s%s: there are %.250s; one of your "
		       "own is given as a path that ends in .config",
		       name, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "",
		       known.data ? known.data : "none");
}

static int load_one(const char *name, struct fragment *ret, char hex[65], struct err *err)
{
	auto_free char *file = NULL, *path = NULL, *word = NULL;
	auto_cleanup(buf) text = {0};
	int r;

	if (str_ends(name, ".config")) {
		const char *slash = strrchr(name, '/');

		path = xstrdup(name);
		word = xstrndup(slash ? slash + 1 : name,
				strlen(slash ? slash + 1 : name) - strlen(".config"));
		r = io_read_regular(AT_FDCWD, name, FRAGMENT_MAX_BYTES, &text, err);
	} else {
		file = str_printf("kernel-config/%s.config", name);
		word = xstrdup(name);
		r = home_read(file, &text, &path, err);
		if (r == -ENOENT && path)
			return no_fragment(name, err);
	}
	if (r < 0)
		return r;
	sha256_bytes(text.len ? text.data : "", text.len, hex);
	return fragment_parse(word, path, text.len ? text.data : "", text.len, ret, err);
}

int fragments_load(const struct flavour *flavour, struct fragments *ret, struct err *err)
{
	auto_cleanup(fragments) f = {.items = xcalloc(flavour->fragments.n + 1, sizeof(*f.items))};

	for (; f.n < flavour->fragments.n; f.n++) {
		char hex[65];
		int r = load_one(flavour->fragments.items[f.n], &f.items[f.n], hex, err);

		if (r < 0)
			return r;
		strv_add(&f.digests, hex);
	}
	*ret = f;
	f = (struct fragments){0};
	return 0;
}

/* --- a build folder's .config --- */

struct job {
	const struct source *source;
	enum arch arch;
	const struct toolchain *tc;
	const struct fragments *fragments;
	const char *obj;
	char *config; /* obj/.config */
	int log;
	const volatile int *cancel;
	struct fragment_set wanted;
};

static void job_deinit(struct job *j)
{
	free(j->config);
	fragment_set_deinit(&j->wanted);
}
DEFINE_CLEANUP(job, job_deinit)

static int run(const struct job *j, const struct strv *argv, const char *dir, struct err *err)
{
	const struct make_run how = {.argv = argv->items,
				     .dir = dir,
				     .source = j->source->dir,
				     .obj = j->obj,
				     .log = j->log,
				     .cancel = j->cancel};
	int r = make_run(&how, err);

	return r < 0 && r != -EINTR ? err_wrap(err, "configure linux %s", j->source->version) : r;
}

static int make_target(const struct job *j, const char *target, struct err *err)
{
	auto_cleanup(strv) argv = {0};

	make_argv(&argv, j->source->dir, j->obj, j->tc);
	strv_add(&argv, "-s");
	strv_add(&argv, target);
	return run(j, &argv, NULL, err);
}

/*
 * The kernel's script writes to the folder it runs in, and splits its arguments at blanks: it runs
 * in the build folder, and is given names of ours.
 */
static int merge(const struct job *j, struct err *err)
{
	auto_free char *script = path_join(j->source->dir, "scripts/kconfig/merge_config.sh");
	static const char *const start[] = {"sh", NULL, "-m", "-O", ".", ".config"};
	auto_cleanup(strv) argv = {0};

	for (size_t i = 0; i < array_len(start); i++)
		strv_add(&argv, start[i] ? start[i] : script);
	for (size_t i = 0; i < j->fragments->n; i++) {
		auto_free char *name = str_printf("lab-%zu.config", i);
		auto_free char *path = path_join(j->obj, name);
		auto_cleanup(buf) text = {0};
		int r;

		fragment_set_text(&j->wanted, &j->fragments->items[i], &text);
		r = io_write_atomic(AT_FDCWD, path, text.data, text.len, 0644, err);
		if (r < 0)
			return r;
		strv_add(&argv, name);
	}
	return run(j, &argv, j->obj, err);
}

/* What .config is to be made of. */
static void digest_inputs(const struct job *j, char hex[65])
{
	auto_cleanup(buf) all = {0};

	buf_addf(&all, "%s\n%s\n%s\n", j->source->dir, j->source->version, j->tc->version);
	for (size_t i = 0; i < j->tc->make.n; i++)
		buf_addf(&all, "%s\n", j->tc->make.items[i]);
	for (size_t i = 0; i < j->fragments->n; i++)
		fragment_set_text(&j->wanted, &j->fragments->items[i], &all);
	sha256_bytes(all.data, all.len, hex);
}

/* The stamp that the present .config deserves; false: there is none. */
static bool stamp_text(const struct job *j, struct buf *out)
{
	char inputs[65], config[65];

	if (sha256_file(j->config, config, NULL) < 0)
		return false;
	digest_inputs(j, inputs);
	buf_addf(out, "%s %s\n", inputs, config);
	return true;
}

static bool is_configured(const struct job *j)
{
	auto_free char *path = path_join(j->obj, STAMP);
	auto_cleanup(buf) is = {0}, should_be = {0};

	return stamp_text(j, &should_be) && io_read_file(AT_FDCWD, path, 4096, &is, NULL) == 0 &&
	       is.len == should_be.len && memcmp(is.data, should_be.data, is.len) == 0;
}

static int write_stamp(const struct job *j, struct err *err)
{
	auto_free char *path = path_join(j->obj, STAMP);
	auto_cleanup(buf) text = {0};

	if (!stamp_text(j, &text))
		return err_set(err, EIO, "%s is gone", j->config);
	return io_write_atomic(AT_FDCWD, path, text.data, text.len, 0644, err);
}

/* --- what did not stick --- */

struct missing {
	const struct job *job;
	const struct kconfig *config;
	struct kconfig_tree *tree; /* NULL: it cannot be read */
	struct strv *lines;
};

static void note_miss(void *data, const struct fragment_pick *wanted, const char *is)
{
	const struct fragment_option *o = wanted->option;
	struct missing *m = data;
	auto_cleanup(buf) why = {0};

	if (m->tree)
		kconfig_why(m->tree, m->config, o->name, o->value, &why);
	strv_addf(m->lines, "%s:%d: CONFIG_%s=%s did not stick (it is %s)%s%s",
		  wanted->fragment->path, o->line, o->name, o->value, is, why.len ? ": " : "",
		  why.len ? why.data : "");
}

static int check(const struct job *j, struct strv *misses, struct err *err)
{
	auto_cleanup(kconfig) config = {0};
	auto_cleanup(strv) unused = {0};
	struct missing m = {j, &config, NULL, misses ? misses : &unused};
	size_t before = m.lines->n, n;
	auto_cleanup(buf) more = {0};
	int r = kconfig_load(j->config, &config, err);

	if (r < 0 || kconfig_check(&config, &j->wanted, NULL, NULL) == 0)
		return r;
	if (kconfig_tree_open(j->source->dir, j->arch, &m.tree, NULL) < 0)
		m.tree = NULL;
	n = kconfig_check(&config, &j->wanted, note_miss, &m);
	kconfig_tree_close(m.tree);
	if (n > 1)
		buf_addf(&more, "; and %zu more", n - 1);
	return err_set(err, EINVAL, "%.450s%s", m.lines->items[before], n > 1 ? more.data : "");
}

static int prepare(struct job *j, struct err *err)
{
	int r = fragment_set_build(j->fragments->items, j->fragments->n, &j->source->kver, j->arch,
				   &j->wanted, err);

	if (r < 0)
		return r;
	j->config = path_join(j->obj, ".config");
	return io_mkdirs(j->obj, 0755, err);
}

int configure(const struct source *source, enum arch arch, const struct toolchain *tc,
	      const struct fragments *fragments, const char *obj, int log,
	      const volatile int *cancel, struct strv *misses, struct err *err)
{
	auto_cleanup(job) j = {.source = source,
			       .arch = arch,
			       .tc = tc,
			       .fragments = fragments,
			       .obj = obj,
			       .log = log,
			       .cancel = cancel};
	int r = prepare(&j, err);
	bool made;

	if (r < 0)
		return r;
	made = is_configured(&j);
	if (made && !source->is_tree)
		return 0;
	if (!made) {
		r = make_target(&j, "tinyconfig", err);
		if (r == 0)
			r = merge(&j, err);
	}
	/* a tree's Kconfig files may have changed since */
	if (r == 0)
		r = make_target(&j, "olddefconfig", err);
	if (r == 0)
		r = check(&j, misses, err);
	return r < 0 ? r : write_stamp(&j, err);
}
