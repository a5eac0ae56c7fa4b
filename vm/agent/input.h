/*
 * input.h - what the payload reads: a pipe that the host fills, or a terminal of its own.
 *
 * The host sends as it likes; what the payload has not read yet waits here. Beyond INPUT_HIGH bytes
 * the channel is not read until the payload has caught up.
 */
#ifndef AGENT_INPUT_H
#define AGENT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { INPUT_HIGH = 256 << 10 };

struct input {
	int fd;	   /* non-blocking: the pipe's end or the terminal's master; -1: closed */
	int slave; /* of a terminal, kept: without any its master reads as hung up */
	bool ended;
	struct buf waiting;
	size_t written; /* bytes of waiting that are gone already */
};

/* The other end is the payload's; both are O_CLOEXEC. */
int input_open_pipe(struct input *in, int *read_end, struct err *err);
/* The payload's end is in->slave. */
int input_open_terminal(struct input *in, uint64_t rows, uint64_t columns, struct err *err);
void input_close(struct input *in);

/* Bytes from the host; none: the end, after what waits. */
void input_add(struct input *in, const uint8_t *data, size_t len);
/* The words of a WINSIZE frame. -EPROTO. */
int input_resize(struct input *in, const uint8_t *words, size_t len, struct err *err);
static inline size_t input_waiting(const struct input *in)
{
	return in->waiting.len - in->written;
}
/* Write what goes without waiting. */
void input_flush(struct input *in);

#endif
