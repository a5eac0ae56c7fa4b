#include "vm/agent/channel.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "jail/base/io.h"
#include "vm/agent/setup.h"
#include "vm/serial.h"

enum { PORT_WAIT_MS = 20000, JOB_MAX = 256 << 20 };

int channel_listen(struct err *err)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = 1};
	auto_close int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				   NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_errno(err, "listen for devices");
	return take_fd(fd);
}

/* Whether /sys/class/virtio-ports/DEVICE is our port. */
static bool port_is_ours(int ports, const char *device)
{
	auto_free char *path = str_printf("%s/name", device);
	auto_cleanup(buf) name = {0};

	if (io_read_file(ports, path, 256, &name, NULL) < 0)
		return false;
	return str_eq(name.data, PROTO_PORT "\n") || str_eq(name.data, PROTO_PORT);
}

static int find_port(void)
{
	auto_closedir DIR *d = opendir("/sys/class/virtio-ports");
	struct dirent *e;

	if (!d)
		return -ENOENT;
	while ((e = readdir(d))) {
		auto_free char *dev = str_printf("/dev/%s", e->d_name);
		int fd;

		if (e->d_name[0] == '.' || !port_is_ours(dirfd(d), e->d_name))
			continue;
		fd = open(dev, O_RDWR | O_CLOEXEC | O_NOCTTY);
		return fd < 0 ? -errno : fd;
	}
	return -ENOENT;
}

/* A port's name comes in a message of its own, after the port: look again at every uevent. */
static int wait_for_port(int uevents)
{
	int64_t until = io_now_ms() + PORT_WAIT_MS, left;
	int fd;

	while ((fd = find_port()) == -ENOENT && (left = until - io_now_ms()) > 0) {
		struct pollfd p = {.fd = uevents, .events = POLLIN};
		char text[4096];

		/* without the socket (uevents < 0) this is a look every 20 ms */
		poll(&p, 1, uevents >= 0 ? (int)left : 20);
		while (uevents >= 0 && recv(uevents, text, sizeof(text), 0) > 0)
			;
	}
	return fd;
}

int channel_open(struct channel *c, int uevents, const struct buf *hello, struct err *err)
{
	int r;

	c->fd = wait_for_port(uevents);
	if (c->fd < 0)
		return err_set(err, -c->fd, "open port %s: %s", PROTO_PORT, strerror(-c->fd));
	/* a blocking write waits for the host to connect; only from then on POLLHUP means it left
	 */
	r = io_write_all(c->fd, hello->data, hello->len);
	if (r < 0)
		return err_set(err, -r, "say hello on %s: %s", PROTO_PORT, strerror(-r));
	if (fcntl(c->fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_errno(err, "port %s", PROTO_PORT);
	return 0;
}

int channel_open_serial(struct channel *c, const struct buf *hello, struct err *err)
{
	int r = access(CHANNEL_JOB, F_OK) < 0 ? 0 : 1;

	if (r == 0)
		return 0;
	if (io_read_file(AT_FDCWD, CHANNEL_JOB, JOB_MAX, &c->in, err) < 0)
		return -err->code;
	unlink(CHANNEL_JOB);
	c->fd = open("/dev/console", O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (c->fd < 0)
		return err_errno(err, "open the console");
	c->serial = true;
	buf_add(&c->out, hello->data, hello->len);
	channel_flush(c);
	return r;
}

static void make_room(struct channel *c)
{
	if (c->sent == c->out.len) {
		c->sent = 0;
		buf_reset(&c->out);
	} else if (c->sent >= CHANNEL_OUT_HIGH) {
		memmove(c->out.data, c->out.data + c->sent, c->out.len - c->sent);
		c->out.len -= c->sent;
		c->sent = 0;
	}
}

void channel_send(struct channel *c, enum proto_type type, const void *body, size_t len)
{
	make_room(c);
	proto_add_frame(&c->out, type, body, len);
}

ssize_t channel_send_from(struct channel *c, enum proto_type type, int fd, size_t max)
{
	uint8_t *frame;
	ssize_t n;

	make_room(c);
	buf_reserve(&c->out, PROTO_HEADER + CHANNEL_CHUNK);
	frame = (uint8_t *)c->out.data + c->out.len;
	n = read(fd, frame + PROTO_HEADER, max < CHANNEL_CHUNK ? max : CHANNEL_CHUNK);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	proto_put_header(frame, type, n);
	c->out.len += PROTO_HEADER + n;
	return n;
}

/* All of it: whoever writes waits, as there is no way to be told to. */
static void flush_serial(struct channel *c)
{
	auto_cleanup(buf) packets = {0};

	serial_encode(&packets, &c->packets, c->out.data + c->sent, c->out.len - c->sent);
	io_write_all(c->fd, packets.data, packets.len);
	c->sent = c->out.len;
}

void channel_flush(struct channel *c)
{
	if (c->serial)
		flush_serial(c);
	while (c->sent < c->out.len) {
		ssize_t n = write(c->fd, c->out.data + c->sent, c->out.len - c->sent);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			power_off();
		c->sent += n;
	}
	make_room(c);
}

int channel_drain(struct channel *c, size_t below, int timeout_ms)
{
	int64_t until = io_now_ms() + timeout_ms, left;

	for (channel_flush(c); channel_waiting(c) > below; channel_flush(c)) {
		struct pollfd p = {.fd = c->fd, .events = POLLOUT};

		left = until - io_now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)left) > 0 && p.revents & (POLLHUP | POLLERR))
			power_off();
	}
	return 0;
}

void channel_receive(struct channel *c)
{
	ssize_t n;

	buf_reserve(&c->in, CHANNEL_CHUNK);
	n = read(c->fd, c->in.data + c->in.len, CHANNEL_CHUNK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) /* 0: the host is not connected any more */
		power_off();
	c->in.len += n;
}

ssize_t channel_next(struct channel *c, enum proto_type *type, const uint8_t **body, size_t *len,
		     struct err *err)
{
	return proto_next_frame((const uint8_t *)c->in.data, c->in.len, type, body, len, err);
}

void channel_consume(struct channel *c, size_t n)
{
	memmove(c->in.data, c->in.data + n, c->in.len - n);
	c->in.len -= n;
}
