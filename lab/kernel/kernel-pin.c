#include "lab/kernel/kernel-pin.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/apt.h"
#include "lab/debian/debver.h"

int pins_load(struct pins *ret, struct err *err)
{
	auto_cleanup(buf) text = {0};
	auto_free char *path = NULL;
	int r = home_read("kernel-config/kernels.yml", &text, &path, err);

	return r < 0 ? r : pins_parse(path, text.data, text.len, ret, err);
}

int kernels_lock_load(struct kernels_lock *ret, struct err *err)
{
	auto_cleanup(buf) text = {0};
	auto_free char *path = NULL;
	int r = home_read("kernel-config/kernels.lock", &text, &path, err);

	if (r == -ENOENT && path) {
		*ret = (struct kernels_lock){0};
		return 0;
	}
	return r < 0 ? r : kernels_lock_parse(path, text.data, text.len, ret, err);
}

char *pin_stamp(int64_t date)
{
	char text[32];
	time_t now = time(NULL), midnight = now - now % 86400;
	struct tm tm;

	/* the day's start, so that pins of one day agree; unless the suite is younger than that */
	gmtime_r(date < midnight ? &midnight : &now, &tm);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
	return xstrdup(text);
}

/* A kernel package of the suite: what we need to choose among them. */
struct candidate {
	struct deb deb;
	struct strv depends;
};
struct candidates {
	const char *suite, *stamp;
	bool libraries; /* only these are collected */
	struct candidate *items;
	size_t n;
};

static void candidates_deinit(struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++) {
		deb_deinit(&c->items[i].deb);
		strv_deinit(&c->items[i].depends);
	}
	free(c->items);
}
DEFINE_CLEANUP(candidates, candidates_deinit)

int deb_from_stanza(const struct deb822 *s, const char *suite, const char *stamp, struct deb *ret,
		    struct err *err)
{
	const char *name = deb822_get(s, "Package"), *version = deb822_get(s, "Version");
	const char *path = deb822_get(s, "Filename"), *size = deb822_get(s, "Size");
	const char *sha256 = deb822_get(s, "SHA256");
	uint64_t bytes;

	if (!name || !version || !path || !size || !sha256 ||
	    str_to_u64(size, 1, INT64_MAX, &bytes) < 0)
		return err_set(err, EBADMSG, "%s: the entry of package '%.80s' is incomplete",
			       suite, name ? name : "?");
	*ret = (struct deb){.name = xstrdup(name),
			    .version = xstrdup(version),
			    .suite = xstrdup(suite),
			    .path = xstrdup(path),
			    .sha256 = xstrdup(sha256),
			    .size = bytes,
			    .snapshot = xstrdup(stamp)};
	return 0;
}

/* What the tools of linux-kbuild are linked with, by the names that releases have for it. */
static const char *const libraries[] = {"libc6", "libelf1t64", "libelf1", "zlib1g", "libzstd1"};

static bool is_wanted(const struct candidates *c, const char *name)
{
	static const char *const kinds[] = {"image-",  "binary-",  "modules-", "base-",
					    "source-", "headers-", "kbuild-"};

	for (size_t i = 0; i < array_len(libraries); i++)
		if (str_eq(name, libraries[i]))
			return true;
	for (size_t i = 0; i < array_len(kinds) && !c->libraries; i++)
		if (str_starts(name, "linux-") && str_starts(name + strlen("linux-"), kinds[i]))
			return true;
	return false;
}

static int collect(void *data, const struct deb822 *s, struct err *err)
{
	struct candidates *c = data;
	const char *name = deb822_get(s, "Package"), *depends = deb822_get(s, "Depends");
	struct candidate *at;

	if (!name || !is_wanted(c, name))
		return 0;
	c->items = xreallocarray(c->items, c->n + 1, sizeof(*c->items));
	at = &c->items[c->n];
	*at = (struct candidate){0};
	if (deb_from_stanza(s, c->suite, c->stamp, &at->deb, err) < 0)
		return err ? -err->code : -EIO;
	c->n++;
	if (depends)
		deb822_depends(depends, &at->depends);
	return 0;
}

static const struct candidate *find(const struct candidates *c, const char *name)
{
	const struct candidate *best = NULL;

	for (size_t i = 0; i < c->n; i++)
		if (str_eq(c->items[i].deb.name, name) &&
		    (!best || debver_compare(c->items[i].deb.version, best->deb.version) > 0))
			best = &c->items[i];
	return best;
}

/* Is version ("6.18.15-1~bpo13+1") of the series ("6.18")? */
static bool of_series(const char *version, const char *series)
{
	size_t n = strlen(series);

	return str_starts(version, series) && (version[n] == '.' || version[n] == '-');
}

