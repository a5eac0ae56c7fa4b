#include "lab/guest/cpio.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"

/* Where the folders of the root itself are in a merged /usr. */
static const char *const merged[][2] = {
	{"bin", "usr/bin"},	{"sbin", "usr/bin"},	{"usr/sbin", "usr/bin"},
	{"lib64", "usr/lib64"}, {"lib32", "usr/lib32"}, {"lib", "usr/lib"},
};

static char *merged_path(const char *path)
{
	for (size_t i = 0; i < array_len(merged); i++) {
		size_t n = strlen(merged[i][0]);

		if (strncmp(path, merged[i][0], n) == 0 && (path[n] == '/' || !path[n]))
			return str_printf("%s%s", merged[i][1], path + n);
	}
	return xstrdup(path);
}

static struct cpio_member *add(struct cpio *c, char *path, mode_t mode, const char *link)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 256;
		c->members = xreallocarray(c->members, c->cap, sizeof(*c->members));
	}
	c->members[c->n] = (struct cpio_member){
		.path = path,
		.link = xstrdup(link),
		.mode = mode,
		.order = c->n,
		.offset = c->bytes,
	};
	return &c->members[c->n++];
}

int cpio_init(struct cpio *c, const char *dir, struct err *err)
{
	*c = (struct cpio){.spool = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
	if (c->spool < 0) {
		/* a file system without O_TMPFILE */
		auto_free char *path = str_printf("%s/spool-XXXXXX", dir);

		c->spool = mkostemp(path, O_CLOEXEC);
		if (c->spool < 0)
			return err_errno(err, "temporary file in %s", dir);
		unlink(path);
	}
	for (size_t i = 0; i < array_len(merged); i++) {
		const char *target = str_eq(merged[i][0], "usr/sbin") ? "bin" : merged[i][1];

		cpio_add_dir(c, merged[i][1], 0755);
		add(c, xstrdup(merged[i][0]), S_IFLNK | 0777, target);
	}
	return 0;
}

void cpio_deinit(struct cpio *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->members[i].path);
		free(c->members[i].link);
	}
	free(c->members);
	cleanup_close(&c->spool);
	*c = (struct cpio){.spool = -1};
}

void cpio_add_dir(struct cpio *c, const char *path, unsigned int permissions)
{
	add(c, merged_path(path), S_IFDIR | permissions, NULL);
}

void cpio_add_link(struct cpio *c, const char *path, const char *target)
{
	add(c, merged_path(path), S_IFLNK | 0777, target);
}

void cpio_add_hard_link(struct cpio *c, const char *path, const char *target)
{
	auto_free char *at = merged_path(target);

	add(c, merged_path(path), S_IFREG, at);
}

void cpio_begin_file(struct cpio *c, const char *path, unsigned int permissions)
{
	add(c, merged_path(path), S_IFREG | permissions, NULL);
}

int cpio_append(struct cpio *c, const void *data, size_t len, struct err *err)
{
	int r = io_write_all(c->spool, data, len);

	if (r < 0)
		return err_set(err, -r, "temporary file of the image: %s", strerror(-r));
	c->members[c->n - 1].size += len;
	c->bytes += len;
	return 0;
}

int cpio_add_bytes(struct cpio *c, const char *path, unsigned int permissions, const void *data,
		   size_t len, struct err *err)
{
	cpio_begin_file(c, path, permissions);
	return cpio_append(c, data, len, err);
}

int cpio_add_host_file(struct cpio *c, const char *path, unsigned int permissions,
		       const char *host_path, struct err *err)
{
	auto_close int fd = open(host_path, O_RDONLY | O_CLOEXEC);
	char chunk[65536];
	ssize_t n;

	if (fd < 0)
		return err_errno(err, "%s", host_path);
	cpio_begin_file(c, path, permissions);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		if (cpio_append(c, chunk, n, err) < 0)
			return -err->code;
	return n < 0 ? err_errno(err, "read %s", host_path) : 0;
}

/* By path; of equal ones folders first, then by addition: the last of a path is the one that
 * counts. */
static int compare(const void *a, const void *b)
{
	const struct cpio_member *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	if (r == 0)
		r = S_ISDIR(y->mode) - S_ISDIR(x->mode);
	return r ? r : (x->order > y->order) - (x->order < y->order);
}

