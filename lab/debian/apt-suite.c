#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "lab/cache.h"
#include "lab/debian/apt.h"
#include "lab/debian/deb.h"
#include "lab/debian/download.h"

enum { RELEASE_MAX = 4 << 20 };

void apt_suite_deinit(struct apt_suite *s)
{
	free(s->name);
	free(s->dir);
	free(s->sha256_field);
	*s = (struct apt_suite){0};
}

/* Fetch a small file of the archive anew, to path. The caller holds the lock of apt_lock(). */
static int fetch(const char *mirror, const char *in_archive, const char *path, uint64_t max,
		 bool exact, kernel_progress_fn progress, void *data, struct err *err)
{
	auto_free char *url = str_printf("%s/%s", mirror, in_archive);
	auto_free char *part = str_printf("%s.part", path);
	auto_free char *proxy = apt_proxy(url);
	struct download d = {.url = url,
			     .part = part,
			     .max_bytes = max,
			     .exact = exact,
			     .proxy = proxy,
			     .what = in_archive,
			     .progress = progress,
			     .data = data};
	int r;

	unlink(part); /* of one that was killed: perhaps of another day */
	r = download(&d, err);
	if (r == 0 && rename(part, path) < 0)
		r = err_errno(err, "rename %s", part);
	if (r < 0)
		unlink(part);
	return r;
}

/*
 * Has the status text a good signature, no bad one, and no error (a second message after the signed
 * one)? An expired or revoked key's is not GOODSIG.
 */
static bool signature_is_good(const char *status)
{
	return strstr(status, "[GNUPG:] GOODSIG ") && !strstr(status, "[GNUPG:] BADSIG ") &&
	       !strstr(status, "[GNUPG:] ERROR ");
}

/* Check path's signature; the text that was signed goes to text. */
static int verify(const char *path, const char *text, struct err *err)
{
	const char *keyring = getenv("LAB_KEYRING");
	auto_cleanup(buf) status = {0}, said = {0};
	int r;

	if (!keyring || !*keyring)
		keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
	if (!io_exists(keyring))
		return err_set(err, ENOENT,
			       "%s is missing: install debian-archive-keyring (or set LAB_KEYRING)",
			       keyring);
	unlink(text);
	{
		char *const gpgv[] = {"gpgv",	    "--status-fd",   "1",
				      "--keyring",  (char *)keyring, "--output",
				      (char *)text, (char *)path,    NULL};
		char *const sqv[] = {"sqv",	 "--keyring",  (char *)keyring, "--cleartext",
				     "--output", (char *)text, (char *)path,	NULL};

		r = proc_run(gpgv, &status, &said, err);
		if (r == -ENOENT) {
			r = proc_run(sqv, NULL, &said, err);
			if (r == -ENOENT)
				return err_set(err, ENOENT,
					       "neither gpgv nor sqv is there: install gpgv");
			if (r > 0)
				r = -EBADMSG;
		} else if (r >= 0) {
			/* not its exit code: a further signature by a key we lack is no harm */
			r = status.data && signature_is_good(status.data) ? 0 : -EBADMSG;
		}
	}
	if (r == -EBADMSG)
		return err_set(err, EBADMSG,
			       "%s: no valid signature by a key of %s: the mirror is not to be "
			       "trusted, or the keyring is too old",
			       path, keyring);
	if (r == 0 && !io_exists(text))
		return err_set(err, EBADMSG, "%s: no signed text", path);
	return r;
}

/* "Fri, 20 Nov 2026 02:11:10 UTC" in seconds; -1 when it is something else. */
static int64_t parse_date(const char *text)
{
	struct tm tm = {0};
	char *end = text ? strptime(text, "%a, %d %b %Y %H:%M:%S", &tm) : NULL;

	return end ? timegm(&tm) : -1;
}

static int read_release(struct apt_suite *s, const char *path, struct err *err)
{
	auto_cleanup(buf) text = {0};
	auto_cleanup(deb822) release = {0};
	const char *until, *sums, *by_hash, *suite, *codename;
	int64_t expires;
	ssize_t n;
	int r = io_read_file(AT_FDCWD, path, RELEASE_MAX, &text, err);

	if (r < 0)
		return r;
	n = deb822_next(text.data, text.len, true, &release, err);
	if (n < 0)
		return err_wrap(err, "%s", path);
	/* one that is signed, but another suite's, would pin other packages */
	suite = deb822_get(&release, "Suite");
	codename = deb822_get(&release, "Codename");
	if (!(suite && str_eq(suite, s->name)) && !(codename && str_eq(codename, s->name)))
		return err_set(err, EBADMSG,
			       "the mirror's InRelease of %s is that of another suite (%.60s)",
			       s->name,
			       codename ? codename
			       : suite	? suite
					: "without a name");
	s->date = parse_date(deb822_get(&release, "Date"));
	sums = deb822_get(&release, "SHA256");
	if (s->date < 0 || !sums)
		return err_set(err, EBADMSG, "%s: no Date or no SHA256 in it", path);
	until = deb822_get(&release, "Valid-Until");
	expires = parse_date(until);
	if (expires >= 0 && expires < time(NULL) && !apt_may_be_expired())
		return err_set(err, ETIME,
			       "%s of the mirror ended its validity on %s: the mirror is stale, or "
			       "this host's clock is wrong",
			       s->name, until);
	by_hash = deb822_get(&release, "Acquire-By-Hash");
	s->by_hash = by_hash && str_eq(by_hash, "yes");
	s->sha256_field = xstrdup(sums);
	return 0;
}