/*
 * The newest image of the series: "linux-image-RELEASE" with -FLAVOUR-ARCH (or -ARCH) at its end.
 */
static const struct candidate *newest_image(const struct candidates *c, const struct pin *pin,
					    enum arch arch)
{
	auto_free char *end = str_printf("-%s-%s", pin->flavour, arch_name(arch));
	const struct candidate *best = NULL;

	for (size_t i = 0; i < c->n; i++) {
		const struct deb *deb = &c->items[i].deb;
		const char *release = deb->name + strlen("linux-image-");

		if (!str_starts(deb->name, "linux-image-") || !str_ends(deb->name, end))
			continue;
		/* not the metapackage linux-image-cloud-amd64 */
		if (release[0] < '0' || release[0] > '9' || !of_series(deb->version, pin->series))
			continue;
		if (!best || debver_compare(deb->version, best->deb.version) > 0)
			best = &c->items[i];
	}
	return best;
}

static void add_deb(struct lock_kernel *k, const struct deb *deb)
{
	k->debs = xreallocarray(k->debs, k->n_debs + 1, sizeof(*k->debs));
	k->debs[k->n_debs++] = deb_copy(deb);
}

/*
 * The image and the packages of the same release that it depends on: from 6.18 on
 * linux-base-RELEASE (the configuration), from 6.19 on linux-binary-RELEASE and
 * linux-modules-RELEASE too, and the image itself is empty: then it is left out.
 */
static void add_debs(const struct candidates *c, const struct candidate *image, const char *release,
		     struct lock_kernel *k)
{
	auto_free char *end = str_printf("-%s", release);
	bool split = false;

	for (size_t i = 0; i < image->depends.n; i++) {
		const char *name = image->depends.items[i];
		const struct candidate *part = str_ends(name, end) ? find(c, name) : NULL;

		if (!part)
			continue;
		split |= str_starts(name, "linux-binary-");
		add_deb(k, &part->deb);
	}
	if (!split)
		add_deb(k, &image->deb);
}

/* The numbers of a package's version: "6.1.176-1" -> "6.1.176". */
static char *kernel_version(const char *version)
{
	return xstrndup(version, strcspn(version, "-~+"));
}

static void add_headers(struct lock_kernel *k, const struct candidate *c)
{
	if (!c)
		return;
	k->headers = xreallocarray(k->headers, k->n_headers + 1, sizeof(*k->headers));
	k->headers[k->n_headers++] = deb_copy(&c->deb);
}

/*
 * The headers of exactly this kernel, and what they and kbuild's tools depend on. All of it or
 * nothing: the archive drops them before it drops some images.
 */
static void choose_headers(const struct candidates *c, struct lock_kernel *k)
{
	auto_free char *name = str_printf("linux-headers-%s", k->release);
	const struct candidate *own = find(c, name), *common = NULL, *kbuild = NULL;

	if (!own || !str_eq(own->deb.version, k->debs[0].version))
		return;
	for (size_t i = 0; i < own->depends.n; i++) {
		const char *of = own->depends.items[i];

		if (str_starts(of, "linux-headers-"))
			common = find(c, of);
		else if (str_starts(of, "linux-kbuild-"))
			kbuild = find(c, of);
	}
	if (!common || !kbuild)
		return;
	add_headers(k, own);
	add_headers(k, common);
	add_headers(k, kbuild);
	for (size_t i = 0; i < array_len(libraries); i++)
		add_headers(k, find(c, libraries[i]));
}

static int choose(const struct candidates *c, const struct pin *pin, enum arch arch,
		  struct lock_kernel *ret, struct err *err)
{
	const struct candidate *image = newest_image(c, pin, arch), *debug;
	auto_free char *debug_name = NULL;
	const char *release;

	if (!image)
		return err_set(err, ENOENT, "pin %s: %s holds no linux-image of %s-%s for %s",
			       pin->name, pin->suite, pin->series, pin->flavour, arch_name(arch));
	release = image->deb.name + strlen("linux-image-");
	*ret = (struct lock_kernel){
		.name = xstrdup(pin->name),
		.arch = arch,
		.version = kernel_version(image->deb.version),
		.release = xstrdup(release),
	};
	add_debs(c, image, release, ret);
	debug_name = str_printf("%s-dbg", image->deb.name);
	debug = find(c, debug_name);
	if (debug)
		ret->debug = deb_copy(&debug->deb);
	choose_headers(c, ret);
	return 0;
}

