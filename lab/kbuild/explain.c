#include "lab/kbuild/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/kernel/built.h"
#include "lab/kernel/kernel-target.h"

void explained_deinit(struct explained *e)
{
	free(e->name);
	free(e->version);
	free(e->state);
	free(e->srctree);
	kconfig_deinit(&e->config);
	fragment_set_deinit(&e->wanted);
	fragments_deinit(&e->fragments);
	source_deinit(&e->source);
	*e = (struct explained){0};
}

/* The fragments of a flavour, and what they want of this kernel. */
static int take_flavour(const struct flavour *flavour, struct explained *e, struct err *err)
{
	struct kver kver;
	int r = kver_parse(e->version, &kver, err);

	if (r == 0)
		r = fragments_load(flavour, &e->fragments, err);
	return r < 0 ? r
		     : fragment_set_build(e->fragments.items, e->fragments.n, &kver, e->arch,
					  &e->wanted, err);
}

static int take_config(const char *path, struct explained *e, struct err *err)
{
	int r = kconfig_load(path, &e->config, err);

	e->has_config = r == 0;
	return r;
}

/* The source of a folder that somebody builds kernels in: itself, or what make's O= left. */
static char *source_of_tree(const char *dir)
{
	static const char *const below[] = {"Kconfig", "source/Kconfig"};

	for (size_t i = 0; i < array_len(below); i++) {
		auto_free char *mark = path_join(dir, below[i]);

		if (io_exists(mark))
			return i ? path_join(dir, "source") : xstrdup(dir);
	}
	return NULL;
}

/*
 * A file that is a configuration, or a folder with one. Returns 1 when path is neither: a kernel's
 * file, say.
 */
static int from_config(const struct explain_request *r, struct explained *e, struct err *err)
{
	auto_free char *inside = path_join(r->spec, ".config");
	bool named = str_ends(r->spec, "config"), is_folder;
	const char *path = r->spec;
	struct err why = {0};
	struct stat st;

	if (stat(path, &st) < 0)
		return err_errno(err, "%.300s", path);
	is_folder = S_ISDIR(st.st_mode);
	if (is_folder) {
		path = inside;
		if (!io_exists(path))
			return err_set(err, ENOENT,
				       "%.300s is not configured: there is no .config in it",
				       r->spec);
	}
	if (take_config(path, e, &why) < 0)
		return named || is_folder ? err_set(err, -why.code ? why.code : EIO, "%s", why.msg)
					  : 1;
	if (!e->config.version || e->config.arch < 0)
		return err_set(err, EINVAL,
			       "%.300s does not say of which kernel it is (the kernel's own tools "
			       "write \"Linux/x86 6.1.0 Kernel Configuration\" above)",
			       path);
	if (!r->any_arch && (int)r->arch != e->config.arch)
		return err_set(err, EINVAL, "%.300s is a configuration for %s, not for %s", path,
			       arch_name(e->config.arch), arch_name(r->arch));
	e->arch = e->config.arch;
	e->version = xstrdup(e->config.version);
	e->state = xstrdup("a configuration as it lies there");
	if (is_folder)
		e->srctree = source_of_tree(r->spec);
	return 0;
}

/* Of a kernel that is here, or is fetched. */
static int from_kernel(const struct explain_request *r, const char *state, struct explained *e,
		       struct err *err)
{
	struct kernel_want want = *r->want;
	auto_cleanup(kernel) k = {0};
	int ret;

	want.flavour = NULL;
	want.no_build = true;
	ret = kernel_resolve(r->spec, e->arch, &want, &k, err);
	if (ret < 0)
		return ret;
	if (!k.config)
		return err_set(err, ENODATA,
			       "%.200s: its configuration is neither beside it nor in "
			       "its package",
			       r->spec);
	e->version = xstrdup(k.version);
	e->state = k.package ? str_printf("%s (%s)", state, k.package) : xstrdup(state);
	return take_config(k.config, e, err);
}

static int from_path(const struct explain_request *r, struct explained *e, struct err *err)
{
	auto_cleanup(flavour) flavour = {0};
	int ret = from_config(r, e, err);

	if (ret == 1)
		ret = from_kernel(r, "the user's own file", e, err);
	if (ret < 0)
		return ret;
	ret = flavour_parse(r->flavour, NULL, &flavour, err);
	return ret < 0 ? ret : take_flavour(&flavour, e, err);
}

/* Configure in a folder of its own, to see what comes of it. */
static int try_out(const struct explain_request *r, struct explained *e, struct err *err)
{
	auto_free char *builds = cache_dir("builds", err);
	auto_free char *obj = builds ? path_join(builds, "tmp-config-XXXXXX") : NULL;
	auto_free char *config = NULL;
	auto_cleanup(toolchain) tc = {0};
	auto_cleanup(strv) misses = {0};
	int ret;

	if (!obj)
		return -err->code;
	ret = toolchain_find(e->arch, r->want->llvm, &e->source.kver, &tc, err);
	if (ret < 0)
		return ret;
	if (!mkdtemp(obj))
		return err_errno(err, "%s", obj);
	ret = configure(&e->source, e->arch, &tc, &e->fragments, obj, -1, r->want->cancel, &misses,
			err);
	config = path_join(obj, ".config");
	if (ret == 0 || misses.n)
		ret = take_config(config, e, err);
	io_remove_tree(AT_FDCWD, obj, NULL);
	return ret;
}

