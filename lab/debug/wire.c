#include "lab/debug/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { CHUNK = 64 << 10 };

bool wire_pending(const struct wire_out *o)
{
	return o->sent < o->data.len;
}

void wire_forget(struct wire_out *o)
{
	buf_deinit(&o->data);
	*o = (struct wire_out){0};
}

int wire_push(int fd, struct wire_out *o)
{
	while (wire_pending(o)) {
		ssize_t n = send(fd, o->data.data + o->sent, o->data.len - o->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -EPIPE;
		o->sent += n;
	}
	buf_reset(&o->data);
	o->sent = 0;
	return 0;
}

int wire_pull(int fd, struct buf *in)
{
	ssize_t n;

	buf_reserve(in, CHUNK);
	n = recv(fd, in->data + in->len, CHUNK, MSG_DONTWAIT);
	if (n > 0)
		in->len += n;
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) ? -EPIPE : 0;
}

void wire_drop(struct buf *in, size_t n)
{
	memmove(in->data, in->data + n, in->len - n);
	in->len -= n;
}