static bool are_same(const struct deb *a, size_t n_a, const struct deb *b, size_t n_b)
{
	for (size_t i = 0; i < n_a && n_a == n_b; i++)
		if (!str_eq(a[i].sha256, b[i].sha256) || !str_eq(a[i].path, b[i].path))
			return false;
	return n_a == n_b;
}

/* The same files: then the entry stays as it is, with the date it was pinned. */
static bool is_same(const struct lock_kernel *a, const struct lock_kernel *b)
{
	if (!are_same(a->debs, a->n_debs, b->debs, b->n_debs) ||
	    !a->debug.sha256 != !b->debug.sha256)
		return false;
	return !a->debug.sha256 || str_eq(a->debug.sha256, b->debug.sha256);
}

/* The pins to look for, the lock to change, and who is told. */
struct pinning {
	const struct pins *pins;
	const struct strv *names;
	struct kernels_lock *lock;
	bool headers; /* nothing else */
	kernel_progress_fn progress;
	kernel_pin_fn decided;
	void *data;
};

/* What before has may stay; headers that are gone do: a snapshot may have them. */
static void put_headers(struct lock_kernel *before, struct lock_kernel *now)
{
	struct lock_kernel old = {.headers = before->headers, .n_headers = before->n_headers};

	if (!now->n_headers ||
	    are_same(before->headers, before->n_headers, now->headers, now->n_headers))
		return;
	before->headers = take_ptr(now->headers);
	before->n_headers = now->n_headers;
	now->n_headers = 0;
	lock_kernel_deinit(&old);
}

static int pin_headers(const struct pinning *p, const struct candidates *c, const struct pin *pin,
		       enum arch arch, struct err *err)
{
	const struct lock_kernel *at = kernels_lock_find(p->lock, pin->name, arch);
	auto_free char *what = str_printf("headers %s", arch_name(arch));
	auto_cleanup(lock_kernel) now = {0};

	if (!at)
		return err_set(err, ENOENT, "%s is not pinned for %s: run 'lab kernel pin %s'",
			       pin->name, arch_name(arch), pin->name);
	now.release = xstrdup(at->release);
	add_deb(&now, &at->debs[0]);
	choose_headers(c, &now);
	p->decided(p->data, pin->name, what, at->n_headers ? at->headers[0].version : NULL,
		   now.n_headers ? now.headers[0].version : NULL);
	put_headers((struct lock_kernel *)at, &now);
	return 0;
}

static int pin_binary(const struct pinning *p, const struct candidates *c, const struct pin *pin,
		      enum arch arch, struct err *err)
{
	const struct lock_kernel *before = kernels_lock_find(p->lock, pin->name, arch);
	auto_cleanup(lock_kernel) k = {0};
	int r = choose(c, pin, arch, &k, err);

	if (r < 0)
		return r;
	p->decided(p->data, pin->name, arch_name(arch), before ? before->debs[0].version : NULL,
		   k.debs[0].version);
	if (!before || !is_same(before, &k))
		kernels_lock_put(p->lock, &k);
	else
		put_headers((struct lock_kernel *)before, &k);
	return 0;
}

static int pin_source(const struct pinning *p, const struct candidates *c, const struct pin *pin,
		      struct err *err)
{
	const struct lock_source *before = kernels_lock_source(p->lock, pin->name);
	const struct candidate *found = find(c, pin->source.package);
	auto_cleanup(lock_source) s = {0};

	if (!found)
		return err_set(err, ENOENT, "pin %s: %s holds no package %s", pin->name, c->suite,
			       pin->source.package);
	p->decided(p->data, pin->name, "source", before ? before->package.version : NULL,
		   found->deb.version);
	if (before && str_eq(before->package.sha256, found->deb.sha256) &&
	    str_eq(before->package.path, found->deb.path))
		return 0; /* with the date it was pinned */
	s.name = xstrdup(pin->name);
	s.version = kernel_version(found->deb.version);
	s.package = deb_copy(&found->deb);
	kernels_lock_put_source(p->lock, &s);
	return 0;
}

/* "trixie-backports" is a part of a release: its libraries are in "trixie". */
static int add_libraries(const struct pinning *p, const char *suite, enum arch arch,
			 struct candidates *c, struct err *err)
{
	auto_free char *name = xstrndup(suite, strlen(suite) - strlen("-backports"));
	auto_cleanup(apt_suite) release = {0};
	int r = apt_suite_open(name, &release, err);

	c->libraries = true;
	return r < 0 ? r
		     : apt_suite_packages(&release, arch, p->progress, p->data, collect, c, err);
}

