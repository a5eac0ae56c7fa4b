#include "lab/kernel/built.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/deb.h"
#include "lab/kernel/built-meta.h"
#include "lab/kernel/built-stage.h"
#include "lab/kernel/kernel-unpack.h"

int built_read_meta(const char *dir, struct built_meta *ret, struct err *err)
{
	auto_free char *path = path_join(dir, "meta.json"), *name = NULL;
	auto_cleanup(built_meta) m = {0};
	auto_cleanup(buf) text = {0};
	int r = io_read_file(AT_FDCWD, path, BUILT_META_MAX_BYTES, &text, err);

	if (r == 0)
		r = built_meta_parse(path, text.data, text.len, &m, err);
	if (r < 0)
		return r;
	name = built_folder_name(&m.built);
	if (!str_eq(name, strrchr(dir, '/') + 1))
		return err_set(err, EBADMSG, "%s: it is about %s", path, name);
	*ret = m;
	m = (struct built_meta){0};
	return 0;
}

/*
 * Is the image the one that was installed? Only read when it does not bear that time: a copied
 * cache.
 */
static bool image_unchanged(const char *image, const struct built_meta *m)
{
	struct stat st;
	char hex[65];

	if (stat(image, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != m->image_size)
		return false;
	return st.st_mtim.tv_sec == m->built.built_at ||
	       (sha256_file(image, hex, NULL) == 0 && str_eq(hex, m->image_sha256));
}

static char *if_there(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);

	return io_exists(path) ? take_ptr(path) : NULL;
}

/* "linux-6.5.tar.xz, guest+debug, gcc …" */
static char *origin_of(const struct built *b)
{
	auto_cleanup(buf) out = {0};
	bool first = true;

	buf_addf(&out, "%s, ", b->source_what);
	for (size_t i = 0; i < b->fragments.n; i++) {
		const char *name = b->fragments.items[i], *slash = strrchr(name, '/');

		if (str_eq(name, "minimal") && b->fragments.n > 1)
			continue; /* lies under all of them */
		buf_addf(&out, "%s%s", first ? "" : "+", slash ? slash + 1 : name);
		first = false;
	}
	buf_addf(&out, "%s%s", b->compiler ? ", " : "", b->compiler ? b->compiler : "");
	return take_ptr(out.data);
}

static int fill(const struct built_meta *m, const char *dir, struct kernel *ret, struct err *err)
{
	const struct built *b = &m->built;
	auto_free char *modules = str_printf("lib/modules/%s", b->release);
	struct kernel k = {.arch = b->arch, .local = b->local};

	if (kver_parse(b->version, &k.kver, err) < 0)
		return -EINVAL;
	k.name = xstrdup(b->name);
	k.version = xstrdup(b->version);
	k.release = xstrdup(b->release);
	k.image = path_join(dir, "image");
	k.modules_dir = if_there(dir, modules);
	k.config = if_there(dir, "config");
	k.sha256 = xstrdup(m->image_sha256);
	k.vmlinux = if_there(dir, "vmlinux");
	k.build_id = xstrdup(b->build_id);
	k.origin = origin_of(b);
	*ret = k;
	return 0;
}

/* ---- finding ---- */

/* Called for each folder whose meta.json is right; 0 goes on. */
typedef int (*each_fn)(void *data, const char *dir, const struct built_meta *m, struct err *err);

static int each(each_fn fn, void *data, struct err *err)
{
	auto_free char *root = cache_dir("kernels", err);
	auto_closedir DIR *d = root ? opendir(root) : NULL;
	auto_cleanup(strv) names = {0};
	struct dirent *e;
	int r = 0;

	if (!root)
		return err ? -err->code : -EINVAL;
	if (!d)
		return err_errno(err, "%s", root);
	while ((e = readdir(d)))
		if (built_is_folder_name(e->d_name))
			strv_add(&names, e->d_name);
	strv_sort(&names);
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		auto_free char *dir = path_join(root, names.items[i]);
		auto_cleanup(built_meta) m = {0};

		if (built_read_meta(dir, &m, NULL) == 0)
			r = fn(data, dir, &m, err);
	}
	return r;
}

struct each_call {
	built_fn fn;
	void *data;
};

static int call(void *data, const char *dir, const struct built_meta *m, struct err *err)
{
	const struct each_call *c = data;

	return c->fn(c->data, &m->built, dir, err);
}

int built_each(built_fn fn, void *data, struct err *err)
{
	struct each_call c = {fn, data};

	return each(call, &c, err);
}

static int take(const char *dir, const struct built_meta *m, struct kernel *ret, struct built *info,
		struct err *err)
{
	int r = fill(m, dir, ret, err);

	if (r == 0 && info)
		*info = built_copy(&m->built);
	return r;
}

struct search {
	const char *name;
	enum arch arch;
	char *dir; /* of the best so far */
	struct built_meta best;
};

static void search_deinit(struct search *s)
{
	free(s->dir);
	built_meta_deinit(&s->best);
}
DEFINE_CLEANUP(search, search_deinit)

