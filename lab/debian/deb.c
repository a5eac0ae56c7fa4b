#include "lab/debian/deb.h"

#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/debian/apt.h"
#include "lab/debian/download.h"
#include "lab/kernel/lock.h"

void deb_deinit(struct deb *d)
{
	free(d->name);
	free(d->version);
	free(d->suite);
	free(d->path);
	free(d->sha256);
	free(d->snapshot);
	*d = (struct deb){0};
}

struct deb deb_copy(const struct deb *d)
{
	return (struct deb){.name = xstrdup(d->name),
			    .version = xstrdup(d->version),
			    .suite = xstrdup(d->suite),
			    .path = xstrdup(d->path),
			    .sha256 = xstrdup(d->sha256),
			    .size = d->size,
			    .snapshot = xstrdup(d->snapshot)};
}

enum { LOCK_LOOK_MS = 100 };

struct fetching {
	const struct deb *deb;
	const char *dir;
	char *part, *what;
	kernel_progress_fn progress;
	void *data;
	const volatile int *cancel;
};

static void fetching_deinit(struct fetching *f)
{
	free(f->part);
	free(f->what);
}
DEFINE_CLEANUP(fetching, fetching_deinit)

/* Hold what was downloaded against the lock; a wrong file is removed. */
static int check(const struct fetching *f, const char *url, struct err *err)
{
	char got[65];
	int r = sha256_file(f->part, got, err);

	if (r < 0 || str_eq(got, f->deb->sha256))
		return r;
	unlink(f->part);
	return err_set(err, EBADMSG,
		       "%s: wrong checksum: expected SHA-256 %s, got %s; it was thrown away. The "
		       "mirror is damaged or not to be trusted: set LAB_MIRROR to another",
		       url, f->deb->sha256, got);
}

static int fetch_from(const struct fetching *f, const char *root, struct err *err)
{
	auto_free char *url = str_printf("%s/%s", root, f->deb->path);
	auto_free char *proxy = apt_proxy(url);
	bool resumed = io_exists(f->part);
	struct download d = {.url = url,
			     .part = f->part,
			     .max_bytes = f->deb->size,
			     .exact = true,
			     .proxy = proxy,
			     .what = f->what,
			     .progress = f->progress,
			     .data = f->data,
			     .cancel = f->cancel};
	int r = download(&d, err);

	if (r == 0)
		r = check(f, url, err);
	if (resumed &&
	    (r == -EBADMSG || r == -EFBIG)) { /* what was there may have been something else's */
		unlink(f->part);
		r = download(&d, err);
		if (r == 0)
			r = check(f, url, err);
	}
	if (r == -EBADMSG || r == -EFBIG)
		unlink(f->part);
	return r;
}

/* From the mirror, or when it has dropped the file from the snapshot. */
static int fetch(const struct fetching *f, struct err *err)
{
	auto_free char *mirror = NULL, *snapshot = NULL;
	struct err why = {0}, why_not = {0};
	int r;

	mirror = apt_mirror(&why);
	r = mirror ? fetch_from(f, mirror, &why) : -ENOENT;
	if (r != -ENOENT) {
		if (r < 0)
			err_set(err, -r, "%s", why.msg);
		return r;
	}
	snapshot = apt_snapshot(f->deb->snapshot);
	if (snapshot) {
		r = fetch_from(f, snapshot, &why_not);
		if (r == 0)
			return 0;
	}
	if (!snapshot || r == -ENOENT)
		unlink(f->part);
	if (!mirror)
		return err_set(err, ENXIO, "%s", why.msg);
	if (!snapshot)
		return err_set(err, ENOENT,
			       "%s %s of %s is gone; tried %s; no snapshot archive is configured "
			       "(LAB_SNAPSHOT)",
			       f->deb->name, f->deb->version, f->deb->suite, mirror);
	return err_set(err, -r, "%s %s of %s is gone; tried %s and %s (%.100s)", f->deb->name,
		       f->deb->version, f->deb->suite, mirror, snapshot,
		       r == -ENOENT ? "not there" : why_not.msg);
}

static char *describe(const struct deb *deb)
{
	const char *arch = strrchr(deb->path, '_');

	return str_printf("%s %.*s", deb->name, arch ? (int)strcspn(arch + 1, ".") : 0,
			  arch ? arch + 1 : "");
}

/* Whole and unharmed? Hashed each time: it is only asked when something is to be unpacked. */
static bool is_there(const char *path, const struct deb *deb)
{
	struct stat st;
	char hex[65];

	return stat(path, &st) == 0 && (uint64_t)st.st_size == deb->size &&
	       sha256_file(path, hex, NULL) == 0 && str_eq(hex, deb->sha256);
}

