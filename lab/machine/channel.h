/*
 * channel.h - the host's side of the channel to a guest (vm/proto.h): the job goes in, frames come
 * out and end up as evidence.
 *
 * Never blocks: the descriptor is non-blocking, and both directions advance by as much as there is.
 * At most about two frames are held in memory each way. The guest is untrusted: a frame that is too
 * long, of a wrong type, out of order or malformed is -EPROTO, and nothing after it is looked at.
 */
#ifndef LAB_CHANNEL_H
#define LAB_CHANNEL_H

#include "jail/base/err.h"
#include "jail/base/str.h"
#include "lab/crash/crash.h"
#include "lab/machine/evidence.h"
#include "lab/machine/job.h"

enum channel_state {
	CHANNEL_SILENT,	 /* no HELLO yet */
	CHANNEL_SENDING, /* HELLO came: the job is on its way */
	CHANNEL_RUNNING, /* STARTED came */
	CHANNEL_OVER,	 /* EXIT or ERROR came */
};

struct channel {
	int fd; /* owned */
	enum channel_state state;
	bool ended;  /* end of file */
	bool failed; /* ERROR came instead of EXIT */
	const struct job *job;
	struct evidence *evidence;
	struct buf in, out;
	size_t sent;	  /* of out */
	size_t next_file; /* of job->files */
	int file;	  /* the one being sent, or -1 */
	bool job_sent;
	uint64_t frames;	/* received */
	uint64_t progress;	/* received, without TICK */
	uint64_t taken;		/* bytes the guest took */
	bool asked, answered;	/* channel_ask() */
	struct crash_watch log; /* of the kernel's log */
};

/* Takes over fd and makes it non-blocking. job and evidence must outlive the channel. */
int channel_init(struct channel *c, int fd, const struct job *job, struct evidence *evidence,
		 struct err *err);
void channel_deinit(struct channel *c);
DEFINE_CLEANUP(channel, channel_deinit)

/* Have the guest send the running payload a signal: with the next channel_write(). */
void channel_signal(struct channel *c, int signal);

/*
 * Ask whether the agent still runs: with the next channel_write(). It answers (answered) once it
 * has sent what the kernel had logged by then; also after the job's end.
 */
void channel_ask(struct channel *c);

/*
 * For a guest without a port: all that it would be sent, into the file fd. Errors as
 * channel_write(). The channel that reads what such a guest says has job_sent set from its start.
 */
int channel_write_job(const struct job *job, uint64_t stream_limit, int fd, struct err *err);

/* Whether there is something to write: poll for POLLOUT. */
bool channel_wants_write(const struct channel *c);
/* Whether nothing is read for now, since who watches the job does not keep up. */
bool channel_blocked(const struct channel *c);
/* Send what goes in without blocking. Returns 0, or a negative errno (a file of the job's, say). */
int channel_write(struct channel *c, struct err *err);
/*
 * Take in what there is, at most a few MiB. Returns 0, -EPROTO (the guest broke the protocol), or
 * what the host's files said (-ENOSPC, …).
 */
int channel_read(struct channel *c, struct err *err);

#endif
