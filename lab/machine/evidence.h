/*
 * evidence.h - the files of one cell, filled from a guest that is not trusted.
 *
 * Streams are appended as they come, each up to a limit; beyond it bytes are counted and noted
 * once. Artefacts go below artefacts/, never outside of it and never through a link; what is
 * refused becomes a note. Errors are the host's own (no space left, say).
 */
#ifndef LAB_EVIDENCE_H
#define LAB_EVIDENCE_H

#include "jail/base/err.h"
#include "lab/scenario/outcome.h"

enum evidence_stream {
	EVIDENCE_STDOUT,
	EVIDENCE_STDERR,
	EVIDENCE_STRACE,
	EVIDENCE_DMESG,
	EVIDENCE_STREAMS
};

struct evidence {
	int dirfd;
	uint64_t limit; /* of each stream */
	struct {
		int fd;
		struct stream *count;
	} streams[EVIDENCE_STREAMS];
	struct stream dmesg;
	struct outcome *outcome; /* where counts and notes go */
	int file;		 /* the artefact that is open, or -1 */
	bool in_file, files_cut; /* between FILE and FILE_END; over the total */
	unsigned int n_files;
	uint64_t files_bytes;
};

/* dir exists; an earlier attempt's files in it are removed. Releases nothing on failure: call
 * evidence_close() in any case. */
int evidence_open(struct evidence *e, const char *dir, uint64_t limit, struct outcome *outcome,
		  struct err *err);
void evidence_close(struct evidence *e);

int evidence_append(struct evidence *e, enum evidence_stream which, const void *data, size_t len,
		    struct err *err);
/* The guest says how many bytes there were in all: those it did not send are counted too. */
void evidence_count(struct evidence *e, enum evidence_stream which, uint64_t seen);

/* -EPROTO when the path leaves the folder, or an artefact is open (begin) or none is (data, end).
 */
int evidence_file_begin(struct evidence *e, const char *path, struct err *err);
int evidence_file_data(struct evidence *e, const void *data, size_t len, struct err *err);
int evidence_file_end(struct evidence *e, struct err *err);

/* Add a line to the outcome's notes, made printable; there is a bound on how many. */
void evidence_note(struct evidence *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