static void sort_unique(struct cpio *c)
{
	size_t kept = 0;

	qsort(c->members, c->n, sizeof(*c->members), compare);
	for (size_t i = 0; i < c->n; i++) {
		struct cpio_member *m = &c->members[i];

		if (i + 1 < c->n && str_eq(m->path, m[1].path)) {
			free(m->path);
			free(m->link);
		} else {
			c->members[kept++] = *m;
		}
	}
	c->n = kept;
}

static void add_parents(struct cpio *c)
{
	const char *before = "";

	for (size_t i = 0, n = c->n; i < n; i++) {
		const char *path = c->members[i].path;
		size_t common = 0;

		/* the parents that it shares with the member before are there already */
		while (before[common] && before[common] == path[common])
			common++;
		for (const char *s = path; (s = strchr(s, '/')); s++)
			if ((size_t)(s - path) >= common)
				add(c, xstrndup(path, s - path), S_IFDIR | 0755, NULL);
		before = path;
	}
}

static int compare_key(const void *key, const void *member)
{
	return strcmp(key, ((const struct cpio_member *)member)->path);
}

static int write_data(struct cpio *c, struct archive *a, const struct cpio_member *m,
		      struct err *err)
{
	char chunk[65536];

	for (uint64_t done = 0; done < m->size;) {
		size_t want = m->size - done < sizeof(chunk) ? m->size - done : sizeof(chunk);
		ssize_t n = pread(c->spool, chunk, want, m->offset + done);

		if (n <= 0)
			return err_errno(err, "temporary file of the image");
		if (archive_write_data(a, chunk, n) != n)
			return err_set(err, archive_errno(a), "write the image: %s",
				       archive_error_string(a));
		done += n;
	}
	return 0;
}

static int write_member(struct cpio *c, struct archive *a, struct archive_entry *entry,
			const struct cpio_member *m, struct err *err)
{
	const struct cpio_member *from = m;

	if (S_ISREG(m->mode) && m->link) {
		from = bsearch(m->link, c->members, c->n, sizeof(*m), compare_key);
		if (!from || !S_ISREG(from->mode) || from->link)
			return err_set(err, EINVAL, "%s is a hard link to %s, which is not there",
				       m->path, m->link);
	}
	archive_entry_clear(entry);
	archive_entry_set_pathname(entry, m->path);
	archive_entry_set_mode(entry, from->mode);
	archive_entry_set_nlink(entry, 1);
	archive_entry_set_mtime(entry, 0, 0);
	archive_entry_set_size(entry, S_ISREG(m->mode) ? from->size : 0);
	if (S_ISLNK(m->mode))
		archive_entry_set_symlink(entry, m->link);
	if (archive_write_header(a, entry) != ARCHIVE_OK)
		return err_set(err, archive_errno(a), "write the image: %s: %s", m->path,
			       archive_error_string(a));
	return S_ISREG(m->mode) ? write_data(c, a, from, err) : 0;
}

static int write_archive(struct cpio *c, int fd, int (*set_format)(struct archive *),
			 struct err *err)
{
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	int r = 0;

	sort_unique(c);
	add_parents(c);
	sort_unique(c);
	if (!a || !entry)
		r = err_set(err, ENOMEM, "out of memory");
	else if (set_format(a) != ARCHIVE_OK ||
		 archive_write_set_bytes_per_block(a, 65536) != ARCHIVE_OK ||
		 archive_write_set_bytes_in_last_block(a, 512) != ARCHIVE_OK ||
		 archive_write_open_fd(a, fd) != ARCHIVE_OK)
		r = err_set(err, EIO, "write the image: %s", archive_error_string(a));
	for (size_t i = 0; r == 0 && i < c->n; i++)
		r = write_member(c, a, entry, &c->members[i], err);
	if (r == 0 && archive_write_close(a) != ARCHIVE_OK)
		r = err_set(err, archive_errno(a), "write the image: %s", archive_error_string(a));
	archive_entry_free(entry);
	archive_write_free(a);
	return r;
}

int cpio_write(struct cpio *c, int fd, struct err *err)
{
	return write_archive(c, fd, archive_write_set_format_cpio_newc, err);
}

int cpio_write_tar(struct cpio *c, int fd, struct err *err)
{
	return write_archive(c, fd, archive_write_set_format_gnutar, err);
}
