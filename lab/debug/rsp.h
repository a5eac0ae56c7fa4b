/*
 * rsp.h - packets of gdb's remote serial protocol (gdb's manual, appendix E).
 *
 * Pure: bytes in, packets out. Both peers are untrusted: a packet over RSP_MAX_PACKET is an error.
 */
#ifndef LAB_RSP_H
#define LAB_RSP_H

#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { RSP_MAX_PACKET = 1 << 20 };

enum rsp_kind {
	RSP_PACKET,    /* $...#xx */
	RSP_NOTIFY,    /* %...#xx */
	RSP_ACK,       /* + */
	RSP_NAK,       /* - */
	RSP_INTERRUPT, /* 0x03 */
};

struct rsp_item {
	enum rsp_kind kind;
	const char *body; /* of a packet, still escaped, in the caller's buffer; not terminated */
	size_t len;
	bool checksum_ok;
};

/*
 * Look for one item at the start of data. Returns the bytes it occupies, 0 when more are needed,
 * -EMSGSIZE (too long), -EPROTO (none of the above).
 */
ssize_t rsp_next(const char *data, size_t len, struct rsp_item *ret, struct err *err);
/* Append a whole packet with its checksum; body is escaped as needed. */
void rsp_add_packet(struct buf *out, const char *body, size_t len);
/* "E.lab: TEXT", which gdb shows; '.' for the characters that it would not decode there. */
void rsp_add_failure(struct buf *out, const char *text);
/* Append what body means, escapes and run-lengths expanded. -EPROTO, -EMSGSIZE. */
int rsp_decode(const char *body, size_t len, struct buf *out, struct err *err);
/* Whether a client's packet lets the guest go on: c, C, s, S, D, vCont;... with one of them. */
bool rsp_resumes(const char *body, size_t len);

/*
 * Whether QEMU's stub sees where a client's item begins and ends as rsp_next() does: it takes runs
 * apart its own way, and looks for a new packet within what it skips (one of over 4 KiB, a
 * notification, after a wrong digit). No gdb sends such things on a connection that loses nothing.
 */
bool rsp_is_plain(const struct rsp_item *item);
/*
 * Whether a client's packet, decoded, gives QEMU's monitor a command that does more than tell: with
 * others files are written and programs started on the host.
 */
bool rsp_commands_monitor(const char *body);

#endif
