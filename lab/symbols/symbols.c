#include "lab/symbols/symbols.h"

#include <string.h>

#include "jail/base/io.h"
#include "lab/kbuild/source.h"
#include "lab/kernel/built.h"
#include "lab/kernel/elf.h"
#include "lab/kernel/kernel-debug.h"
#include "lab/kernel/kernel-image.h"
#include "lab/kernel/kernel-pin.h"
#include "lab/kernel/kernel-store.h"
#include "lab/kernel/kernel-target.h"
#include "lab/symbols/symbols-image.h"

enum { STRINGS_MAX = 64 << 20 };

void symbols_deinit(struct symbols *s)
{
	free(s->vmlinux);
	free(s->modules);
	free(s->source_prefix);
	free(s->source_dir);
	free(s->what);
	*s = (struct symbols){0};
}

/* ---- source ---- */

/*
 * What the debug information calls the folder of the source: an absolute path in it that goes on
 * with that of a file which each kernel has. Debian strips the folder from what gcc says, where it
 * can, but not from what the assembler does.
 */
static char *find_prefix(const char *vmlinux)
{
	static const char *const sections[] = {".debug_line_str", ".debug_str"};
	static const char *const files[] = {"/arch/x86/kernel/head_64.S",
					    "/arch/arm64/kernel/head.S",
					    "/arch/arm64/kernel/entry.S", "/init/main.c"};

	for (size_t i = 0; i < array_len(sections); i++) {
		auto_cleanup(buf) text = {0};

		if (elf_file_section(vmlinux, sections[i], STRINGS_MAX, &text, NULL) < 0)
			continue;
		buf_reserve(&text, 1); /* it may lack its last NUL */
		for (const char *s = text.data; s < text.data + text.len; s += strlen(s) + 1)
			for (size_t k = 0; *s == '/' && k < array_len(files); k++)
				if (str_ends(s, files[k]) && strlen(s) > strlen(files[k]))
					return xstrndup(s, strlen(s) - strlen(files[k]));
	}
	return NULL;
}

/* Where the source of a pin is, if it was unpacked. */
static char *find_source(const struct kernel *k)
{
	auto_cleanup(kernel_target) t = {0};
	struct source_place place;

	if (k->path || kernel_target(k->name, k->arch, NULL, &t, NULL) < 0)
		return NULL;
	place = source_place(t.pin, t.package, NULL, &(struct kernel_want){.offline = true});
	return source_find(&place);
}

/* ---- where they come from ---- */

/* A vmlinux with DWARF; source_prefix and source_dir as far as they are known. */
static int take_full(const struct kernel *k, const char *vmlinux, struct symbols *s,
		     struct err *err)
{
	int r = link_addresses_read(vmlinux, k->arch, &s->link, err);

	if (r < 0)
		return r;
	s->kind = SYMBOLS_FULL;
	s->vmlinux = xstrdup(vmlinux);
	if (!s->source_prefix)
		s->source_prefix = find_prefix(vmlinux);
	if (!s->source_dir)
		s->source_dir = find_source(k);
	return 0;
}

/* The user's own file, which must be of the image's build. */
static int from_user(const struct kernel *k, const char *vmlinux, struct symbols *s,
		     struct err *err)
{
	auto_free char *id = NULL, *of_image = NULL, *real = realpath(vmlinux, NULL);
	auto_cleanup(buf) image = {0};
	int r;

	if (!real)
		return err_errno(err, "%s", vmlinux);
	r = elf_build_id(real, &id, err);
	if (r == 0)
		r = kernel_image_unpack(k->image, &image, err);
	if (r == 0)
		r = kernel_image_build_id(&image, k->arch, &of_image, err);
	if (r < 0)
		return r;
	if (!str_eq(id, of_image))
		return err_set(
			err, EBADMSG,
			"%s is of another build than the kernel: its build id is %s, that of "
			"%s is %s",
			vmlinux, id, k->image, of_image);
	r = take_full(k, real, s, err);
	if (r == 0)
		s->what = str_printf("types and lines of %s", vmlinux);
	return r;
}

/* The lock's entry that the kernel was unpacked from. */
static const struct lock_kernel *find_locked(const struct kernel *k,
					     const struct kernels_lock *lock)
{
	const struct lock_kernel *locked = kernels_lock_find(lock, k->name, k->arch);
	auto_cleanup(kernel) stored = {0};

	if (k->path || !locked || kernel_store_find(locked, &stored, NULL) < 0 ||
	    !str_eq(stored.image, k->image))
		return NULL;
	return locked;
}

char *symbols_at_hand(const struct kernel *kernel)
{
	auto_cleanup(kernels_lock) lock = {0};
	auto_cleanup(kernel_debug) debug = {0};
	const struct lock_kernel *locked;

	if (kernel->vmlinux)
		return xstrdup(kernel->vmlinux);
	if (kernels_lock_load(&lock, NULL) < 0)
		return NULL;
	locked = find_locked(kernel, &lock);
	if (!locked || kernel_debug_find(locked, &debug, NULL) < 0)
		return NULL;
	return take_ptr(debug.vmlinux);
}

