#include "lab/kernel/kernel-target.h"

#include <string.h>

#include "lab/kernel/kernel-pin.h"

void kernel_target_deinit(struct kernel_target *t)
{
	pins_deinit(&t->pins);
	kernels_lock_deinit(&t->lock);
	flavour_deinit(&t->flavour);
	free(t->name);
	*t = (struct kernel_target){0};
}

bool kernel_spec_is_path(const char *spec)
{
	const char *slash = strchr(spec, '/'), *plus = strchr(spec, '+');

	return str_ends(spec, ".deb") || (slash && (!plus || slash < plus));
}

/* The name of the pin that has this version or release, else spec. */
static const char *pin_of_version(const struct kernels_lock *lock, const char *spec, enum arch arch)
{
	for (size_t i = 0; i < lock->n; i++)
		if (lock->items[i].arch == arch &&
		    (str_eq(lock->items[i].version, spec) || str_eq(lock->items[i].release, spec)))
			return lock->items[i].name;
	for (size_t i = 0; i < lock->n_sources; i++)
		if (str_eq(lock->sources[i].version, spec))
			return lock->sources[i].name;
	return spec;
}

/* text and more as one flavour: NULL when both are the default. */
static char *join(const char *text, const char *more)
{
	if (more && str_eq(more, "default"))
		more = NULL;
	if (text && str_eq(text, "default"))
		text = NULL;
	return text && more ? str_printf("%s+%s", text, more) : xstrdup(text ? text : more);
}

/* The flavour and the name of one that is built. */
static int set_flavour(struct kernel_target *t, const char *stem, const char *text, struct err *err)
{
	const struct strv *own = t->pin ? &t->pin->config : NULL;
	auto_cleanup(flavour) normal = {0};
	int r = flavour_parse(text, own, &t->flavour, err);

	if (r == 0)
		r = flavour_parse(NULL, own, &normal, err);
	if (r < 0)
		return err_wrap(err, "kernel %s", stem);
	/* what kernels.yml says has the pin's own name, unless that is Debian's kernel */
	if (!(t->pin && t->pin->suite) && strv_equal(&normal.fragments, &t->flavour.fragments))
		t->name = xstrdup(stem);
	else
		t->name = str_printf("%s+%s", stem, t->flavour.word);
	return 0;
}

int kernel_target(const char *spec, enum arch arch, const char *flavour, struct kernel_target *ret,
		  struct err *err)
{
	auto_free char *split = NULL, *text = NULL, *joined = NULL;
	auto_cleanup(kernel_target) t = {0};
	const struct lock_source *source;
	const char *stem;
	int r = pins_load(&t.pins, err);

	if (r == 0)
		r = kernels_lock_load(&t.lock, err);
	if (r < 0)
		return r;
	stem = pin_of_version(&t.lock, spec, arch); /* a release may have a '+' in it */
	if (stem == spec && !pins_find(&t.pins, spec)) {
		flavour_split(spec, &split, &text);
		stem = pin_of_version(&t.lock, split, arch);
	}
	joined = join(text, flavour);
	t.pin = pins_find(&t.pins, stem);
	t.is_binary = t.pin && t.pin->suite && !joined;
	if (t.is_binary) {
		t.name = xstrdup(stem);
		t.binary = kernels_lock_find(&t.lock, stem, arch);
	} else {
		r = set_flavour(&t, stem, joined, err);
	}
	if (r < 0)
		return r;
	source = t.pin && t.pin->source.package ? kernels_lock_source(&t.lock, stem) : NULL;
	t.package = source ? &source->package : NULL;
	*ret = t;
	t = (struct kernel_target){0};
	return 0;
}

int kernel_target_check(const struct kernel_target *t, struct err *err)
{
	if (!t->pin)
		return pins_unknown(&t->pins, t->name, err);
	if (!t->pin->source.url && !t->pin->source.package)
		return err_set(
			err, EINVAL,
			"kernel %s: %s has no source in kernels.yml: there is Debian's kernel "
			"alone, which has no flavours",
			t->name, t->pin->name);
	if (t->pin->source.package && !t->package)
		return err_set(err, ENOENT,
			       "kernel %s: its source is in kernels.yml but not in kernels.lock: "
			       "run 'lab kernel pin %s'",
			       t->name, t->pin->name);
	return 0;
}