int apt_lock(struct err *err)
{
	auto_free char *root = cache_dir("apt", err);
	auto_free char *path = root ? path_join(root, "pin.lock") : NULL;

	return path ? io_lock_file(path, IO_LOCK_WAIT, err) : err ? -err->code : -EIO;
}

int apt_suite_open(const char *name, struct apt_suite *ret, struct err *err)
{
	auto_free char *root = cache_dir("apt", err), *mirror = NULL;
	auto_free char *in_archive = str_printf("dists/%s/InRelease", name), *raw = NULL,
		       *text = NULL;
	auto_cleanup(apt_suite) s = {.name = xstrdup(name)};
	int r;

	if (!root)
		return err ? -err->code : -EIO;
	s.dir = path_join(root, name);
	raw = path_join(s.dir, "InRelease");
	text = path_join(s.dir, "Release");
	mirror = apt_mirror(err);
	if (!mirror)
		return -ENOENT;
	r = io_mkdirs(s.dir, 0755, err);
	if (r == 0)
		r = fetch(mirror, in_archive, raw, RELEASE_MAX, false, NULL, NULL, err);
	if (r == 0)
		r = verify(raw, text, err);
	if (r == 0)
		r = read_release(&s, text, err);
	unlink(text);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct apt_suite){0};
	return 0;
}

/* The index of an architecture, verified, in the cache: its path. */
static int fetch_index(const struct apt_suite *s, enum arch arch, kernel_progress_fn progress,
		       void *data, char **ret, struct err *err)
{
	auto_free char *folder = str_printf("main/binary-%s", arch_name(arch));
	auto_free char *xz = str_printf("%s/Packages.xz", folder), *path = NULL, *where = NULL;
	auto_free char *mirror = NULL;
	char want[65], got[65];
	uint64_t size;
	int r;

	if (deb822_checksum(s->sha256_field, xz, want, &size) < 0)
		return err_set(err, ENOENT, "%s has no %s: no packages for that architecture there",
			       s->name, xz);
	path = str_printf("%s/Packages-%s.xz", s->dir, arch_name(arch));
	if (sha256_file(path, got, NULL) == 0 && str_eq(got, want)) {
		*ret = take_ptr(path);
		return 0;
	}
	mirror = apt_mirror(err);
	if (!mirror)
		return -ENOENT;
	where = s->by_hash ? str_printf("dists/%s/%s/by-hash/SHA256/%s", s->name, folder, want)
			   : str_printf("dists/%s/%s", s->name, xz);
	r = fetch(mirror, where, path, size, true, progress, data, err);
	if (r == 0)
		r = sha256_file(path, got, err);
	if (r < 0)
		return r;
	if (!str_eq(got, want)) {
		unlink(path);
		return err_set(
			err, EBADMSG,
			"%s/%s has SHA-256 %s, but the signed InRelease says %s: a damaged mirror, "
			"or one in the middle of an update; try again or set LAB_MIRROR",
			mirror, where, got, want);
	}
	*ret = take_ptr(path);
	return 0;
}

static int walk_text(struct archive *a, apt_package_fn fn, void *data, struct err *err)
{
	auto_cleanup(buf) text = {0};
	auto_cleanup(deb822) stanza = {0};
	auto_free char *chunk = xmalloc(1 << 18);
	size_t used = 0;
	ssize_t got, n;
	int r;

	do {
		got = archive_read_data(a, chunk, 1 << 18);
		if (got < 0)
			return err_set(err, EBADMSG, "%s", archive_error_string(a));
		if (used)
			memmove(text.data, text.data + used, text.len - used);
		text.len -= used;
		used = 0;
		buf_add(&text, chunk, got);
		while ((n = deb822_next(text.data + used, text.len - used, !got, &stanza, err)) >
		       0) {
			used += n;
			r = stanza.n ? fn(data, &stanza, err) : 0;
			if (r < 0)
				return r;
		}
		if (n < 0)
			return n;
	} while (got);
	return 0;
}

int apt_suite_packages(const struct apt_suite *s, enum arch arch, kernel_progress_fn progress,
		       void *progress_data, apt_package_fn fn, void *data, struct err *err)
{
	auto_free char *path = NULL;
	struct archive_entry *entry;
	struct archive *a;
	int r = fetch_index(s, arch, progress, progress_data, &path, err);

	if (r < 0)
		return r;
	a = archive_read_new();
	if (!a)
		return err_set(err, ENOMEM, "out of memory");
	archive_read_support_filter_xz(a);
	archive_read_support_format_raw(a);
	if (archive_read_open_filename(a, path, 65536) != ARCHIVE_OK ||
	    archive_read_next_header(a, &entry) != ARCHIVE_OK)
		r = err_set(err, EBADMSG, "%s: %s", path, archive_error_string(a));
	else
		r = walk_text(a, fn, data, err);
	archive_read_free(a);
	return r;
}
