#include "lab/kernel/kernel.h"

#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/kbuild/kbuild.h"
#include "lab/kconfig/kconfig.h"
#include "lab/kernel/kernel-file.h"
#include "lab/kernel/kernel-pin.h"
#include "lab/kernel/kernel-store.h"
#include "lab/kernel/kernel-target.h"

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

/* A pin of Debian's without an entry in the lock for arch: say what is missing. */
static int not_pinned(const struct kernel_target *t, enum arch arch, struct err *err)
{
	auto_cleanup(buf) archs = {0};

	for (size_t i = 0; i < t->lock.n; i++)
		if (str_eq(t->lock.items[i].name, t->name))
			buf_addf(&archs, "%s%s", archs.len ? ", " : "",
				 arch_name(t->lock.items[i].arch));
	if (archs.len)
		return err_set(err, ENOTSUP, "kernel %s is not pinned for %s, only for %s", t->name,
			       arch_name(arch), archs.data);
	return err_set(err, ENOENT,
		       "kernel %s is in kernels.yml but not in kernels.lock: run 'lab kernel pin "
		       "%s'",
		       t->name, t->name);
}

static int from_file(const char *path, enum arch arch, const struct kernel_want *want,
		     struct kernel *ret, struct err *err)
{
	auto_cleanup(kernel) k = {0};
	int r = kernel_from_path(path, arch, want, &k, err);

	if (r < 0)
		return r;
	k.path = xstrdup(path);
	*ret = k;
	k = (struct kernel){0};
	return 0;
}

static bool is_default(const char *flavour)
{
	return !flavour || str_eq(flavour, "default");
}

static int not_built(const struct kernel_target *t, enum arch arch, struct err *err)
{
	auto_free char *took = NULL;
	auto_cleanup(kernel) other = {0};
	auto_cleanup(buf) text = {0};
	struct kbuild_history h = {0};

	buf_addf(&text, "kernel %s for %s is not built", t->name, arch_name(arch));
	if (built_find(t->name, arch, NULL, true, &other, NULL, NULL) == 0)
		buf_adds(&text, " of the source and fragments that there are now");
	buf_addf(&text, ": run 'lab kernel build %s", t->name);
	if (arch != arch_native())
		buf_addf(&text, " --arch %s", arch_name(arch));
	buf_adds(&text, "'");
	kbuild_history(t->name, arch, &h);
	took = str_duration(h.seconds);
	if (h.seconds)
		buf_addf(&text, " (took %s last time)", took);
	return err_set(err, ENODATA, "%s", text.data);
}

/* Of a pin: as its source and fragments are now, else from --cache-from, else built. */
static int from_source(const struct kernel_target *t, enum arch arch,
		       const struct kernel_want *want, struct kernel *ret, struct err *err)
{
	const struct kbuild_request request = {.name = t->name,
					       .arch = arch,
					       .flavour = &t->flavour,
					       .pin = t->pin,
					       .package = t->package,
					       .want = want};
	auto_free char *inputs = NULL;
	bool local = false;
	int r;

	inputs = kbuild_inputs(&request, &local, err);
	if (!inputs && err->code == ENOENT && /* a fragment of the user's own, by its short name */
	    built_find(t->name, arch, NULL, true, ret, NULL, NULL) == 0)
		return 0;
	if (!inputs)
		return err->code ? -err->code : -EIO;
	r = built_find(t->name, arch, inputs, true, ret, NULL, NULL);
	if (r == -ENOENT && want->cache_from)
		r = built_fetch(want->cache_from, t->name, arch, inputs, want->progress, want->data,
				want->cancel, ret, err);
	if (r != -ENOENT)
		return r;
	if (want->no_build)
		return not_built(t, arch, err);
	return kbuild(&request, ret, NULL, err);
}

static int from_target(const struct kernel_target *t, const char *spec, enum arch arch,
		       const struct kernel_want *want, struct kernel *ret, struct err *err)
{
	int r;

	if (t->is_binary)
		return t->binary ? kernel_fetch(t->binary, want, ret, err)
				 : not_pinned(t, arch, err);
	r = kernel_target_check(t, err);
	if (r == 0)
		return from_source(t, arch, want, ret, err);
	/* one that was built of the user's own source, or imported: there its pin may have been
	   Debian's, and 9.9+guest not the same as 9.9 */
	if (built_find(t->name, arch, NULL, true, ret, NULL, NULL) == 0 ||
	    (is_default(want->flavour) && built_find(spec, arch, NULL, true, ret, NULL, NULL) == 0))
		return 0;
	return !t->pin && is_default(want->flavour) && io_exists(spec)
		       ? from_file(spec, arch, want, ret, err)
		       : r;
}

