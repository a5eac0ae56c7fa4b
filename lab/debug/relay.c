#include "lab/debug/relay.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/debug/listen.h"
#include "lab/debug/rsp.h"
#include "lab/debug/stub.h"
#include "lab/debug/wire.h"

enum {
	UNREAD_MAX = 32 << 20, /* what a client has not read yet; beyond it is hung up on */
	REFUSED_MAX = 8,       /* clients that are being told why they cannot attach */
	REFUSED_MS = 3000,
	FAREWELL_MS = 1000, /* for a client to hear that the guest has ended, and to hang up */
};

/* gdb's manual, "Stop Reply Packets" */
#define LOG_ENDS "T05thread:01;replaylog:end;"

struct refused {
	int fd; /* 0: a free place */
	int64_t deadline;
	struct buf in;
	char *why; /* NULL: told */
};

struct relay {
	struct relay_options o;
	char *address;
	int listen_fd, wake_fd, event_fd;
	pthread_t thread;
	atomic_bool stop, interrupt, ended, attached, killed;
	atomic_bool running; /* the guest, as far as the client knows */
	atomic_uint resumed;

	/* the thread's own from here on */
	char *stub_path; /* NULL: QEMU's stub was not opened yet */
	struct stub stub;
	int client; /* -1: none */
	pid_t peer;
	struct buf in;
	struct wire_out out, to_stub;
	unsigned int own_answers; /* the client's acknowledgements of these are not for the stub */
	bool detaching;		  /* the client asked for it; the stub may refuse */
	bool detached;
	bool asked_link, have_link, have_slide;
	struct err no_link;
	struct link_addresses link;
	uint64_t slide;
	struct refused refused[REFUSED_MAX];
};

static void tell(struct relay *r)
{
	eventfd_write(r->event_fd, 1);
}

static void count_resume(struct relay *r)
{
	atomic_fetch_add(&r->resumed, 1);
	tell(r);
}

/* --- clients that cannot be served --- */

static void refused_end(struct refused *f)
{
	close(f->fd);
	buf_deinit(&f->in);
	free(f->why);
	*f = (struct refused){0};
}

/* It has to ask something before it can be told; takes both. */
static void refuse(struct relay *r, int fd, char *why)
{
	for (size_t i = 0; i < REFUSED_MAX; i++)
		if (!r->refused[i].fd) {
			r->refused[i] = (struct refused){
				.fd = fd, .deadline = io_now_ms() + REFUSED_MS, .why = why};
			return;
		}
	close(fd);
	free(why);
}