int deb_lock(const char *path, const char *what, kernel_progress_fn progress, void *data,
	     const volatile int *cancel, struct err *err)
{
	auto_free char *waiting = str_printf("waiting for another lab: %s", what);
	struct err why = {0};
	int lock = io_lock_file(path, IO_LOCK_TRY, &why);

	if (lock == -EWOULDBLOCK && progress)
		progress(data, waiting, 0, 0);
	else
		progress = NULL;
	while (lock == -EWOULDBLOCK && !(cancel && *cancel)) {
		usleep(LOCK_LOOK_MS * 1000);
		lock = io_lock_file(path, IO_LOCK_TRY, &why);
	}
	if (lock == -EWOULDBLOCK)
		lock = err_set(&why, EINTR, "%s: interrupted", waiting);
	if (lock < 0)
		err_set(err, -lock, "%s", why.msg);
	if (progress)
		progress(data, waiting, 1, 1);
	return lock;
}

int deb_remove(const struct deb *deb, struct err *err)
{
	static const char *const suffixes[] = {"part", "deb", "lock"};
	auto_free char *dir = cache_dir("debs", err), *lock_path = NULL;
	auto_close int lock = -1;
	bool was_there = false;

	if (!dir)
		return err ? -err->code : -EIO;
	lock_path = str_printf("%s/%s.lock", dir, deb->sha256);
	lock = io_lock_file(lock_path, IO_LOCK_TRY, err);
	if (lock == -EWOULDBLOCK)
		return err_set(err, EBUSY, "%s: another lab is fetching it", deb->name);
	if (lock < 0)
		return lock;
	for (size_t i = 0; i < array_len(suffixes); i++) {
		auto_free char *path = str_printf("%s/%s.%s", dir, deb->sha256, suffixes[i]);
		int r = unlink(path);

		if (r < 0 && errno != ENOENT)
			return err_errno(err, "remove %s", path);
		was_there |= r == 0 && str_ends(path, ".deb");
	}
	return was_there;
}

int deb_fetch(const struct deb *deb, bool offline, kernel_progress_fn progress, void *data,
	      const volatile int *cancel, char **ret, struct err *err)
{
	auto_free char *dir = cache_dir("debs", err), *path = NULL, *lock_path = NULL;
	auto_free char *fetching = NULL;
	auto_cleanup(fetching)
		f = {.deb = deb, .dir = dir, .progress = progress, .data = data, .cancel = cancel};
	auto_close int lock = -1;
	int r;

	if (!dir)
		return err ? -err->code : -EIO;
	path = str_printf("%s/%s.deb", dir, deb->sha256);
	if (!is_there(path, deb)) {
		if (offline)
			return err_set(
				err, ENOENT,
				"%s %s is not in the cache, and nothing may be fetched (offline)",
				deb->name, deb->version);
		f.part = str_printf("%s/%s.part", dir, deb->sha256);
		f.what = describe(deb);
		lock_path = str_printf("%s/%s.lock", dir, deb->sha256);
		fetching = str_printf("fetching %s", f.what);
		lock = deb_lock(lock_path, fetching, progress, data, cancel, err);
		if (lock < 0)
			return lock;
		if (!is_there(path, deb)) { /* else another process fetched it meanwhile */
			r = fetch(&f, err);
			if (r == 0 && rename(f.part, path) < 0)
				r = err_errno(err, "rename %s", f.part);
			if (r < 0)
				return r;
		}
		unlink(lock_path); /* who still waits on it will find the file */
	}
	*ret = take_ptr(path);
	return 0;
}

static int read_packages_lock(struct packages_lock *ret, struct err *err)
{
	auto_cleanup(buf) text = {0};
	auto_free char *path = NULL;
	int r = home_read("vm/packages.lock", &text, &path, err);

	return r < 0 ? r : packages_lock_parse(path, text.data, text.len, ret, err);
}

int deb_locked_closure(const char *name, enum arch arch, struct deb **ret, size_t *n,
		       struct err *err)
{
	auto_cleanup(packages_lock) lock = {0};
	auto_free size_t *indexes = NULL;
	size_t n_indexes = 0;
	int r = read_packages_lock(&lock, err);

	if (r < 0)
		return r;
	r = packages_lock_closure(&lock, name, arch, &indexes, &n_indexes);
	if (r < 0)
		return err_set(err, ENOENT,
			       "the package '%.80s' is not pinned for %s: add it to "
			       "vm/packages.yml and run 'lab image pin'",
			       name, arch_name(arch));
	for (size_t i = 0; i < n_indexes; i++) {
		const struct deb *deb = &lock.items[indexes[i]].deb;
		size_t k;

		for (k = 0; k < *n; k++)
			if (str_eq((*ret)[k].sha256, deb->sha256))
				break;
		if (k < *n)
			continue;
		*ret = xreallocarray(*ret, *n + 1, sizeof(**ret));
		(*ret)[(*n)++] = deb_copy(deb);
	}
	return 0;
}
