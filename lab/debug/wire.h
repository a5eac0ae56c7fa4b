/*
 * wire.h - bytes to and from a peer on a socket, of which none is waited for.
 */
#ifndef LAB_WIRE_H
#define LAB_WIRE_H

#include <stdbool.h>

#include "jail/base/str.h"

/* Bytes on their way to a peer. */
struct wire_out {
	struct buf data;
	size_t sent;
};

bool wire_pending(const struct wire_out *o);
void wire_forget(struct wire_out *o);
/* Send what goes without waiting. Returns 0, or -EPIPE when the peer is gone. */
int wire_push(int fd, struct wire_out *o);
/* Take in what is there. Returns 0, or -EPIPE when the peer is gone. */
int wire_pull(int fd, struct buf *in);
/* Forget the first n bytes. */
void wire_drop(struct buf *in, size_t n);

#endif
