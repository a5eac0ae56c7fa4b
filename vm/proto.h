/*
 * proto.h - the channel between lab (host) and the agent (guest): frames, and the words in them.
 *
 * Pure: bytes in, structs out. The transport is the virtio-serial port "lab.0"; the guest speaks
 * first (what the host sends before the guest opened its port is dropped by QEMU).
 * A frame is u32 little-endian length of the body, u8 type, body; length <= PROTO_MAX_BODY. Both
 * sides refuse longer ones and unknown types: the peer is untrusted.
 * Bodies are bytes (streams) or words: a sequence of NUL-terminated "key" "value" pairs, keys may
 * repeat (argv, env).
 *
 * One job at a time:
 *	guest HELLO; host FILE/DATA/FILE_END …, JOB; guest STARTED, then STDOUT, STDERR, STRACE,
 *KMSG, TICK as they come; FILE/DATA/FILE_END for declared artefacts; EXIT. The host may send SIGNAL
 *	meanwhile, a further JOB after EXIT, or POWEROFF.
 */
#ifndef VM_PROTO_H
#define VM_PROTO_H

#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

#define PROTO_PORT "lab.0"
enum { PROTO_VERSION = 1, PROTO_MAX_BODY = 1 << 20, PROTO_HEADER = 5, PROTO_TICK_MS = 1000 };

enum proto_type {
	/* guest to host */
	PROTO_HELLO = 1, /* words: version, release (uname -r), machine (uname -m), uptime_ms */
	PROTO_STARTED,	 /* words: pid */
	PROTO_STDOUT,	 /* bytes of the payload's stdout */
	PROTO_STDERR,
	PROTO_STRACE,
	PROTO_KMSG,  /* text of the kernel's log, one or more whole lines */
	PROTO_TICK,  /* empty, every PROTO_TICK_MS while a job runs: the guest schedules */
	PROTO_EXIT,  /* words: exit (0..255) or signal (number); timeout=1 when the agent killed it
			for  its timeout_ms; wall_ms, user_ms, system_ms, max_rss_kib; stdout_seen,
			stderr_seen, strace_seen (bytes, those not sent too); note… (text: what was
			left out and why) */
	PROTO_ERROR, /* text: the agent could not do what was asked (step: reason); the job is over
		      */
	/* both directions: a file, in order FILE, DATA…, FILE_END */
	PROTO_FILE,	/* words: path (path_is_inside()), mode (octal), size (bytes, a hint) */
	PROTO_DATA,	/* bytes */
	PROTO_FILE_END, /* empty */
	/* host to guest */
	PROTO_JOB, /* words: argv…, env… (K=V), cwd (default: where the files went), timeout_ms
		      (0: none), trace (0/1), artefact… (relative to cwd), limit_bytes (of stdout,
		      stderr and the strace log each: beyond it bytes are counted, not sent), seed
		      (hex: entropy for the guest), realtime_ms (sets the guest's clock), hold
		      (0/1: the payload stops itself just before its command is executed, and goes
		      on by SIGNAL with SIGCONT), tty (0/1: on a terminal of its own, whose output
		      comes as STDOUT), rows, columns (of that terminal), stdin (0/1: it reads
		      what comes as STDIN; else, and without tty, nothing) */
	PROTO_SIGNAL, /* words: signal */
	PROTO_POWEROFF,
	PROTO_STDIN,   /* bytes for the payload's terminal or stdin; empty: the end */
	PROTO_WINSIZE, /* words: rows, columns of that terminal */
	PROTO_ASK,     /* empty: is anybody there? */
	PROTO_HERE,    /* guest to host, empty: the answer, after what the kernel had logged */
	PROTO_TYPES
};

/* The header alone, for a body that is in place behind it (PROTO_HEADER bytes are written). */
void proto_put_header(uint8_t *to, enum proto_type type, size_t len);

/* Append one frame to out. len <= PROTO_MAX_BODY (asserted: our own mistake). */
void proto_add_frame(struct buf *out, enum proto_type type, const void *body, size_t len);

/*
 * Look for a whole frame at the start of data. Returns the bytes it occupies (body points into
 * data), 0 when more bytes are needed, -EMSGSIZE (length over the limit) or -EPROTO (type unknown).
 */
ssize_t proto_next_frame(const uint8_t *data, size_t len, enum proto_type *type,
			 const uint8_t **body, size_t *body_len, struct err *err);

/* Append one key and value to a body of words. Neither may hold NUL. */
void proto_add_word(struct buf *body, const char *key, const char *value);
void proto_add_number(struct buf *body, const char *key, int64_t value);

/*
 * Step through words: *pos starts at 0. Returns 1 and the pair, 0 at the end, -EPROTO when the body
 * is not well-formed.
 */
int proto_next_word(const uint8_t *body, size_t len, size_t *pos, const char **key,
		    const char **value);

#endif