static int from_package(const struct kernel *k, const struct kernel_want *want, struct symbols *s,
			struct err *err)
{
	auto_cleanup(kernels_lock) lock = {0};
	auto_cleanup(kernel_debug) debug = {0};
	const struct lock_kernel *locked;
	int r = kernels_lock_load(&lock, err);

	if (r < 0)
		return r;
	locked = find_locked(k, &lock);
	if (!locked)
		return err_set(err, ENODATA, "there is no vmlinux beside %s, and no debug package",
			       k->path ? k->path : k->name);
	r = kernel_debug_fetch(locked, k, want, &debug, err);
	if (r == 0)
		r = take_full(k, debug.vmlinux, s, err);
	if (r < 0)
		return r;
	s->modules = take_ptr(debug.modules);
	s->what = str_printf("types and lines of %s", debug.package);
	return 0;
}

/* The one that it was built with, in the store or in a build tree. */
static int from_build(const struct kernel *k, struct symbols *s, struct err *err)
{
	auto_cleanup(kernel) found = {0};
	auto_cleanup(built) info = {0};
	int r;

	if (!k->path && built_find(k->name, k->arch, NULL, true, &found, &info, NULL) == 0 &&
	    str_eq(found.image, k->image)) {
		s->source_prefix = take_ptr(info.source_prefix);
		if (info.source_dir && io_exists(info.source_dir))
			s->source_dir = take_ptr(info.source_dir);
	}
	r = take_full(k, k->vmlinux, s, err);
	if (r < 0)
		return r;
	s->modules = xstrdup(k->modules_dir); /* they were not stripped */
	s->what = str_printf("vmlinux of %s", k->origin ? k->origin : k->name);
	return 0;
}

static int from_image(const struct kernel *k, struct symbols *s, struct err *err)
{
	int r = symbols_from_image(k, &s->vmlinux, &s->kind, &s->link, err);

	if (r == 0)
		s->what =
			str_printf("%s of the image of kernel %s",
				   s->kind == SYMBOLS_TYPES ? "names and types" : "names", k->name);
	return r;
}

static bool is_package_kernel(const struct kernel *k)
{
	return k->package && !k->path;
}

int symbols_prepare(const struct kernel *k, enum symbols_want how, const char *vmlinux,
		    const struct kernel_want *want, struct symbols *ret, char **why,
		    struct err *err)
{
	auto_cleanup(symbols) s = {0};
	struct err no = {0};
	int r;

	if (vmlinux) {
		r = from_user(k, vmlinux, &s, err);
	} else if (how == SYMBOLS_IMAGE) {
		r = from_image(k, &s, err);
	} else {
		r = k->vmlinux && !is_package_kernel(k) ? from_build(k, &s, &no)
							: from_package(k, want, &s, &no);
		if (r == -EINTR || (r < 0 && how == SYMBOLS_PACKAGE))
			return err_set(err, -r, "%s", no.msg);
		if (r < 0) {
			symbols_deinit(&s);
			*why = xstrdup(no.msg);
			r = from_image(k, &s, err);
		}
	}
	if (r < 0)
		return r;
	*ret = s;
	s = (struct symbols){0};
	return 0;
}

int symbols_link_addresses(const struct kernel *k, struct link_addresses *ret, struct err *err)
{
	auto_cleanup(symbols) s = {0};
	int r;

	if (k->vmlinux && link_addresses_read(k->vmlinux, k->arch, ret, NULL) == 0)
		return 0;
	r = from_image(k, &s, err);
	if (r == 0)
		*ret = s.link;
	return r;
}

/* ---- names ---- */

struct counting {
	const char *name;
	int n;
	const char **names;
	size_t n_names, cap;
	bool all; /* collect the names of functions */
};

static int count(void *data, const char *name, uint64_t value, bool is_function)
{
	struct counting *c = data;

	(void)value;
	if (!is_function)
		return 0;
	if (str_eq(name, c->name))
		c->n++;
	if (!c->all)
		return 0;
	if (c->n_names == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 1024;
		c->names = xreallocarray(c->names, c->cap, sizeof(*c->names));
	}
	c->names[c->n_names++] = xstrdup(name);
	return 0;
}

int symbols_count(const struct symbols *s, const char *function, char **near, struct err *err)
{
	struct counting c = {.name = function};
	int r = elf_symbols(s->vmlinux, count, &c, err);

	if (r < 0 || c.n)
		return r < 0 ? r : c.n;
	c.all = true;
	r = elf_symbols(s->vmlinux, count, &c, err);
	if (r == 0) {
		const char *nearest = str_nearest(function, c.names, c.n_names);

		*near = xstrdup(nearest);
	}
	for (size_t i = 0; i < c.n_names; i++)
		free((char *)c.names[i]);
	free(c.names);
	return r;
}