static void serve_refused(struct refused *f)
{
	struct rsp_item item;
	ssize_t n;

	if (wire_pull(f->fd, &f->in) < 0) {
		refused_end(f);
		return;
	}
	while ((n = rsp_next(f->in.data, f->in.len, &item, NULL)) > 0) {
		if (item.kind == RSP_PACKET && f->why) {
			auto_cleanup(buf) out = {0};

			buf_adds(&out, "+");
			rsp_add_failure(&out, f->why);
			send(f->fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
			/* not closed before the other side has read it and hangs up */
			shutdown(f->fd, SHUT_WR);
			free(take_ptr(f->why));
		}
		wire_drop(&f->in, n);
	}
	if (n < 0)
		refused_end(f);
}

/* --- the client --- */

/* Every byte for the stub, with some patience: half a packet would spoil the next one's. */
static void flush_to_stub(struct relay *r)
{
	int64_t deadline = io_now_ms() + STUB_MS;

	while (wire_push(r->stub.fd, &r->to_stub) == 0 && wire_pending(&r->to_stub) &&
	       io_now_ms() < deadline) {
		struct pollfd p = {.fd = r->stub.fd, .events = POLLOUT};

		poll(&p, 1, STUB_MS);
	}
}

/*
 * QEMU keeps break points, and the guest as it is, when its client only hangs up. On a fresh
 * connection nothing is on its way that the old client had asked for.
 */
static void detach_for_client(struct relay *r)
{
	flush_to_stub(r);
	stub_deinit(&r->stub);
	if (stub_connect(&r->stub, r->stub_path, NULL) == 0)
		stub_detach(&r->stub, NULL);
	count_resume(r);
}

static void client_gone(struct relay *r)
{
	if (r->stub.fd >= 0 && !r->detached)
		detach_for_client(r);
	stub_deinit(&r->stub);
	close(take_fd(r->client));
	buf_deinit(&r->in);
	r->in = (struct buf){0};
	wire_forget(&r->out);
	wire_forget(&r->to_stub);
	atomic_store(&r->attached, false);
	tell(r);
}

static int open_stub(struct relay *r, struct err *err)
{
	int e = 0;

	if (!r->stub_path)
		e = r->o.open_stub(r->o.data, &r->stub_path, err);
	return e < 0 ? e : stub_connect(&r->stub, r->stub_path, err);
}

static void take_client(struct relay *r)
{
	int fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct err err = {0};

	if (fd < 0)
		return;
	if (r->client >= 0) {
		refuse(r, fd,
		       r->peer > 0 ? str_printf("another gdb is attached (process %d); it has to "
						"detach first",
						(int)r->peer)
				   : xstrdup("another gdb is attached; it has to detach first"));
		return;
	}
	atomic_store(&r->attached, true);
	if (open_stub(r, &err) < 0) {
		atomic_store(&r->attached, false);
		refuse(r, fd, xstrdup(err.msg));
		return;
	}
	r->client = fd;
	r->peer = listen_peer(fd);
	r->own_answers = 0;
	r->running = r->detaching = r->detached = false;
	tell(r);
}

static void answer(struct relay *r, const char *body)
{
	buf_adds(&r->out.data, "+");
	rsp_add_packet(&r->out.data, body, strlen(body));
	r->own_answers++;
}

static int find_slide(struct relay *r, struct err *err)
{
	int e;

	if (!r->asked_link) {
		r->asked_link = true;
		r->have_link = r->o.addresses(r->o.data, &r->link, &r->no_link) == 0;
	}
	if (!r->have_link)
		return err_set(err, ENODATA, "the kernel's slide is not known: %s", r->no_link.msg);
	if (r->have_slide || r->o.nokaslr)
		return 0;
	flush_to_stub(r);
	e = slide_find(&r->stub, r->o.arch, &r->link, &r->slide, err);
	if (e < 0)
		return err_wrap(err, "the kernel's slide is not known");
	r->have_slide = true;
	return 0;
}

static void answer_offsets(struct relay *r)
{
	struct err err = {0};
	char text[64];

	if (find_slide(r, &err) == 0) {
		snprintf(text, sizeof(text), "TextSeg=%" PRIx64, r->link.base + r->slide);
		answer(r, text);
		return;
	}
	buf_adds(&r->out.data, "+");
	rsp_add_failure(&r->out.data, err.msg);
	r->own_answers++;
}

/* What gdb prints is hex. */
static void answer_monitor(struct relay *r)
{
	auto_cleanup(buf) hex = {0};

	buf_adds(&hex, "O");
	for (const char *c = "lab: over TCP QEMU's monitor has 'info' only\n"; *c; c++)
		buf_addf(&hex, "%02x", (uint8_t)*c);
	answer(r, hex.data);
	rsp_add_packet(&r->out.data, "OK", 2);
	r->own_answers++;
}

static bool no_further(const struct relay *r, const struct buf *body)
{
	return r->o.at_end && body->data[0] != 'D' && rsp_resumes(body->data, body->len) &&
	       r->o.at_end(r->o.data);
}

/* Whether it was ours to answer. */
static bool answered(struct relay *r, const struct buf *packet)
{
	const char *body = packet->data;

	if (str_eq(body, "qOffsets")) {
		answer_offsets(r);
	} else if (r->address[0] != '/' && rsp_commands_monitor(body)) {
		answer_monitor(r);
	} else if (str_eq(body, "k") || str_starts(body, "vKill")) {
		if (body[1])
			answer(r, "OK");
		r->detached = true;
		atomic_store(&r->killed, true);
		tell(r);
	} else if (no_further(r, packet)) {
		answer(r, LOG_ENDS);
	} else {
		return false;
	}
	return true;
}

/* Returns 0, or -EPROTO: not to be served any more. */
static int from_client(struct relay *r, const struct rsp_item *item, size_t len)
{
	auto_cleanup(buf) body = {0};

	if (!rsp_is_plain(item))
		return -EPROTO;
	/* a gdb that grew impatient (2 s) while the slide was looked for says '-' */
	if ((item->kind == RSP_ACK || item->kind == RSP_NAK) && r->own_answers) {
		r->own_answers -= item->kind == RSP_ACK;
		return 0;
	}
	if (item->kind == RSP_PACKET) {
		buf_add(&body, "", 0);
		if (rsp_decode(item->body, item->len, &body, NULL) < 0)
			return -EPROTO;
		if (answered(r, &body))
			return 0;
		r->detached = false;
		r->detaching = body.data[0] == 'D';
		if (!r->detaching && rsp_resumes(body.data, body.len)) {
			r->running = true;
			count_resume(r);
		} else if (str_eq(body.data, "bc") || str_eq(body.data, "bs")) {
			r->running = true; /* back, in a replay */
		}
	}
	buf_add(&r->to_stub.data, r->in.data, len);
	return 0;
}

static int serve_client(struct relay *r)
{
	struct rsp_item item;
	ssize_t n;

	if (wire_pull(r->client, &r->in) < 0)
		return -EPIPE;
	while ((n = rsp_next(r->in.data, r->in.len, &item, NULL)) > 0) {
		if (from_client(r, &item, n) < 0)
			return -EPIPE;
		wire_drop(&r->in, n);
	}
	return n < 0 || wire_push(r->stub.fd, &r->to_stub) < 0 ? -EPIPE : 0;
}

/* --- the stub --- */

static void note_answer(struct relay *r, const struct rsp_item *item)
{
	if (item->len && strchr("TSWX", item->body[0]))
		r->running = false;
	if (r->detaching && item->len == 2 && memcmp(item->body, "OK", 2) == 0) {
		r->detached = true;
		count_resume(r);
	}
	r->detaching = false;
}

static int serve_stub(struct relay *r)
{
	struct rsp_item item;
	ssize_t n;
	int gone = wire_pull(r->stub.fd, &r->stub.in);

	while ((n = rsp_next(r->stub.in.data, r->stub.in.len, &item, NULL)) > 0) {
		if (item.kind == RSP_PACKET)
			note_answer(r, &item);
		/* stopped by nobody's break point: QEMU says SIGINT */
		if (item.kind == RSP_PACKET && item.len >= 3 && memcmp(item.body, "T02", 3) == 0 &&
		    r->o.at_end && r->o.at_end(r->o.data))
			rsp_add_packet(&r->out.data, LOG_ENDS, strlen(LOG_ENDS));
		else
			buf_add(&r->out.data, r->stub.in.data, n);
		wire_drop(&r->stub.in, n);
	}
	return n < 0 || r->out.data.len - r->out.sent > UNREAD_MAX ? -EMSGSIZE : gone;
}

/* QEMU is gone: nothing is left to detach from. */
static void stub_gone(struct relay *r)
{
	wire_push(r->client, &r->out);
	stub_deinit(&r->stub);
	client_gone(r);
}

/* --- the loop --- */

enum { WAKE, LISTEN, CLIENT, STUB, REFUSED, FDS = REFUSED + REFUSED_MAX };

static void prepare(struct relay *r, struct pollfd *fds)
{
	bool full = wire_pending(&r->out) || wire_pending(&r->to_stub);

	fds[WAKE] = (struct pollfd){.fd = r->wake_fd, .events = POLLIN};
	fds[LISTEN] = (struct pollfd){.fd = r->listen_fd, .events = POLLIN};
	/* who does not read is not listened to, so that answers do not pile up */
	fds[CLIENT] = (struct pollfd){.fd = r->client, .events = full ? 0 : POLLIN};
	if (wire_pending(&r->out))
		fds[CLIENT].events |= POLLOUT;
	fds[STUB] = (struct pollfd){.fd = r->stub.fd, .events = POLLIN};
	if (wire_pending(&r->to_stub))
		fds[STUB].events |= POLLOUT;
	for (size_t i = 0; i < REFUSED_MAX; i++)
		fds[REFUSED + i] = (struct pollfd){.fd = r->refused[i].fd ? r->refused[i].fd : -1,
						   .events = POLLIN};
}

static void serve(struct relay *r, const struct pollfd *fds)
{
	int e = r->client >= 0 && fds[STUB].revents ? serve_stub(r) : 0;

	if (e == -EPIPE || (r->client >= 0 && wire_push(r->stub.fd, &r->to_stub) < 0))
		stub_gone(r);
	else if (e < 0)
		client_gone(r);
	if (r->client >= 0 &&
	    ((fds[CLIENT].revents & POLLIN && serve_client(r) < 0) ||
	     (fds[CLIENT].revents & (POLLHUP | POLLERR) && !(fds[CLIENT].revents & POLLIN)) ||
	     wire_push(r->client, &r->out) < 0))
		client_gone(r);
	for (size_t i = 0; i < REFUSED_MAX; i++)
		if (r->refused[i].fd && io_now_ms() > r->refused[i].deadline)
			refused_end(&r->refused[i]);
		else if (r->refused[i].fd && fds[REFUSED + i].revents)
			serve_refused(&r->refused[i]);
	/* last: its descriptors were not polled for */
	if (fds[LISTEN].revents)
		take_client(r);
}

static bool somebody_refused(const struct relay *r)
{
	for (size_t i = 0; i < REFUSED_MAX; i++)
		if (r->refused[i].fd)
			return true;
	return false;
}

/*
 * gdb takes it for the end of its process, and not for a failure: what it was told to do next goes
 * on. It acknowledges, and hangs up.
 */
static void say_ended(struct relay *r)
{
	int64_t deadline = io_now_ms() + FAREWELL_MS, left;
	struct pollfd p = {.fd = r->client, .events = POLLIN};

	rsp_add_packet(&r->out.data, "W00", 3);
	r->running = false;
	r->detached = true;
	while (wire_push(r->client, &r->out) == 0 && (left = deadline - io_now_ms()) > 0 &&
	       poll(&p, 1, (int)left) >= 0 && wire_pull(r->client, &r->in) == 0)
		buf_reset(&r->in);
}

static void *run(void *data)
{
	struct relay *r = data;
	struct pollfd fds[FDS];
	eventfd_t ignored;

	while (!atomic_load(&r->stop)) {
		prepare(r, fds);
		if (poll(fds, FDS, somebody_refused(r) ? REFUSED_MS : -1) < 0)
			continue;
		if (fds[WAKE].revents)
			eventfd_read(r->wake_fd, &ignored);
		if (atomic_exchange(&r->interrupt, false) && r->client >= 0 && r->running)
			buf_add(&r->to_stub.data, "\3", 1);
		if (atomic_exchange(&r->ended, false) && r->client >= 0 && r->running)
			say_ended(r);
		serve(r, fds);
	}
	if (r->client >= 0)
		client_gone(r);
	return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct relay *r, struct err *err)
{
	sigset_t all, old;
	int e;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	e = pthread_create(&r->thread, NULL, run, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return e ? err_set(err, e, "start a thread: %s", strerror(e)) : 0;
}

static void relay_free(struct relay *r)
{
	for (size_t i = 0; i < REFUSED_MAX; i++)
		if (r->refused[i].fd)
			refused_end(&r->refused[i]);
	if (r->listen_fd >= 0 && r->address[0] == '/')
		unlink(r->address);
	cleanup_close(&r->listen_fd);
	cleanup_close(&r->wake_fd);
	cleanup_close(&r->event_fd);
	stub_deinit(&r->stub);
	free(r->stub_path);
	free(r->address);
	free(r);
}

int relay_start(const struct relay_options *options, struct relay **ret, struct err *err)
{
	struct relay *r = xcalloc(1, sizeof(*r));
	int e = 0;

	r->o = *options;
	r->client = r->stub.fd = -1;
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->listen_fd = -1;
	if (r->wake_fd < 0 || r->event_fd < 0)
		e = err_errno(err, "eventfd");
	if (e == 0)
		e = listen_on(options->listen, &r->address, err);
	if (e >= 0) {
		r->listen_fd = e;
		e = start_thread(r, err);
	}
	if (e < 0) {
		relay_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

void relay_stop(struct relay *r)
{
	if (!r)
		return;
	atomic_store(&r->stop, true);
	eventfd_write(r->wake_fd, 1);
	pthread_join(r->thread, NULL);
	relay_free(r);
}

const char *relay_address(const struct relay *r)
{
	return r->address;
}

bool relay_attached(const struct relay *r)
{
	return atomic_load(&r->attached);
}

unsigned int relay_resumed(const struct relay *r)
{
	return atomic_load(&r->resumed);
}

bool relay_running(const struct relay *r)
{
	return atomic_load(&r->running);
}

bool relay_killed(const struct relay *r)
{
	return atomic_load(&r->killed);
}

int relay_event_fd(const struct relay *r)
{
	return r->event_fd;
}

void relay_ended(struct relay *r)
{
	atomic_store(&r->ended, true);
	eventfd_write(r->wake_fd, 1);
}

void relay_interrupt(struct relay *r)
{
	atomic_store(&r->interrupt, true);
	eventfd_write(r->wake_fd, 1);
}
