/*
 * channel.h - the agent's end of the virtio-serial port: frames out of a bounded buffer, frames in.
 *
 * When the host hangs up there is nobody to work for: the machine is powered off at once.
 * In a machine that is recorded there is no port: the frames that come in are in a file of the
 * image, and those that go out leave by the serial console (vm/serial.h).
 */
#ifndef AGENT_CHANNEL_H
#define AGENT_CHANNEL_H

#include "vm/proto.h"

/* Beyond OUT_HIGH bytes waiting to be sent, the sources of streams are not read. */
enum { CHANNEL_OUT_HIGH = 512 << 10, CHANNEL_CHUNK = 64 << 10 };

struct channel {
	int fd;
	struct buf out, in;
	size_t sent; /* bytes of out that are gone already */
	bool serial; /* no port */
	uint16_t packets;
};

/* To be called before the driver is loaded: a socket that hears of new devices (uevents). */
int channel_listen(struct err *err);
/* Wait (at most 20 s) for the port named PROTO_PORT; returns it open and non-blocking once the host
 * is there and has been sent the hello frame. */
int channel_open(struct channel *c, int uevents, const struct buf *hello, struct err *err);
/*
 * Without a port: take in the file CHANNEL_JOB and remove it, and send hello over the console.
 * Returns whether there is such a file, or a negative errno.
 */
#define CHANNEL_JOB "/lab-job"
int channel_open_serial(struct channel *c, const struct buf *hello, struct err *err);

void channel_send(struct channel *c, enum proto_type type, const void *body, size_t len);
/* Read at most CHANNEL_CHUNK and max bytes of fd into one frame. As read(2), -errno. */
ssize_t channel_send_from(struct channel *c, enum proto_type type, int fd, size_t max);

static inline size_t channel_waiting(const struct channel *c)
{
	return c->out.len - c->sent;
}
/* Send what goes without waiting. */
void channel_flush(struct channel *c);
/* Send until at most `below` bytes wait; gives up after timeout_ms (-ETIMEDOUT). */
int channel_drain(struct channel *c, size_t below, int timeout_ms);
/* Receive what is there. */
void channel_receive(struct channel *c);
/* The next whole frame; it is valid until channel_consume(). As proto_next_frame(). */
ssize_t channel_next(struct channel *c, enum proto_type *type, const uint8_t **body, size_t *len,
		     struct err *err);
void channel_consume(struct channel *c, size_t n);

#endif