/* All wanted pins of one suite and architecture: its index is read once. */
static int pin_suite(const struct pinning *p, const struct apt_suite *suite, enum arch arch,
		     struct err *err)
{
	auto_free char *stamp = pin_stamp(suite->date);
	auto_cleanup(candidates) c = {.suite = suite->name, .stamp = stamp};
	int r = apt_suite_packages(suite, arch, p->progress, p->data, collect, &c, err);

	if (r == 0 && str_ends(suite->name, "-backports"))
		r = add_libraries(p, suite->name, arch, &c, err);
	for (size_t i = 0; r == 0 && i < p->pins->n; i++) {
		const struct pin *pin = &p->pins->items[i];

		if (!strv_has(p->names, pin->name))
			continue;
		if (pin->suite && str_eq(pin->suite, suite->name))
			r = p->headers ? pin_headers(p, &c, pin, arch, err)
				       : pin_binary(p, &c, pin, arch, err);
		/* of every architecture: it is in each index */
		if (r == 0 && !p->headers && arch == 0 && pin->source.package &&
		    str_eq(pin->source.suite, suite->name))
			r = pin_source(p, &c, pin, err);
	}
	return r;
}

static int pin_all(const struct pinning *p, struct err *err)
{
	auto_cleanup(strv) suites = {0};

	for (size_t i = 0; i < p->pins->n; i++) {
		const struct pin *pin = &p->pins->items[i];
		const char *const of[] = {pin->suite, pin->source.suite};

		for (size_t k = 0; strv_has(p->names, pin->name) && k < array_len(of); k++)
			if (of[k] && !strv_has(&suites, of[k]))
				strv_add(&suites, of[k]);
	}
	for (size_t i = 0; i < suites.n; i++) {
		auto_cleanup(apt_suite) suite = {0};
		int r = apt_suite_open(suites.items[i], &suite, err);

		for (int arch = 0; r == 0 && arch < ARCH_COUNT; arch++)
			r = pin_suite(p, &suite, arch, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What kernels.yml has no more. */
static void drop_others(const struct pinning *p)
{
	struct kernels_lock *lock = p->lock;
	size_t n = 0;

	for (size_t i = 0; i < lock->n; i++) {
		struct lock_kernel *k = &lock->items[i];
		const struct pin *pin = pins_find(p->pins, k->name);

		if (pin && pin->suite) {
			lock->items[n++] = *k;
			continue;
		}
		p->decided(p->data, k->name, arch_name(k->arch), k->debs[0].version, NULL);
		lock_kernel_deinit(k);
	}
	lock->n = n;
	n = 0;
	for (size_t i = 0; i < lock->n_sources; i++) {
		struct lock_source *s = &lock->sources[i];
		const struct pin *pin = pins_find(p->pins, s->name);

		if (pin && pin->source.package) {
			lock->sources[n++] = *s;
			continue;
		}
		p->decided(p->data, s->name, "source", s->package.version, NULL);
		lock_source_deinit(s);
	}
	lock->n_sources = n;
}

static int pin(const struct strv *names, bool headers, kernel_progress_fn progress,
	       kernel_pin_fn decided, void *data, struct err *err)
{
	auto_free char *home = home_dir(err), *path = NULL;
	auto_cleanup(kernels_lock) lock = {0};
	auto_cleanup(pins) pins = {0};
	auto_cleanup(buf) text = {0};
	const struct pinning p = {.pins = &pins,
				  .names = names,
				  .lock = &lock,
				  .headers = headers,
				  .progress = progress,
				  .decided = decided,
				  .data = data};
	/* one at a time reads, changes and replaces the lock */
	auto_close int only_one = home ? apt_lock(err) : -1;
	int r;

	if (only_one < 0)
		return err ? -err->code : -EIO;
	r = pins_load(&pins, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < names->n; i++)
		if (!pins_find(&pins, names->items[i]))
			return pins_unknown(&pins, names->items[i], err);
	r = kernels_lock_load(&lock, err);
	if (r == 0)
		r = pin_all(&p, err);
	if (r < 0)
		return r;
	if (!headers)
		drop_others(&p);
	kernels_lock_print(&lock, &text);
	path = path_join(home, "kernel-config/kernels.lock");
	return io_write_atomic(AT_FDCWD, path, text.data, text.len, 0644, err);
}

int kernel_pin(const struct strv *names, kernel_progress_fn progress, kernel_pin_fn decided,
	       void *data, struct err *err)
{
	return pin(names, false, progress, decided, data, err);
}

int kernel_pin_headers(const struct strv *names, kernel_progress_fn progress, kernel_pin_fn decided,
		       void *data, struct err *err)
{
	return pin(names, true, progress, decided, data, err);
}