static int open_source(const struct explain_request *r, const struct kernel_target *t,
		       struct explained *e, struct err *err)
{
	const struct source_place place = source_place(t->pin, t->package, r->source, r->want);
	int ret = r->source ? 0 : kernel_target_check(t, err);

	if (ret == 0)
		ret = source_open(&place, &e->source, err);
	if (ret == 0)
		e->srctree = xstrdup(e->source.dir);
	return ret;
}

/* The source, when it is unpacked in the cache: nothing large is read only to say why. */
static void find_source(const struct explain_request *r, const struct kernel_target *t,
			struct explained *e)
{
	const struct source_place place = source_place(t->pin, t->package, r->source, r->want);
	auto_free char *id = NULL, *dir = NULL, *sources = NULL;

	if (r->only_config || kernel_target_check(t, NULL) < 0)
		return;
	id = source_id(&place, NULL);
	sources = cache_dir("sources", NULL);
	if (!id || !sources || !str_starts(id, "sha256:"))
		return;
	dir = str_printf("%s/%.16s", sources, id + strlen("sha256:"));
	if (io_exists(dir))
		open_source(r, t, e, NULL);
}

static int from_built(const struct explain_request *r, const struct kernel_target *t,
		      const struct kernel *k, const struct built *b, struct explained *e,
		      struct err *err)
{
	const struct flavour as_built = {.fragments = b->fragments};

	e->version = xstrdup(k->version);
	e->state = str_printf("built of %s with %s", b->source_what, b->compiler);
	if (b->source_dir && io_exists(b->source_dir))
		e->srctree = xstrdup(b->source_dir);
	else
		find_source(r, t, e);
	return take_flavour(&as_built, e, err) < 0 ? -err->code : take_config(k->config, e, err);
}

/* Neither Debian's nor built: what it would be. */
static int not_built(const struct explain_request *r, const struct kernel_target *t,
		     struct explained *e, struct err *err)
{
	struct err why = {0};
	int ret = open_source(r, t, e, &why);

	if (ret == -ENODATA && r->want->offline && t->pin) {
		e->version = xstrdup(t->pin->series ? t->pin->series : t->pin->name);
		e->state = xstrdup("not built, and its source is not here");
		return take_flavour(&t->flavour, e, err);
	}
	if (ret < 0)
		return err_set(err, why.code, "%s", why.msg);
	e->version = xstrdup(e->source.version);
	e->state = xstrdup("not built: configured to see");
	ret = take_flavour(&t->flavour, e, err);
	return ret < 0 ? ret : try_out(r, e, err);
}

static int from_name(const struct explain_request *r, struct explained *e, struct err *err)
{
	auto_cleanup(kernel_target) t = {0};
	auto_cleanup(flavour) flavour = {0};
	auto_cleanup(built) b = {0};
	auto_cleanup(kernel) k = {0};
	int ret = kernel_target(r->spec, r->arch, r->flavour, &t, err);

	if (ret < 0)
		return ret;
	if (t.is_binary && r->source) {
		/* not Debian's kernel, but one that is built */
		kernel_target_deinit(&t);
		ret = kernel_target(r->spec, r->arch, "guest", &t, err);
		if (ret < 0)
			return ret;
	}
	free(e->name);
	e->name = xstrdup(t.name);
	if (!t.is_binary) {
		if (!r->source && built_find(t.name, r->arch, NULL, true, &k, &b, NULL) == 0)
			return from_built(r, &t, &k, &b, e, err);
		/* imported: its name is as others wrote it */
		if (!r->source && !t.pin &&
		    built_find(r->spec, r->arch, NULL, true, &k, &b, NULL) == 0)
			return from_built(r, &t, &k, &b, e, err);
		return not_built(r, &t, e, err);
	}
	ret = from_kernel(r, "Debian's kernel", e, err);
	if (ret == 0)
		ret = flavour_parse(NULL, &t.pin->config, &flavour, err);
	if (ret == 0)
		ret = take_flavour(&flavour, e, err);
	if (ret == 0)
		find_source(r, &t, e);
	return ret;
}

int explain(const struct explain_request *r, struct explained *ret, struct err *err)
{
	auto_cleanup(explained) e = {.name = xstrdup(r->spec), .arch = r->arch};
	struct err unused = {0};
	int result;

	if (!err)
		err = &unused;
	result =
		kernel_spec_is_path(r->spec) || (str_ends(r->spec, ".config") && io_exists(r->spec))
			? from_path(r, &e, err)
			: from_name(r, &e, err);
	if (result < 0)
		return result;
	*ret = e;
	e = (struct explained){0};
	return 0;
}
