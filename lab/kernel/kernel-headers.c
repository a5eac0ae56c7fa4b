#include "lab/kernel/kernel-headers.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/kernel/kernel-store.h"
#include "lab/kernel/kernel-unpack.h"
#include "lab/kernel/store-folder.h"

void kernel_headers_deinit(struct kernel_headers *h)
{
	free(h->dir);
	*h = (struct kernel_headers){0};
}

char *kernel_headers_name(const struct lock_kernel *k)
{
	auto_free char *name = kernel_store_name(k);

	return str_printf("%s.headers", name);
}

/* The packages to unpack: headers of k; tools and libraries of host, k for this architecture. */
struct parts {
	const struct lock_kernel *k;
	const struct deb *items[16];
	size_t n;
};

static bool is_headers(const struct deb *deb)
{
	return str_starts(deb->name, "linux-headers-");
}

static int find_parts(const struct kernels_lock *lock, const struct lock_kernel *k,
		      struct parts *ret, struct err *err)
{
	const struct lock_kernel *host = kernels_lock_find(lock, k->name, arch_native());

	*ret = (struct parts){.k = k};
	if (!k->n_headers)
		return err_set(err, ENOTSUP,
			       "the archive had no headers of kernel %s %s for %s when it was "
			       "pinned",
			       k->name, k->debs[0].version, arch_name(k->arch));
	if (!host || !host->n_headers || !str_eq(host->headers[0].version, k->headers[0].version))
		return err_set(err, ENOTSUP, "kernels.lock has no tools of kernel %s for this host",
			       k->name);
	for (size_t i = 0; i < k->n_headers; i++)
		if (is_headers(&k->headers[i]))
			ret->items[ret->n++] = &k->headers[i];
	for (size_t i = 0; i < host->n_headers; i++)
		if (!is_headers(&host->headers[i]))
			ret->items[ret->n++] = &host->headers[i];
	return 0;
}

/* parts NULL: of whichever packages it is. */
static int folder(const struct lock_kernel *k, const struct parts *parts, struct store_folder *ret,
		  struct err *err)
{
	auto_free char *root = cache_dir("kernels", err), *name = kernel_headers_name(k);
	auto_cleanup(buf) inputs = {0};

	if (!root)
		return err ? -err->code : -EINVAL;
	for (size_t i = 0; parts && i < parts->n; i++)
		buf_addf(&inputs, "%s%s", i ? " " : "", parts->items[i]->sha256);
	ret->dir = path_join(root, name);
	ret->inputs = inputs.data ? take_ptr(inputs.data) : xstrdup("");
	ret->file = "arch/.config";
	return 0;
}

char *kernel_headers_inputs(const struct kernels_lock *lock, const struct lock_kernel *k,
			    struct err *err)
{
	auto_cleanup(store_folder) f = {0};
	struct parts parts;

	if (find_parts(lock, k, &parts, err) < 0 || folder(k, &parts, &f, err) < 0)
		return NULL;
	return take_ptr(f.inputs);
}

/* ---- unpacking ---- */

struct unpacking {
	const struct parts *parts;
	const struct kernel_want *want;
	char *const *paths; /* of the packages */
	const char *dir;
	struct strv programs; /* ELF files below arch/ */
};

static void unpacking_deinit(struct unpacking *u)
{
	strv_deinit(&u->programs);
}
DEFINE_CLEANUP(unpacking, unpacking_deinit)

/* What of path is below the folder "DIR/ANYTHING/"; NULL: it is not there. */
static const char *below(const char *path, const char *start)
{
	const char *slash = str_starts(path, start) ? strchr(path + strlen(start), '/') : NULL;

	return slash ? slash + 1 : NULL;
}

static char *place_of_common(const char *rest)
{
	/* arm64 includes some of arm */
	static const char *const archs[] = {"arch/x86/", "arch/arm64/", "arch/arm/"};

	for (size_t i = 0; i < array_len(archs); i++)
		if (str_starts(rest, archs[i]))
			return path_join("common", rest);
	return str_starts(rest, "arch/") ? NULL : path_join("common", rest);
}

/* kbuild has wrappers that choose among programs for all architectures; we know which. */
static bool is_foreign_tool(const char *rest)
{
	const char *of = strstr(rest, ".real-");

	return of && !str_eq(of, ".real-lsb-64") && !str_eq(of, ".real-x86");
}

static char *place_of_library(const char *path)
{
	static const char *const names[] = {"ld-",   "libc.",	"libc-",      "libelf",
					    "libz.", "libzstd", "libpthread", "libdl"};
	const char *name = strrchr(path, '/') + 1;
	auto_free char *where = str_printf("lib/%s/%s", arch_triplet(arch_native()), name);

	if (!str_ends(path, where) || !strstr(name, ".so"))
		return NULL;
	for (size_t i = 0; i < array_len(names); i++)
		if (str_starts(name, names[i]))
			return path_join("lib", name);
	return NULL;
}

/*
 * Where a member goes; NULL: it is not needed. A vmlinux, which some have, would only bring BTF,
 * which needs a pahole of the kernel's time.
 */
