/*
 * files.h - files between host and guest: into the job's working folder, and artefacts out of it.
 */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include "vm/agent/channel.h"

#define WORK_DIR "/workspace/job"
enum { ARTEFACT_FILES_MAX = 1000, ARTEFACT_BYTES_MAX = 64 << 20 };

/* A new, empty WORK_DIR on a file system of its own; the old one goes with all that is in it. */
int files_reset(struct err *err);

struct incoming {
	int fd; /* -1: no file is open */
	char *path;
};
/* FILE, DATA, FILE_END as they come from the host. */
int files_begin(struct incoming *in, const uint8_t *words, size_t len, struct err *err);
int files_data(struct incoming *in, const uint8_t *data, size_t len, struct err *err);
int files_end(struct incoming *in, struct err *err);
/* Forget a file that did not come to its end. */
void files_drop(struct incoming *in);

/*
 * Send the regular files that paths (relative to dirfd) name, and those in folders that they name;
 * links are not followed. What is left out, and why, is added to notes.
 */
void files_send(struct channel *c, int dirfd, const struct strv *paths, struct strv *notes);

#endif
