#include "lab/debian/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"

enum {
	ATTEMPTS = 3,	   /* in a row that got nowhere */
	ATTEMPTS_ALL = 40, /* that got a bit further, or had to start again */
	CONNECT_TIMEOUT_S = 20,
	STALL_BYTES_PER_S = 256,
	STALL_S = 30,
};
#define DEFAULT_MAX (UINT64_C(256) << 20)

struct transfer {
	const struct download *d;
	CURL *curl;
	int fd;
	uint64_t have, max;
	uint64_t total;	 /* as the server says; 0: not known */
	int write_errno; /* why the write callback stopped */
	struct err why;	 /* of the last attempt that may be repeated */
	int64_t shown_ms;
	char *fetching; /* for progress */
};

static void transfer_deinit(struct transfer *t)
{
	if (t->curl)
		curl_easy_cleanup(t->curl);
	if (t->fd >= 0)
		close(t->fd);
	free(t->fetching);
}
DEFINE_CLEANUP(transfer, transfer_deinit)

static size_t on_data(char *data, size_t size, size_t n, void *user)
{
	struct transfer *t = user;
	size_t len = size * n;
	int r = len > t->max - t->have ? -EFBIG : io_write_all(t->fd, data, len);
	curl_off_t whole = -1;

	if (t->d->resume && !t->total &&
	    curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &whole) == CURLE_OK &&
	    whole > 0)
		t->total = t->have + whole; /* of what was asked for: the rest */
	if (r < 0) {
		t->write_errno = -r;
		return 0;
	}
	t->have += len;
	if (t->d->progress && (io_now_ms() - t->shown_ms > 100 || t->have == t->total)) {
		t->shown_ms = io_now_ms();
		t->d->progress(t->d->data, t->fetching, t->have, t->total);
	}
	return len;
}

static int on_tick(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct transfer *t = user;

	(void)a, (void)b, (void)c, (void)d;
	return *t->d->cancel;
}

static int set_up(struct transfer *t, struct err *err)
{
	CURL *c = t->curl;

	if (!c)
		return err_set(err, ENOMEM, "libcurl cannot be used");
	curl_easy_setopt(c, CURLOPT_URL, t->d->url);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https,file");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(c, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS | CURLPROTO_FILE);
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, 8L);
	curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "jail-lab");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES_PER_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	if (t->d->cancel) {
		curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_tick);
		curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
		curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	}
	if (t->d->proxy)
		curl_easy_setopt(c, CURLOPT_PROXY, t->d->proxy);
	return 0;
}

/* One attempt. Returns 0, 1 or -EAGAIN (got nowhere) to try again, or what is final. */
static int attempt(struct transfer *t, struct err *err)
{
	const struct download *d = t->d;
	uint64_t before = t->have;
	long code = 0;
	CURLcode r;

	curl_easy_setopt(t->curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)t->have);
	if (!d->exact)
		t->total = 0;
	r = curl_easy_perform(t->curl);
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &code);
	if (d->cancel && *d->cancel)
		return err_set(err, EINTR, "fetching %s was interrupted", d->what);
	if (t->write_errno == EFBIG)
		return err_set(err, EFBIG, "%s: larger than the %llu bytes it should have", d->url,
			       (unsigned long long)t->max);
	if (t->write_errno == ENOSPC || t->write_errno == EDQUOT)
		return err_set(
			err, ENOSPC,
			"no space left for %s: it needs %llu MiB more (%s); free some space "
			"('lab cache prune') and run this again, it continues",
			d->what,
			(unsigned long long)(((t->total ? t->total : t->max) - t->have) >> 20) + 1,
			d->part);
	if (t->write_errno)
		return err_set(err, t->write_errno, "write %s: %s", d->part,
			       strerror(t->write_errno));
	if (r == CURLE_OK)
		return 0;
	if (r == CURLE_FILE_COULDNT_READ_FILE || code == 404 || code == 410)
		return err_set(err, ENOENT, "%s: not there", d->url);
	if (before && (r == CURLE_RANGE_ERROR || r == CURLE_BAD_DOWNLOAD_RESUME || code == 416)) {
		t->have = 0; /* no resuming there: from the start */
		return ftruncate(t->fd, 0) < 0 ? err_errno(err, "truncate %s", d->part) : 1;
	}
	if (r == CURLE_HTTP_RETURNED_ERROR && code < 500)
		return err_set(err, EPROTO, "%s: the server answered %ld", d->url, code);
	if (r == CURLE_HTTP_RETURNED_ERROR)
		err_set(&t->why, EIO, "the server answered %ld", code);
	else
		err_set(&t->why, EIO, "%s", curl_easy_strerror(r));
	return t->have > before ? 1 : -EAGAIN;
}

int download(const struct download *d, struct err *err)
{
	auto_cleanup(transfer)
		t = {.d = d, .fd = -1, .max = d->max_bytes ? d->max_bytes : DEFAULT_MAX};
	struct stat st;
	int r;

	t.fd = open(d->part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (t.fd < 0 || fstat(t.fd, &st) < 0)
		return err_errno(err, "create %s", d->part);
	t.have = st.st_size;
	if (d->exact && t.have == t.max)
		return 0;
	t.total = d->exact ? t.max : 0;
	if (t.have > t.max || !(d->exact || d->resume)) {
		t.have = 0;
		if (ftruncate(t.fd, 0) < 0)
			return err_errno(err, "truncate %s", d->part);
	}
	t.fetching = str_printf("fetching %s", d->what);
	t.curl = curl_easy_init();
	r = set_up(&t, err);
	if (r < 0)
		return r;
	for (int all = 1, in_a_row = 0; (r = attempt(&t, err)) != 0; all++) {
		if (r < 0 && r != -EAGAIN)
			return r;
		in_a_row = r == -EAGAIN ? in_a_row + 1 : 0;
		if (in_a_row == ATTEMPTS || all == ATTEMPTS_ALL)
			return err_set(err, EIO, "%s: no whole file after %d attempts (%.100s)",
				       d->url, all, t.why.msg);
		usleep(500000 * in_a_row);
	}
	if (d->exact && t.have != t.max)
		return err_set(err, EBADMSG,
			       "%s: truncated: %llu bytes of %llu; the mirror is damaged or in the "
			       "middle of an update: try later, or set LAB_MIRROR to another",
			       d->url, (unsigned long long)t.have, (unsigned long long)t.max);
	return 0;
}