static char *place_of(const struct unpacking *u, const struct deb_member *m)
{
	auto_free char *own = str_printf("usr/src/linux-headers-%s/", u->parts->k->release);
	const char *path = m->path, *rest;

	if (!strchr(path, '/'))
		return NULL;
	if (str_starts(path, own)) {
		rest = path + strlen(own);
		if (str_eq(rest, "Makefile") || str_eq(rest, ".kernelvariables") ||
		    str_eq(rest, "vmlinux") || (str_starts(rest, "include/config/") && !m->size))
			return NULL;
		return path_join("arch", rest);
	}
	rest = below(path, "usr/src/linux-headers-");
	if (rest)
		return place_of_common(rest);
	rest = below(path, "usr/lib/linux-kbuild-");
	if (rest)
		return is_foreign_tool(rest) ? NULL : path_join("arch", rest);
	return str_starts(path, "usr/lib/") || str_starts(path, "lib/") ? place_of_library(path)
									: NULL;
}

/* libelf.so.1 -> libelf-0.188.so; the few links among headers are to files, too. */
static int add_link(const struct unpacking *u, const struct deb_member *m, struct err *err)
{
	auto_free char *place = place_of(u, m), *to = place ? path_join(u->dir, place) : NULL;

	if (!to || !str_starts(place, "lib/") || strchr(m->link, '/'))
		return 0;
	return symlink(m->link, to) < 0 ? err_errno(err, "create %s", to) : 0;
}

static bool is_elf(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char magic[4];

	return fd >= 0 && read(fd, magic, 4) == 4 && memcmp(magic, "\177ELF", 4) == 0;
}

/* The tools are in both folders. */
static int link_tool(const struct unpacking *u, const char *rest, const char *from, struct err *err)
{
	auto_free char *to = str_printf("%s/common/%s", u->dir, rest), *parent = xstrdup(to);
	int r;

	*strrchr(parent, '/') = '\0';
	r = io_mkdirs(parent, 0755, err);
	if (r == 0 && link(from, to) < 0)
		r = err_errno(err, "create %s", to);
	return r;
}

static int on_member(void *data, struct deb_member *m, struct err *err)
{
	struct unpacking *u = data;
	auto_free char *place = NULL, *to = NULL;
	const char *tool;
	int r;

	if (m->link)
		return S_ISLNK(m->mode) ? add_link(u, m, err) : 0;
	place = S_ISREG(m->mode) ? place_of(u, m) : NULL;
	if (!place)
		return 0;
	to = path_join(u->dir, place);
	r = kernel_unpack_member(m, to, u->want->cancel, err);
	if (r == 0 && (m->mode & 0100) && chmod(to, 0755) < 0)
		r = err_errno(err, "chmod %s", to);
	tool = below(m->path, "usr/lib/linux-kbuild-");
	if (r < 0 || !tool)
		return r;
	if (is_elf(to))
		strv_add(&u->programs, place);
	return link_tool(u, tool, to, err);
}

/* The loader, as the package calls it. */
static const char *loader(void)
{
	return arch_native() == ARCH_ARM64 ? "ld-linux-aarch64.so.1" : "ld-linux-x86-64.so.2";
}

/* Put a script in the place of a program, that starts it with its own libraries. */
static int wrap(const struct unpacking *u, const char *program, struct err *err)
{
	static const char *const reals[] = {".real-lsb-64", ".real-x86"};
	auto_free char *path = path_join(u->dir, program), *elf = str_printf("%s.elf", path);
	const char *name = strrchr(program, '/') + 1;
	auto_free char *real = str_printf("%s.elf", name);
	auto_cleanup(buf) text = {0}, up = {0};
	int r;

	for (size_t i = 0; i < array_len(reals); i++) {
		auto_free char *other = str_printf("%s%s", path, reals[i]);

		if (!io_exists(other))
			continue;
		free(real);
		real = str_printf("%s%s", name, reals[i]);
	}
	for (size_t i = 0; i < path_depth(program); i++)
		buf_adds(&up, "/..");
	if (rename(path, elf) < 0)
		return err_errno(err, "rename %s", path);
	buf_addf(&text,
		 "#!/bin/sh\nd=${0%%/*}\nexec \"$d%s/lib/%s\" --library-path \"$d%s/lib\" "
		 "\"$d/%s\" \"$@\"\n",
		 up.data, loader(), up.data, real);
	r = io_write_atomic(AT_FDCWD, path, text.data, text.len, 0755, err);
	if (r == 0) { /* what is in common is a program, too; replaced in one step */
		auto_free char *other = str_printf("%s/common%s", u->dir, strchr(program, '/'));
		auto_free char *to = str_printf("%s.elf", other);

		if (rename(other, to) < 0 || link(path, other) < 0)
			return err_errno(err, "rename %s", other);
	}
	return r;
}

