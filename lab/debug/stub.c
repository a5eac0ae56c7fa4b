#include "lab/debug/stub.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "jail/base/io.h"
#include "lab/debug/rsp.h"

enum {
	CHUNK = 16 << 10,
	READ_BYTES = 1024, /* of memory in one packet: QEMU takes 4 KiB of hex */
	XML_BYTES = 2000,  /* of a description in one packet */
	XML_MAX = 1 << 20,
	ANNEXES_MAX = 32,
	OUTPUT_MAX = 4 << 20, /* of the monitor */
	RETRY_NS = 5000000,
};

/* --- packets --- */

static int wait_for(struct stub *s, short events, int64_t deadline, struct err *err)
{
	struct pollfd p = {.fd = s->fd, .events = events};
	int64_t left = deadline - io_now_ms();
	int r = poll(&p, 1, left > 0 ? (int)left : 0);

	if (r < 0 && errno != EINTR)
		return err_errno(err, "wait for the debug stub");
	if (r == 0 && left <= 0)
		return err_set(err, ETIMEDOUT, "the debug stub says nothing");
	return 0;
}

static int send_all(struct stub *s, const char *data, size_t len, int64_t deadline, struct err *err)
{
	while (len) {
		ssize_t n = send(s->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			data += n;
			len -= n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return err_errno(err, "talk to the debug stub");
		if (wait_for(s, POLLOUT, deadline, err) < 0)
			return -err->code;
	}
	return 0;
}

static int receive_more(struct stub *s, int64_t deadline, struct err *err)
{
	ssize_t n;

	buf_reserve(&s->in, CHUNK);
	n = recv(s->fd, s->in.data + s->in.len, CHUNK, MSG_DONTWAIT);
	if (n > 0)
		s->in.len += n;
	else if (n == 0)
		return err_set(err, ECONNRESET, "the debug stub is gone");
	else if (errno == EAGAIN || errno == EINTR)
		return wait_for(s, POLLIN, deadline, err);
	else
		return err_errno(err, "hear the debug stub");
	return 0;
}

static void drop(struct stub *s, size_t n)
{
	memmove(s->in.data, s->in.data + n, s->in.len - n);
	s->in.len -= n;
}

/* The next packet, decoded, in place of what body held. */
static int receive(struct stub *s, struct buf *body, int64_t deadline, struct err *err)
{
	struct rsp_item item;
	ssize_t n;
	int r;

	for (;;) {
		n = rsp_next(s->in.data, s->in.len, &item, err);
		if (n < 0)
			return (int)n;
		if (n == 0) {
			r = receive_more(s, deadline, err);
			if (r < 0)
				return r;
			continue;
		}
		if (item.kind == RSP_PACKET)
			break;
		drop(s, n);
	}
	if (!item.checksum_ok)
		return err_set(err, EPROTO, "the debug stub's packet has a wrong checksum");
	buf_reset(body);
	buf_add(body, "", 0);
	r = rsp_decode(item.body, item.len, body, err);
	drop(s, n);
	return r < 0 ? r : send_all(s, "+", 1, deadline, err);
}

static int request(struct stub *s, const char *text, struct buf *reply, int64_t deadline,
		   struct err *err)
{
	auto_cleanup(buf) out = {0};
	int r;

	rsp_add_packet(&out, text, strlen(text));
	r = send_all(s, out.data, out.len, deadline, err);
	return r < 0 ? r : receive(s, reply, deadline, err);
}

static int64_t soon(void)
{
	return io_now_ms() + STUB_MS;
}

int stub_ask(struct stub *s, const char *text, struct buf *reply, struct err *err)
{
	return request(s, text, reply, soon(), err);
}

/* Hex digits as the bytes they stand for; what follows the last whole byte is left. */
static size_t from_hex(const char *hex, uint8_t *to, size_t max)
{
	unsigned int byte;
	size_t n = 0;
	int used;

	while (n < max && sscanf(hex + 2 * n, "%2x%n", &byte, &used) == 1 && used == 2)
		to[n++] = (uint8_t)byte;
	return n;
}

/* --- the connection --- */

int stub_connect(struct stub *s, const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	auto_cleanup(buf) reply = {0};
	int64_t deadline = soon();
	int r;

	*s = (struct stub){.fd = -1};
	if (fd < 0)
		return err_errno(err, "socket");
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "%s is too long for a socket", path);
	strcpy(addr.sun_path, path);
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		/* QEMU takes one at a time, and another may wait already */
		if (errno != EAGAIN || io_now_ms() > deadline)
			return err_errno(err, "connect to the debug stub %s", path);
		nanosleep(&(struct timespec){.tv_nsec = RETRY_NS}, NULL);
	}
	s->fd = take_fd(fd);
	/* It answers once the guest stands still, having said so if the guest ran: skip to "QC…".
	 */
	r = request(s, "?", &reply, deadline, err);
	if (r == 0)
		r = request(s, "qC", &reply, deadline, err);
	while (r == 0 && !str_starts(reply.data, "QC"))
		r = receive(s, &reply, deadline, err);
	if (r < 0)
		stub_deinit(s);
	return r;
}

int stub_detach(struct stub *s, struct err *err)
{
	auto_cleanup(buf) reply = {0};
	/* ";1" for those with whom the client before agreed on "multiprocess" */
	int r = stub_ask(s, "D;1", &reply, err);

	if (r == 0 && !str_eq(reply.data, "OK"))
		r = err_set(err, EIO, "the debug stub does not let the guest go");
	stub_deinit(s);
	return r;
}