/* One that is keyed before a local one, then the newer one. */
static int consider(void *data, const char *dir, const struct built_meta *m, struct err *err)
{
	struct search *s = data;
	auto_free char *image = path_join(dir, "image");
	const struct built *b = &m->built, *best = &s->best.built;

	(void)err;
	if (!str_eq(b->name, s->name) || b->arch != s->arch || !image_unchanged(image, m))
		return 0;
	if (s->dir && (b->local != best->local ? b->local : b->built_at <= best->built_at))
		return 0;
	free(s->dir);
	built_meta_deinit(&s->best);
	s->dir = xstrdup(dir);
	s->best = (struct built_meta){.built = built_copy(b),
				      .image_sha256 = xstrdup(m->image_sha256),
				      .sums_sha256 = xstrdup(m->sums_sha256),
				      .image_size = m->image_size};
	return 0;
}

static int find_any(const char *name, enum arch arch, struct kernel *ret, struct built *info,
		    struct err *err)
{
	auto_cleanup(search) s = {.name = name, .arch = arch};
	int r = each(consider, &s, err);

	if (r < 0)
		return r;
	if (!s.dir)
		return err_set(err, ENOENT, "kernel %.80s for %s is not built", name,
			       arch_name(arch));
	return take(s.dir, &s.best, ret, info, err);
}

static int find_folder(const struct built *key, struct kernel *ret, struct built *info,
		       struct err *err)
{
	auto_free char *dir = built_dir(key, err), *image = NULL;
	auto_cleanup(built_meta) m = {0};

	if (!dir)
		return err ? -err->code : -EINVAL;
	image = path_join(dir, "image");
	if (built_read_meta(dir, &m, NULL) < 0 || !image_unchanged(image, &m) ||
	    (key->inputs && !str_eq(key->inputs, m.built.inputs)))
		return err_set(err, ENOENT, "%s is not in the cache", dir);
	return take(dir, &m, ret, info, err);
}

int built_find_folder(const struct built *b, struct err *err)
{
	auto_cleanup(kernel) k = {0};

	return find_folder(b, &k, NULL, err);
}

int built_find(const char *name, enum arch arch, const char *inputs, bool or_local,
	       struct kernel *ret, struct built *info, struct err *err)
{
	struct built key = {.name = (char *)name, .arch = arch, .inputs = (char *)inputs};
	int r;

	if (!inputs)
		return find_any(name, arch, ret, info, err);
	r = find_folder(&key, ret, info, err);
	if (r < 0 && or_local) {
		key.inputs = NULL;
		if (find_folder(&key, ret, info, NULL) == 0)
			return 0;
	}
	return r;
}

/* ---- taking in, checking, removing ---- */

int built_install(const struct built *b, const char *stage, struct kernel *ret, struct err *err)
{
	auto_free char *path = path_join(stage, "SHA256SUMS");
	auto_cleanup(built_meta) m = {.built = built_copy(b)};
	auto_cleanup(buf) sums = {0};
	int r = built_stage_read(stage, &m, &sums, err);

	if (r == 0)
		r = io_write_atomic(AT_FDCWD, path, sums.data, sums.len, 0644, err);
	if (r == 0)
		r = built_stage_place(stage, &m, err);
	if (r == 0)
		r = built_discard_other_keys(b, err);
	if (r < 0)
		io_remove_tree(AT_FDCWD, stage, NULL);
	return r < 0 ? r : find_folder(b, ret, NULL, err);
}

int built_verify(const struct built *b, struct err *err)
{
	auto_free char *dir = built_dir(b, err), *sums = NULL;
	auto_cleanup(buf) now = {0}, then = {0};
	auto_cleanup(built_meta) m = {0};
	char hex[65];
	int r;

	if (!dir)
		return err ? -err->code : -EINVAL;
	if (!io_exists(dir))
		return err_set(err, ENOENT, "%s is not in the cache", dir);
	if (built_read_meta(dir, &m, err) < 0)
		return built_not_fit(err);
	sums = path_join(dir, "SHA256SUMS");
	if (io_read_file(AT_FDCWD, sums, BUILT_SUMS_MAX_BYTES, &then, NULL) < 0)
		return err_set(err, EBADMSG, "%s: missing or not readable", sums);
	sha256_bytes(then.data ? then.data : "", then.len, hex);
	if (!str_eq(hex, m.sums_sha256))
		return err_set(err, EBADMSG, "%s: changed since it was built", sums);
	r = kernel_sums(dir, &now, err);
	return r < 0 ? r : kernel_sums_compare(dir, then.data, now.data, err);
}

int built_remove(const char *name, enum arch arch, struct err *err)
{
	auto_free char *root = cache_dir("kernels", err);
	auto_free char *prefix = str_printf("%s-%s-", name, arch_name(arch));
	auto_closedir DIR *d = root ? opendir(root) : NULL;
	struct dirent *e;
	int r = 0, removed = 0;

	if (!root)
		return err ? -err->code : -EINVAL;
	if (!d)
		return err_errno(err, "%s", root);
	while (r == 0 && (e = readdir(d))) {
		auto_free char *dir = path_join(root, e->d_name);

		/* the key has no '-': what follows the prefix is all of it */
		if (!built_is_folder_name(e->d_name) || !str_starts(e->d_name, prefix) ||
		    strchr(e->d_name + strlen(prefix), '-'))
			continue;
		r = cache_discard(dir, err);
		removed = 1;
	}
	return r < 0 ? r : removed;
}