/* All that a build looks for first is there. */
static int check_whole(const struct unpacking *u, struct err *err)
{
	static const char *const files[] = {
		"common/Makefile",	    "arch/.config",
		"arch/Module.symvers",	    "arch/include/config/auto.conf",
		"arch/scripts/mod/modpost", "arch/scripts/basic/fixdep"};
	auto_free char *ld = str_printf("%s/lib/%s", u->dir, loader());

	for (size_t i = 0; i < array_len(files); i++) {
		auto_free char *path = path_join(u->dir, files[i]);

		if (!io_exists(path))
			return err_set(err, EBADMSG, "there is no %s in the packages", files[i]);
	}
	return io_exists(ld) ? 0
			     : err_set(err, EBADMSG, "there is no %s in the packages", loader());
}

static int unpack(void *data, const char *dir, json_t *meta, struct err *err)
{
	struct unpacking *u = data;
	auto_free char *lib = path_join(dir, "lib");
	int r = io_mkdirs(lib, 0755, err);

	u->dir = dir;
	for (size_t i = 0; r == 0 && i < u->parts->n; i++)
		r = deb_walk(u->paths[i], on_member, u, err);
	for (size_t i = 0; r == 0 && i < u->programs.n; i++)
		if (!strstr(u->programs.items[i], ".real-"))
			r = wrap(u, u->programs.items[i], err);
	if (r == 0)
		r = check_whole(u, err);
	json_object_set_new(meta, "release", json_string(u->parts->k->release));
	return r;
}

static int fetch(const struct parts *parts, const struct kernel_want *want, struct strv *paths,
		 struct err *err)
{
	const struct lock_kernel *k = parts->k;
	struct err why = {0};

	for (size_t i = 0; i < parts->n; i++) {
		char *path = NULL;
		int r = deb_fetch(parts->items[i], want->offline, want->progress, want->data,
				  want->cancel, &path, &why);

		if (r == -ENOENT && want->offline)
			return err_set(err, ENODATA,
				       "the headers of kernel %s for %s are not in the cache, and "
				       "nothing may be fetched (offline): run 'lab kernel pull "
				       "--headers %s'",
				       k->name, arch_name(k->arch), k->name);
		if (r < 0)
			return err_set(err, r == -ENOENT ? ENOTSUP : -r,
				       "headers of kernel %s for %s: %s", k->name,
				       arch_name(k->arch), why.msg);
		strv_take(paths, path);
	}
	return 0;
}

static int provide(const struct parts *parts, const struct store_folder *f,
		   const struct kernel_want *want, struct err *err)
{
	const struct lock_kernel *k = parts->k;
	auto_free char *what =
		str_printf("unpacking headers of kernel %s %s", k->name, arch_name(k->arch));
	auto_cleanup(unpacking) u = {.parts = parts, .want = want};
	auto_cleanup(strv) paths = {0};
	int r = fetch(parts, want, &paths, err);

	if (r < 0)
		return r;
	u.paths = paths.items;
	if (want->progress)
		want->progress(want->data, what, 0, 0);
	r = store_folder_make(f, unpack, &u, err);
	if (want->progress)
		want->progress(want->data, what, 1, 1);
	if (r < 0)
		return err_wrap(err, "headers of kernel %s for %s", k->name, arch_name(k->arch));
	return 0;
}

static bool is_there(const struct store_folder *f)
{
	json_t *meta = store_folder_find(f);

	json_decref(meta);
	return meta != NULL;
}

int kernel_headers_fetch(const struct kernels_lock *lock, const struct lock_kernel *k,
			 const struct kernel_want *want, struct kernel_headers *ret,
			 struct err *err)
{
	auto_free char *what =
		str_printf("fetching headers of kernel %s %s", k->name, arch_name(k->arch));
	auto_cleanup(store_folder) f = {0};
	auto_close int held = -1;
	struct parts parts;
	int r = find_parts(lock, k, &parts, err);

	if (r == 0)
		r = folder(k, &parts, &f, err);
	if (r < 0)
		return r;
	if (!is_there(&f)) {
		held = store_folder_lock(&f, what, want, err);
		if (held < 0)
			return held;
		if (!is_there(&f)) /* else by another lab, while we waited */
			r = provide(&parts, &f, want, err);
		if (r < 0)
			return r;
		store_folder_made(&f);
	}
	*ret = (struct kernel_headers){take_ptr(f.dir)};
	return 0;
}

int kernel_headers_verify(const struct kernels_lock *lock, const struct lock_kernel *k,
			  struct err *err)
{
	auto_cleanup(store_folder) f = {0};
	struct parts parts;
	int r = find_parts(lock, k, &parts, NULL);

	if (r == 0)
		r = folder(k, &parts, &f, err);
	return r == -ENOTSUP ? -ENOENT : r < 0 ? r : store_folder_verify(&f, err);
}

int kernel_headers_remove(const struct lock_kernel *k, struct err *err)
{
	auto_free char *what =
		str_printf("headers of kernel %s for %s", k->name, arch_name(k->arch));
	auto_cleanup(store_folder) f = {0};
	int r = folder(k, NULL, &f, err);

	return r < 0 ? r : store_folder_remove(&f, what, err);
}