void stub_deinit(struct stub *s)
{
	if (s->fd >= 0)
		close(take_fd(s->fd));
	buf_deinit(&s->in);
	s->in = (struct buf){0};
}

/* --- what it is asked --- */

int stub_read(struct stub *s, uint64_t address, void *to, size_t len, struct err *err)
{
	auto_cleanup(buf) reply = {0};
	char text[64];

	for (size_t done = 0; done < len;) {
		size_t n = len - done < READ_BYTES ? len - done : READ_BYTES;
		int r;

		snprintf(text, sizeof(text), "m%" PRIx64 ",%zx", address + done, n);
		r = stub_ask(s, text, &reply, err);
		if (r < 0)
			return r;
		/* "E14", not bytes */
		if (reply.len != 2 * n || from_hex(reply.data, (uint8_t *)to + done, n) != n)
			return err_set(err, EFAULT, "nothing is mapped at 0x%" PRIx64,
				       address + done);
		done += n;
	}
	return 0;
}

int stub_monitor(struct stub *s, const char *command, struct buf *out, struct err *err)
{
	auto_cleanup(buf) text = {0}, reply = {0};
	int64_t deadline = soon();
	size_t start = out->len;
	int r;

	buf_adds(&text, "qRcmd,");
	for (const char *c = command; *c; c++)
		buf_addf(&text, "%02x", (uint8_t)*c);
	r = request(s, text.data, &reply, deadline, err);
	while (r == 0 && reply.data[0] == 'O' && !str_eq(reply.data, "OK")) {
		size_t n;

		if (out->len - start > OUTPUT_MAX)
			return err_set(err, EMSGSIZE, "the monitor says too much to '%s'", command);
		buf_reserve(out, reply.len / 2);
		n = from_hex(reply.data + 1, (uint8_t *)out->data + out->len, reply.len / 2);
		out->len += n;
		out->data[out->len] = 0;
		r = receive(s, &reply, deadline, err);
	}
	if (r == 0 && !str_eq(reply.data, "OK"))
		return err_set(err, EIO, "the debug stub takes no monitor's command ('%s': %.40s)",
			       command, reply.data);
	return r;
}

/* A file of the target's description. */
static int read_annex(struct stub *s, const char *annex, struct buf *out, struct err *err)
{
	auto_cleanup(buf) reply = {0};
	char text[200];
	int r;

	do {
		if (snprintf(text, sizeof(text), "qXfer:features:read:%s:%zx,%x", annex, out->len,
			     XML_BYTES) >= (int)sizeof(text) ||
		    out->len > XML_MAX)
			return err_set(err, EMSGSIZE, "the target's description is too long");
		r = stub_ask(s, text, &reply, err);
		if (r < 0)
			return r;
		if (reply.data[0] != 'm' && reply.data[0] != 'l')
			return err_set(err, ENOENT, "the debug stub does not describe its target");
		buf_add(out, reply.data + 1, reply.len - 1);
	} while (reply.data[0] == 'm' && reply.len > 1);
	return 0;
}

/* ATTRIBUTE="VALUE" of the element that starts at tag; its length, or -1. */
static int attribute(const char *tag, const char *name, const char **value)
{
	const char *end = strchr(tag, '>'), *at;
	auto_free char *key = str_printf(" %s=\"", name);
	size_t n;

	at = strstr(tag, key);
	if (!end || !at || at > end)
		return -1;
	*value = at + strlen(key);
	n = strcspn(*value, "\"");
	return n > 100 ? -1 : (int)n;
}

/* Registers are numbered from one to the next unless the description says another number. */
static bool find_register(const char *xml, const char *name, uint64_t *number)
{
	const char *tag = xml, *value;
	int n;

	while ((tag = strstr(tag, "<reg "))) {
		n = attribute(tag, "regnum", &value);
		if (n > 0)
			*number = strtoull(value, NULL, 10);
		n = attribute(tag, "name", &value);
		if (n == (int)strlen(name) && strncmp(value, name, n) == 0)
			return true;
		++*number;
		tag++;
	}
	return false;
}

int stub_register_number(struct stub *s, const char *name, uint64_t *ret, struct err *err)
{
	auto_cleanup(buf) target = {0};
	const char *include, *href;
	int r = read_annex(s, "target.xml", &target, err), n;

	*ret = 0;
	if (r < 0)
		return r;
	include = target.data;
	for (int i = 0; i < ANNEXES_MAX && (include = strstr(include, "<xi:include ")); i++) {
		auto_cleanup(buf) xml = {0};
		auto_free char *annex = NULL;

		n = attribute(include++, "href", &href);
		if (n <= 0)
			continue;
		annex = xstrndup(href, n);
		r = read_annex(s, annex, &xml, err);
		if (r < 0)
			return r;
		if (find_register(xml.data, name, ret))
			return 0;
	}
	return err_set(err, ENOENT, "the debug stub knows no register '%s'", name);
}

/* Its value is in the target's order of bytes: both are little-endian. */
int stub_register(struct stub *s, uint64_t number, uint64_t *ret, struct err *err)
{
	auto_cleanup(buf) reply = {0};
	uint8_t bytes[8] = {0};
	uint64_t value = 0;
	char text[32];
	int r;

	snprintf(text, sizeof(text), "p%" PRIx64, number);
	r = stub_ask(s, text, &reply, err);
	if (r < 0)
		return r;
	if (from_hex(reply.data, bytes, sizeof(bytes)) < 4)
		return err_set(err, ENOENT, "the debug stub does not tell register %" PRIu64,
			       number);
	for (size_t i = sizeof(bytes); i-- > 0;)
		value = value << 8 | bytes[i];
	*ret = value;
	return 0;
}
