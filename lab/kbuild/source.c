#include "lab/kbuild/source.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "jail/base/io.h"
#include "lab/cache.h"
#include "lab/kbuild/source-parts.h"
#include "lab/kernel/git.h"

enum { LOOK_MS = 100, STEM_LEN = 16 };

void source_deinit(struct source *s)
{
	free(s->dir);
	free(s->version);
	free(s->id);
	free(s->describe);
	if (s->hold > 0)
		close(s->hold);
	*s = (struct source){0};
}

/* --source of a folder: which one, absolute. NULL without an error: it is no folder. */
static int find_tree(const struct source_place *place, char **ret, struct err *err)
{
	struct stat st;
	char *real;

	*ret = NULL;
	if (!place->path)
		return 0;
	if (stat(place->path, &st) < 0)
		return err_errno(err, "%s", place->path);
	if (S_ISREG(st.st_mode))
		return 0;
	if (!S_ISDIR(st.st_mode))
		return err_set(err, EINVAL, "%s is neither a folder nor a file", place->path);
	real = realpath(place->path, NULL);
	if (!real)
		return err_errno(err, "%s", place->path);
	*ret = real;
	return 0;
}

/* The digest of what will be unpacked; of --source it has to be the pin's, if there is one. */
static int find_digest(const struct source_place *place, char hex[65], struct err *err)
{
	const char *wanted = source_digest(place);
	auto_free char *name = NULL;
	int r;

	if (!place->path && !wanted)
		return err_set(err, EINVAL, "this kernel has no source: give one with --source");
	if (!place->path) {
		memcpy(hex, wanted, 65);
		return 0;
	}
	r = sha256_file(place->path, hex, err);
	if (r < 0 || !wanted || str_eq(hex, wanted))
		return r;
	name = source_base_name(place);
	return err_set(err, EBADMSG,
		       "%.120s is not the pinned %.60s: expected SHA-256 %s, got %s. Give another "
		       "source a name that is no pin's: lab kernel build mine --source …",
		       place->path, name, wanted, hex);
}

char *source_id(const struct source_place *place, struct err *err)
{
	auto_free char *tree = NULL;
	char hex[65];

	if (find_tree(place, &tree, err) < 0)
		return NULL;
	if (tree)
		return str_printf("tree:%s", tree);
	return find_digest(place, hex, err) < 0 ? NULL : str_printf("sha256:%s", hex);
}

struct source_place source_place(const struct pin *pin, const struct deb *package, const char *path,
				 const struct kernel_want *want)
{
	return (struct source_place){.pin = pin,
				     .package = package,
				     .path = path,
				     .mirror = want->mirror,
				     .offline = want->offline,
				     .progress = want->progress,
				     .data = want->data,
				     .cancel = want->cancel};
}

/* A tree given for a pin is of the pin's series. */
static int check_series(const struct source_place *place, const struct source *s, const char *what,
			struct err *err)
{
	const char *series = !place->pin	  ? NULL
			     : place->pin->series ? place->pin->series
						  : place->pin->name;
	auto_free char *text = series ? str_printf("==%s", series) : NULL;
	struct kver_range range;

	if (!text || kver_range_parse(text, &range, NULL) < 0 || kver_in_range(&s->kver, &range))
		return 0;
	return err_set(err, EINVAL,
		       "%s is Linux %s, not %s: give it a name of its own, 'lab kernel build mine "
		       "--source %s'",
		       what, s->version, series, what);
}

static int open_tree(const struct source_place *place, char *dir, struct source *ret,
		     struct err *err)
{
	auto_cleanup(source) s = {.is_tree = true, .local = true, .dir = xstrdup(dir)};
	int r = source_tree_check(dir, place->path, &s, err);

	if (r == 0)
		r = check_series(place, &s, place->path, err);
	if (r < 0)
		return r;
	s.id = str_printf("tree:%s", dir);
	s.describe = git_describe(dir);
	*ret = s;
	s = (struct source){0};
	return 0;
}

/* How the file is called in messages. */
static char *what_of(const struct source_place *place)
{
	const char *slash = place->path ? strrchr(place->path, '/') : NULL;

	if (!place->path)
		return source_base_name(place);
	return xstrdup(slash && slash[1] ? slash + 1 : place->path);
}

static int no_space(const char *dir, const char *name, struct err *err)
{
	struct statvfs fs = {0};

	statvfs(dir, &fs);
	return err_set(
		err, ENOSPC,
		"no space left to unpack %s: a kernel's source takes some 1.5 GiB, and %llu "
		"MiB are free in %s; free some ('lab cache prune') or set LAB_CACHE, and run "
		"this again",
		name, (unsigned long long)fs.f_bavail * fs.f_frsize >> 20, dir);
}

