/*
 * job.h - the one payload that runs at a time: started, watched, ended with all it left behind.
 */
#ifndef AGENT_JOB_H
#define AGENT_JOB_H

#include <poll.h>
#include <sys/resource.h>

#include "vm/agent/channel.h"
#include "vm/agent/input.h"

enum job_state {
	JOB_NONE,
	JOB_RUNNING,
	JOB_ENDING, /* the payload is gone or condemned; what it started is being killed */
};

struct job_stream {
	int fd;
	enum proto_type type;
	uint64_t seen;
};

enum { JOB_STREAMS = 3 };

struct job {
	enum job_state state;
	struct strv argv, env, artefacts, notes;
	char *cwd, *seed;
	int cwd_fd;
	bool trace, hold, tty, has_stdin, timed_out, killed_all;
	uint64_t rows, columns; /* of its terminal */
	uint64_t limit_bytes;
	int64_t timeout_ms, realtime_ms;
	int64_t started_ms, ended_ms, kill_ms; /* kill_ms: when to be harder on what is left */
	int64_t tick_ms;		       /* when the next tick is due */
	pid_t pid;
	int status;
	struct rusage usage;
	struct job_stream streams[JOB_STREAMS];
	struct input input;
};

void job_init(struct job *job);

/* Start what the words of a JOB frame say; STARTED is sent. */
int job_start(struct job *job, struct channel *c, const uint8_t *words, size_t len,
	      struct err *err);
int job_signal(struct job *job, const uint8_t *words, size_t len, struct err *err);

/* Descriptors to poll for: fills fds[JOB_STREAMS], -1 where there is nothing to wait for. */
void job_poll(const struct job *job, const struct channel *c, struct pollfd *fds);
/* Milliseconds until job_advance() has something to do by time; -1: never. */
int job_wait_ms(const struct job *job);
/* Read stream i, once. */
void job_read(struct job *job, struct channel *c, int i);
/* Whether its time has just passed: job_advance() is about to end it. */
bool job_is_late(const struct job *job);
/* Reap what died; mind the clock. Returns true when the job is over: then job_finish(). */
bool job_advance(struct job *job, struct channel *c);
/* Read what is left in the pipes, send the artefacts and EXIT; ready for another job. */
void job_finish(struct job *job, struct channel *c, int kmsg);

#endif
