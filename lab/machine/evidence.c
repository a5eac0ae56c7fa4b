#include "lab/machine/evidence.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/machine/job.h"

enum { NOTES_MAX = 64, NOTE_MAX = 300 };

static const char *const names[EVIDENCE_STREAMS] = {"stdout", "stderr", "strace.log", "dmesg.log"};

static int open_stream(struct evidence *e, enum evidence_stream which, struct err *err)
{
	int *fd = &e->streams[which].fd;

	if (*fd < 0)
		*fd = openat(e->dirfd, names[which],
			     O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	return *fd < 0 ? err_errno(err, "create %s", names[which]) : 0;
}

int evidence_open(struct evidence *e, const char *dir, uint64_t limit, struct outcome *outcome,
		  struct err *err)
{
	static const char *const others[] = {"vmcore", "vmcore.part", "vmcore.txt",
					     "registers.txt"};
	struct stream *counts[EVIDENCE_STREAMS] = {&outcome->out, &outcome->err, &outcome->trace,
						   &e->dmesg};
	int r;

	*e = (struct evidence){.dirfd = -1, .file = -1, .limit = limit, .outcome = outcome};
	for (int i = 0; i < EVIDENCE_STREAMS; i++) {
		e->streams[i].fd = -1;
		e->streams[i].count = counts[i];
	}
	e->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->dirfd < 0)
		return err_errno(err, "open %s", dir);
	/* What an earlier attempt left is not this guest's evidence. */
	for (int i = 0; i < EVIDENCE_STREAMS; i++)
		if (unlinkat(e->dirfd, names[i], 0) < 0 && errno != ENOENT)
			return err_errno(err, "replace %s/%s", dir, names[i]);
	for (size_t i = 0; i < array_len(others); i++)
		if (unlinkat(e->dirfd, others[i], 0) < 0 && errno != ENOENT)
			return err_errno(err, "replace %s/%s", dir, others[i]);
	r = io_remove_tree(e->dirfd, "artefacts", err);
	if (r == 0)
		r = open_stream(e, EVIDENCE_STDOUT, err);
	return r < 0 ? r : open_stream(e, EVIDENCE_STDERR, err);
}

void evidence_close(struct evidence *e)
{
	for (int i = 0; i < EVIDENCE_STREAMS; i++)
		cleanup_close(&e->streams[i].fd);
	cleanup_close(&e->file);
	cleanup_close(&e->dirfd);
}

void evidence_note(struct evidence *e, const char *fmt, ...)
{
	struct strv *notes = &e->outcome->notes;
	auto_cleanup(buf) text = {0}, line = {0};
	va_list ap;

	if (notes->n > NOTES_MAX)
		return;
	if (notes->n == NOTES_MAX) {
		strv_add(notes, "more was noted than fits here");
		return;
	}
	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	str_printable(&line, text.data, text.len, NOTE_MAX, false);
	strv_add(notes, line.data ? line.data : "");
}

static int write_failed(int code, const char *name, struct err *err)
{
	return err_set(err, -code, "write %s: %s", name, strerror(-code));
}

int evidence_append(struct evidence *e, enum evidence_stream which, const void *data, size_t len,
		    struct err *err)
{
	struct stream *count = e->streams[which].count;
	uint64_t room = e->limit - count->kept;
	bool noted = count->seen > count->kept;
	int r = open_stream(e, which, err);

	if (r < 0)
		return r;
	count->seen += len;
	if (len > room) {
		if (!noted)
			evidence_note(e, "%s: kept the first %" PRIu64 " bytes", names[which],
				      e->limit);
		len = room;
	}
	r = io_write_all(e->streams[which].fd, data, len);
	if (r < 0)
		return write_failed(r, names[which], err);
	count->kept += len;
	return 0;
}

void evidence_count(struct evidence *e, enum evidence_stream which, uint64_t seen)
{
	struct stream *count = e->streams[which].count;

	if (seen <= count->seen)
		return;
	if (count->seen == count->kept)
		evidence_note(e, "%s: kept the first %" PRIu64 " of %" PRIu64 " bytes",
			      names[which], count->kept, seen);
	count->seen = seen;
}

/* The folders above path's last part. */
static int make_parents(int dirfd, const char *path)
{
	for (const char *s = path; (s = strchr(s, '/')); s++) {
		auto_free char *parent = xstrndup(path, s - path);

		if (mkdirat(dirfd, parent, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int create_file(struct evidence *e, const char *path)
{
	auto_close int dir = -1;
	int r;

	if (mkdirat(e->dirfd, "artefacts", 0755) < 0 && errno != EEXIST)
		return -errno;
	dir = openat(e->dirfd, "artefacts", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	r = make_parents(dir, path);
	if (r < 0)
		return r;
	e->file = io_open_beneath(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, false);
	return e->file < 0 ? -errno : 0;
}

int evidence_file_begin(struct evidence *e, const char *path, struct err *err)
{
	int r;

	if (e->in_file)
		return err_set(err, EPROTO, "the guest began a file within a file");
	if (!path_is_inside(path)) {
		auto_cleanup(buf) shown = {0};

		str_printable(&shown, path, strlen(path), 100, false);
		return err_set(err, EPROTO,
			       "the guest sent a file whose path leaves the folder: %s",
			       shown.data ? shown.data : "");
	}
	e->in_file = true;
	if (e->n_files >= MACHINE_ARTEFACT_FILES) {
		evidence_note(e, "artefact %s: refused, %d files are the limit", path,
			      MACHINE_ARTEFACT_FILES);
		return 0;
	}
	r = create_file(e, path);
	if (r == -ENOSPC || r == -EDQUOT || r == -EIO)
		return write_failed(r, path, err);
	if (r < 0)
		evidence_note(e, "artefact %s: refused: %s", path, strerror(-r));
	else
		e->n_files++;
	return 0;
}

int evidence_file_data(struct evidence *e, const void *data, size_t len, struct err *err)
{
	uint64_t room = MACHINE_ARTEFACT_LIMIT - e->files_bytes;
	int r;

	if (!e->in_file)
		return err_set(err, EPROTO, "the guest sent a file's data without a file");
	if (e->file < 0)
		return 0;
	if (len > room && !e->files_cut) {
		evidence_note(e, "artefacts: cut at %d MiB, the limit of all together",
			      MACHINE_ARTEFACT_LIMIT >> 20);
		e->files_cut = true;
	}
	if (len > room)
		len = room;
	r = io_write_all(e->file, data, len);
	if (r < 0)
		return write_failed(r, "an artefact", err);
	e->files_bytes += len;
	return 0;
}

int evidence_file_end(struct evidence *e, struct err *err)
{
	if (!e->in_file)
		return err_set(err, EPROTO, "the guest ended a file that it did not begin");
	cleanup_close(&e->file);
	e->file = -1;
	e->in_file = false;
	return 0;
}