int kernel_resolve(const char *spec, enum arch arch, const struct kernel_want *want,
		   struct kernel *ret, struct err *err)
{
	auto_cleanup(kernel_target) target = {0};
	struct err unused = {0};
	int r;

	if (!err)
		err = &unused;
	if (kernel_spec_is_path(spec)) {
		if (!is_default(want->flavour))
			return err_set(err, EINVAL,
				       "kernel %s: a file is what it is: it has no flavour '%s'",
				       spec, want->flavour);
		return from_file(spec, arch, want, ret, err);
	}
	r = kernel_target(spec, arch, want->flavour, &target, err);
	return r < 0 ? r : from_target(&target, spec, arch, want, ret, err);
}

/* What is known of a kernel that is not there yet. */
static int describe(const struct kernel_target *t, enum arch arch, struct kernel *ret,
		    struct err *err)
{
	const struct lock_source *source = kernels_lock_source(&t->lock, t->pin->name);
	const char *version = t->is_binary ? t->binary->version
			      : source	   ? source->version
					   : t->pin->series;
	struct kernel k = {.arch = arch};

	if (kver_parse(version, &k.kver, err) < 0)
		return -EINVAL;
	k.name = xstrdup(t->name);
	k.version = xstrdup(version);
	k.release = t->is_binary ? xstrdup(t->binary->release) : NULL;
	*ret = k;
	return 0;
}

int kernel_describe(const char *spec, enum arch arch, const char *flavour, struct kernel *ret,
		    struct err *err)
{
	const struct kernel_want want = {.flavour = flavour, .offline = true, .no_build = true};
	auto_cleanup(kernel_target) t = {0};
	struct err why = {0};
	int r;

	if (kernel_spec_is_path(spec))
		return kernel_resolve(spec, arch, &want, ret, err);
	r = kernel_target(spec, arch, flavour, &t, err);
	if (r < 0)
		return r;
	if (t.binary)
		return kernel_store_find(t.binary, ret, NULL) == 0 ? 0
								   : describe(&t, arch, ret, err);
	r = from_target(&t, spec, arch, &want, ret, &why);
	if (r == -ENODATA)
		return describe(&t, arch, ret, err);
	return r < 0 ? err_set(err, -r, "%s", why.msg) : 0;
}

int kernel_default(char **name, struct err *err)
{
	auto_cleanup(pins) pins = {0};
	int r = pins_load(&pins, err);

	for (size_t i = 0; r == 0 && i < pins.n; i++)
		if (pins.items[i].is_default)
			*name = xstrdup(pins.items[i].name);
	return r;
}

/* Is the pin in that flavour Debian's kernel, or built for each architecture? */
static bool needs_no_build(const char *name, const char *flavour, const enum arch *archs, size_t n)
{
	bool ready = true;

	for (size_t i = 0; ready && i < n; i++) {
		auto_cleanup(kernel) k = {0};

		ready = kernel_describe(name, archs[i], flavour, &k, NULL) == 0 && k.image;
	}
	return ready;
}

int kernel_all(const char *flavour, const enum arch *archs, size_t n, struct strv *names,
	       struct err *err)
{
	auto_cleanup(pins) pins = {0};
	size_t had = names->n;
	int r = pins_load(&pins, err);

	for (size_t i = 0; r == 0 && i < pins.n; i++) {
		const struct pin *pin = &pins.items[i];

		if ((pin->suite && is_default(flavour)) ||
		    needs_no_build(pin->name, flavour, archs, n))
			strv_add(names, pin->name);
	}
	if (r == 0 && names->n == had)
		return err_set(err, ENODATA,
			       "'all' is what needs no build, and no kernel of flavour %s is built "
			       "for all these architectures: name the kernels",
			       is_default(flavour) ? "default" : flavour);
	return r;
}

char kernel_config_option(const struct kernel *k, const char *option)
{
	auto_cleanup(buf) text = {0};
	auto_free char *set = NULL;
	const char *at;

	if (!k->config || io_read_file(AT_FDCWD, k->config, KCONFIG_MAX_BYTES, &text, NULL) < 0 ||
	    !text.data)
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
