#include "lab/kernel/kernel.h"

#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/kernel/kernel-file.h"
#include "lab/kernel/kernel-pin.h"
#include "lab/kernel/kernel-store.h"

void kernel_deinit(struct kernel *k)
{
	free(k->name);
	free(k->path);
	free(k->version);
	free(k->release);
	free(k->image);
	free(k->modules_dir);
	free(k->config);
	free(k->sha256);
	free(k->package);
	free(k->vmlinux);
	free(k->build_id);
	free(k->origin);
	*k = (struct kernel){0};
}

int kernel_names(struct strv *names, char **default_name, struct err *err)
{
	auto_cleanup(pins) pins = {0};
	int r = pins_load(&pins, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < pins.n; i++) {
		if (pins.items[i].suite)
			strv_add(names, pins.items[i].name);
		if (pins.items[i].is_default)
			*default_name = xstrdup(pins.items[i].name);
	}
	return 0;
}

int kernel_unknown(const char *name, const struct pins *pins, struct err *err)
{
	auto_cleanup(buf) known = {0}, shown = {0};

	for (size_t i = 0; i < pins->n; i++)
		buf_addf(&known, "%s%s", i ? ", " : "", pins->items[i].name);
	str_printable(&shown, name, strlen(name), 80, false);
	return err_set(err, ENOENT,
		       "unknown kernel '%s': pinned are %s; or give the path of an image",
		       shown.data, known.data);
}

static const struct lock_kernel *by_version(const struct kernels_lock *lock, const char *version,
					    enum arch arch)
{
	for (size_t i = 0; i < lock->n; i++)
		if (lock->items[i].arch == arch && (str_eq(lock->items[i].version, version) ||
						    str_eq(lock->items[i].release, version)))
			return &lock->items[i];
	return NULL;
}

/* Nothing pinned under spec for arch: say what is missing. */
static int not_pinned(const struct kernels_lock *lock, const char *spec, enum arch arch,
		      struct err *err)
{
	auto_cleanup(buf) archs = {0};
	auto_cleanup(pins) pins = {0};
	int r;

	for (size_t i = 0; i < lock->n; i++)
		if (str_eq(lock->items[i].name, spec) || str_eq(lock->items[i].version, spec))
			buf_addf(&archs, "%s%s", archs.len ? ", " : "",
				 arch_name(lock->items[i].arch));
	if (archs.len)
		return err_set(err, ENOTSUP, "kernel %.80s is not pinned for %s, only for %s", spec,
			       arch_name(arch), archs.data);
	r = pins_load(&pins, err);
	if (r < 0)
		return r;
	if (pins_find(&pins, spec))
		return err_set(err, ENOENT,
			       "kernel %s is in kernels.yml but not in kernels.lock: run 'lab "
			       "kernel pin %s'",
			       spec, spec);
	return kernel_unknown(spec, &pins, err);
}

int kernel_fetch(const struct lock_kernel *k, bool offline, kernel_progress_fn progress, void *data,
		 struct kernel *ret, struct err *err)
{
	auto_cleanup(strv) paths = {0};
	struct err why = {0};
	int r = kernel_store_find(k, ret, NULL);

	if (r == 0)
		return 0;
	for (size_t i = 0; i < k->n_debs; i++) {
		char *path = NULL;

		r = deb_fetch(&k->debs[i], offline, progress, data, NULL, &path, &why);
		if (r == -ENOENT && offline)
			return err_set(err, ENODATA,
				       "kernel %s for %s is not in the cache, and nothing may be "
				       "fetched (offline): run 'lab kernel pull %s'",
				       k->name, arch_name(k->arch), k->name);
		if (r == -ENOENT)
			return err_set(
				err, ENODATA,
				"kernel %s for %s: %s. To pin its successor: lab kernel pin %s",
				k->name, arch_name(k->arch), why.msg, k->name);
		if (r < 0)
			return err_set(err, -r, "kernel %s for %s: %s", k->name, arch_name(k->arch),
				       why.msg);
		strv_take(&paths, path);
	}
	r = kernel_store_add(k, paths.items, progress, data, ret, err);
	return r < 0 ? err_wrap(err, "kernel %s for %s", k->name, arch_name(k->arch)) : 0;
}

/* What the lock has under spec, a name, version or release; NULL when it has nothing. */
static const struct lock_kernel *locked(const struct kernels_lock *lock, const char *spec,
					enum arch arch)
{
	const struct lock_kernel *k = kernels_lock_find(lock, spec, arch);

	return k ? k : by_version(lock, spec, arch);
}

static int from_file(const char *path, enum arch arch, kernel_progress_fn progress, void *data,
		     struct kernel *ret, struct err *err)
{
	auto_cleanup(kernel) k = {0};
	int r = kernel_from_path(path, arch, progress, data, &k, err);

	if (r < 0)
		return r;
	k.path = xstrdup(path);
	*ret = k;
	k = (struct kernel){0};
	return 0;
}

int kernel_resolve(const char *spec, enum arch arch, const struct kernel_want *want,
		   struct kernel *ret, struct err *err)
{
	auto_cleanup(kernels_lock) lock = {0};
	const struct lock_kernel *k;
	struct err unused = {0};
	int r;

	if (!err)
		err = &unused;
	if (strchr(spec, '/') || str_ends(spec, ".deb"))
		return from_file(spec, arch, want->progress, want->data, ret, err);
	r = kernels_lock_load(&lock, err);
	if (r < 0)
		return r;
	k = locked(&lock, spec, arch);
	if (k)
		return kernel_fetch(k, want->offline, want->progress, want->data, ret, err);
	if (io_exists(spec))
		return from_file(spec, arch, want->progress, want->data, ret, err);
	return not_pinned(&lock, spec, arch, err);
}

int kernel_describe(const char *spec, enum arch arch, const char *flavour, struct kernel *ret,
		    struct err *err)
{
	auto_cleanup(kernels_lock) lock = {0};
	const struct lock_kernel *k = NULL;
	const struct kernel_want want = {.flavour = flavour, .offline = true, .no_build = true};

	if (!strchr(spec, '/') && !str_ends(spec, ".deb") && kernels_lock_load(&lock, NULL) == 0)
		k = locked(&lock, spec, arch);
	if (!k || kernel_store_find(k, ret, NULL) == 0)
		return k ? 0 : kernel_resolve(spec, arch, &want, ret, err);
	*ret = (struct kernel){.name = xstrdup(k->name),
			       .version = xstrdup(k->version),
			       .release = xstrdup(k->release),
			       .arch = arch};
	return kver_parse(k->version, &ret->kver, err);
}

char kernel_config_option(const struct kernel *k, const char *option)
{
	auto_cleanup(buf) text = {0};
	auto_free char *set = NULL;
	const char *at;

	if (!k->config || io_read_file(AT_FDCWD, k->config, 4 << 20, &text, NULL) < 0 || !text.data)
		return '?';
	set = str_printf("\n%s%s=", str_starts(option, "CONFIG_") ? "" : "CONFIG_", option);
	at = strstr(text.data, set);
	if (!at) /* the first line has no newline before it */
		at = str_starts(text.data, set + 1) ? text.data - 1 : NULL;
	if (!at)
		return 'n';
	at += strlen(set);
	return *at == 'm' ? 'm' : *at == 'n' ? 'n' : 'y'; /* a string or number counts as set */
}
