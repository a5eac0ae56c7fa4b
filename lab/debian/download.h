/*
 * download.h - one file from an http, https or file URL onto the disk, resumed when it was cut.
 *
 * What arrives is not trusted: the caller knows size and SHA-256 and checks them.
 */
#ifndef LAB_DOWNLOAD_H
#define LAB_DOWNLOAD_H

#include <stdint.h>

#include "jail/base/err.h"
#include "lab/kernel/kernel.h"

struct download {
	const char *url;
	const char *part;   /* file that grows; what is there already is continued */
	bool resume;	    /* also when its size is not known: part is named by a digest */
	uint64_t max_bytes; /* more is refused; 0: 256 MiB */
	bool exact;	    /* max_bytes is the size it must have */
	const char *proxy;  /* NULL: what the environment says */
	const char *what;   /* for progress and messages */
	kernel_progress_fn progress; /* may be NULL */
	void *data;
	const volatile int *cancel; /* may be NULL; non-zero ends it: -EINTR */
};

/*
 * Returns 0 with the whole file in part, or: -ENOENT (not there: 404, 410, no such file), -ENOSPC
 * (part is kept), -EFBIG, -EBADMSG (shorter than exact), -EPROTO (the server answered something
 * else), -EINTR, -EIO (connection; after three attempts in a row that got nowhere, or forty in
 * all). Part is kept for a later attempt: whoever knows better removes it.
 */
int download(const struct download *d, struct err *err);

#endif
