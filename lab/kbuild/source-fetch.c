#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/debian/download.h"
#include "lab/kbuild/source-parts.h"

#define TARBALL_MAX (UINT64_C(2) << 30) /* 6.5 not compressed: 1.4 GiB */

static const char *path_of(const struct source_place *place)
{
	return place->package ? place->package->path : place->pin->source.url;
}

char *source_base_name(const struct source_place *place)
{
	const char *path = path_of(place), *slash;
	size_t len = strcspn(path, "?#");
	auto_free char *bare = xstrndup(path, len);

	slash = strrchr(bare, '/');
	return xstrdup(slash && slash[1] ? slash + 1 : "source");
}

const char *source_digest(const struct source_place *place)
{
	if (place->package)
		return place->package->sha256;
	return place->pin ? place->pin->source.sha256 : NULL;
}

/* A folder as a URL; what is one already stays. NULL with err: no such folder. */
static char *mirror_url(const char *mirror, struct err *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789/._~+,:@=-";
	auto_cleanup(buf) url = {0};
	auto_free char *real = NULL;
	size_t len = strlen(mirror);

	if (strstr(mirror, "://")) {
		while (len && mirror[len - 1] == '/')
			len--;
		return xstrndup(mirror, len);
	}
	real = realpath(mirror, NULL);
	if (!real) {
		err_errno(err, "%s", mirror);
		return NULL;
	}
	buf_adds(&url, "file://");
	for (const char *p = real; *p; p++)
		buf_addf(&url, strchr(plain, *p) ? "%c" : "%%%02X", (unsigned char)*p);
	return take_ptr(url.data);
}

/* One place, to part. A file with another digest is removed: -EBADMSG. */
static int fetch_url(const struct source_place *place, const char *url, const char *part,
		     struct err *err)
{
	auto_free char *name = source_base_name(place);
	const char *sha256 = source_digest(place);
	struct download d = {.url = url,
			     .part = part,
			     .resume = true,
			     .max_bytes = TARBALL_MAX,
			     .what = name,
			     .progress = place->progress,
			     .data = place->data,
			     .cancel = place->cancel};
	bool resumed = io_exists(part);
	char got[65];
	int r;

	if (place->offline && !str_starts(url, "file:"))
		return err_set(err, ENODATA, "%s: not asked, offline", url);
	do {
		r = download(&d, err);
		if (r == 0)
			r = sha256_file(part, got, err);
		if (r == 0 && str_eq(got, sha256))
			return 0;
		if (r == 0 || r == -EFBIG)
			unlink(part); /* what was there before may have been something else's */
		if (r < 0 && r != -EFBIG)
			return r;
	} while (resumed && (resumed = false, true));
	if (r < 0)
		return r;
	return err_set(err, EBADMSG,
		       "%.150s: wrong checksum: expected SHA-256 %s, got %s; it was thrown away. "
		       "A right one is taken by 'lab kernel build --source TARBALL' or --mirror",
		       url, sha256, got);
}

/* Is it for another place to try, or the end? */
static bool is_final(int r)
{
	return r == 0 || r == -EBADMSG || r == -ENOSPC || r == -EINTR || r == -EACCES ||
	       r == -EROFS;
}

static void note(struct buf *tried, const char *what)
{
	buf_addf(tried, "%s%.130s", tried->len ? "; " : "", what);
}

/* From --mirror, then from where the pin says; a URL's pin is in part then. */
static int fetch(const struct source_place *place, const char *part, struct buf *tried,
		 struct err *err)
{
	auto_free char *name = source_base_name(place), *mirror = NULL;
	struct err why = {0};
	int r = -ENODATA;

	if (place->mirror) {
		mirror = mirror_url(place->mirror, &why);
		if (mirror) {
			auto_free char *url = str_printf("%s/%s", mirror, name);

			r = fetch_url(place, url, part, &why);
		}
		if (!is_final(r))
			note(tried, why.msg);
	}
	if (!is_final(r) && !place->package) {
		r = fetch_url(place, place->pin->source.url, part, &why);
		if (!is_final(r))
			note(tried, why.msg);
	}
	if (r < 0 && is_final(r))
		err_set(err, -r, "%s", why.msg);
	return r;
}

/* Hashed each time: it may have been damaged since it was fetched. */
static bool is_right(const struct source_place *place, const char *path)
{
	char got[65];

	return io_exists(path) && sha256_file(path, got, NULL) == 0 &&
	       str_eq(got, source_digest(place));
}

int source_fetch(const struct source_place *place, const char *stem, char **ret, struct err *err)
{
	auto_free char *part = str_printf("%s.part", stem), *whole = str_printf("%s.tar", stem);
	auto_free char *name = source_base_name(place);
	auto_cleanup(buf) tried = {0};
	struct err why = {0};
	int r = 0;

	if (is_right(place, whole)) {
		*ret = take_ptr(whole);
		return 0;
	}
	if (!is_right(place, part))
		r = fetch(place, part, &tried, err);
	if (r == 0 && rename(part, whole) < 0)
		return err_errno(err, "rename %s", part);
	if (r == 0)
		*ret = take_ptr(whole);
	if (is_final(r))
		return r;
	if (place->package) {
		r = deb_fetch(place->package, place->offline, place->progress, place->data,
			      place->cancel, ret, &why);
		if (is_final(r))
			return r < 0 ? err_set(err, -r, "%s", why.msg) : 0;
		note(&tried, why.msg);
	}
	return err_set(err, ENODATA,
		       "%.80s cannot be had%s (%s): 'lab kernel build %.64s --source FILE' takes "
		       "the file itself, --mirror a URL or folder that holds it",
		       name, place->offline ? " offline" : "", tried.data ? tried.data : "",
		       place->pin ? place->pin->name : "NAME");
}