/* Unpack file and, when it is a kernel source, let it appear as dir. */
static int unpack(const struct source_place *place, const char *file, const char *name,
		  const char *root, const char *dir, struct err *err)
{
	auto_free char *tmp = str_printf("%s.tmp", dir), *top = NULL;
	auto_cleanup(source) looked = {0};
	int r;

	io_remove_tree(AT_FDCWD, tmp, NULL); /* of one that was killed: we hold the lock */
	r = io_mkdirs(tmp, 0755, err);
	if (r == 0)
		r = source_unpack_file(file, name, place, tmp, &top, err);
	if (r == 0)
		r = source_tree_check(top, name, &looked, err);
	if (r == 0) /* nobody looks again whether its files are whole */
		r = io_sync(top, err);
	if (r == 0 && rename(top, dir) < 0)
		r = err_errno(err, "rename %s", top);
	io_remove_tree(AT_FDCWD, tmp, NULL);
	return r == -ENOSPC || r == -EDQUOT ? no_space(root, name, err) : r;
}

/*
 * Fetch and unpack; we hold the lock. The tarball goes once its tree is there: it is 140 MB that
 * nothing reads any more. A package stays: debs/ has its own rules.
 */
static int provide(const struct source_place *place, const char *root, const char *dir,
		   struct err *err)
{
	auto_free char *file = NULL, *name = what_of(place), *part = str_printf("%s.part", dir);
	int r = 0;

	if (place->path)
		file = xstrdup(place->path);
	else
		r = source_fetch(place, dir, &file, err);
	if (r == 0)
		r = unpack(place, file, name, root, dir, err);
	if (r == 0 && !place->path)
		unlink(part);
	if (file && !place->path && str_starts(file, dir) &&
	    (r == 0 || r == -EBADMSG || r == -EINVAL || r == -EFBIG))
		unlink(file);
	return r;
}

/*
 * The folder, there and held: a lock shared with those who read it, so that nobody removes it.
 * Whoever finds that it is missing makes it, alone. Returns the lock.
 */
static int hold(const struct source_place *place, const char *root, const char *dir,
		struct err *err)
{
	auto_free char *path = str_printf("%s.lock", dir), *waiting = NULL;
	auto_close int lock = -1;
	struct err why = {0};
	int r = 0;

	for (int looks = 0;; looks++) {
		lock = io_lock_file(path, IO_LOCK_SHARED, NULL);
		if (lock >= 0 && io_exists(dir))
			break;
		if (lock >= 0)
			close(take_fd(lock));
		lock = io_lock_file(path, IO_LOCK_TRY, &why);
		if (lock >= 0) {
			if (!io_exists(dir))
				r = provide(place, root, dir, err);
			if (r < 0)
				return r;
			close(take_fd(lock));
			continue;
		}
		if (lock != -EWOULDBLOCK)
			return err_set(err, -lock, "%s", why.msg);
		if (place->cancel && *place->cancel)
			return err_set(err, EINTR, "waiting for %s: interrupted", path);
		if (looks == 2 && place->progress) { /* not just two who look */
			auto_free char *name = what_of(place);

			waiting = str_printf("waiting for another lab: unpacking %s", name);
			place->progress(place->data, waiting, 0, 0);
		}
		usleep(LOOK_MS * 1000);
	}
	utimensat(AT_FDCWD, dir, NULL, 0); /* used: for `lab cache prune --older` */
	if (waiting)
		place->progress(place->data, waiting, 1, 1);
	return take_fd(lock);
}

static char *folder(const char *digest, struct err *err)
{
	auto_free char *root = cache_dir("sources", err);

	return root ? str_printf("%s/%.*s", root, STEM_LEN, digest) : NULL;
}

char *source_find(const struct source_place *place)
{
	const char *digest = source_digest(place);
	auto_free char *dir = digest ? folder(digest, NULL) : NULL;

	return dir && io_exists(dir) ? take_ptr(dir) : NULL;
}

int source_open(const struct source_place *place, struct source *ret, struct err *err)
{
	auto_free char *tree = NULL, *root = NULL;
	auto_cleanup(source) s = {.local = place->path && !source_digest(place)};
	struct err why = {0};
	char hex[65];
	int r = find_tree(place, &tree, err);

	if (r < 0)
		return r;
	if (tree)
		return open_tree(place, tree, ret, err);
	r = find_digest(place, hex, err);
	if (r < 0)
		return r;
	s.dir = folder(hex, err);
	root = cache_dir("sources", err);
	if (!s.dir || !root)
		return err ? -err->code : -EIO;
	s.id = str_printf("sha256:%s", hex);
	r = hold(place, root, s.dir, err);
	if (r < 0)
		return r;
	s.hold = r;
	r = source_tree_check(s.dir, s.dir, &s, &why);
	if (r < 0)
		return err_set(err, -r, "%.200s (changed since it was unpacked? then remove %s)",
			       why.msg, s.dir);
	r = check_series(place, &s, place->path ? place->path : s.dir, err);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct source){0};
	return 0;
}
