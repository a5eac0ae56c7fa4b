/*
 * relay.h - where gdbs attach to a machine: between them and QEMU's debug stub.
 *
 * A thread of its own. It takes one client at a time from a unix socket or a TCP port; a second one
 * is answered with an error that names the first, and hung up on. QEMU's stub is opened when the
 * first client comes. The stub's own words pass through unchanged, but for what QEMU cannot know:
 *   qOffsets   answered with the slide of KASLR (as TextSeg), so that any gdb that has the vmlinux
 *		loaded relocates it by itself (gdb's manual, "General Query Packets"). Asked again
 *		after a failure ("E.lab: why", which gdb shows) the slide is looked for again.
 *   k, vKill	kept from QEMU, which would end at once: relay_killed() tells who runs the machine
 *   qRcmd	over TCP, where a client may be another user: QEMU's monitor has "info" only
 * A client that goes without detaching (killed, say) is detached on its behalf: break points are
 * removed and the guest goes on. What a client sends is untrusted, and so is what it is told.
 */
#ifndef LAB_RELAY_H
#define LAB_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "lab/debug/slide.h"

struct relay_options {
	const char *listen; /* as listen_on() takes it (listen.h) */
	enum arch arch;
	void *data; /* of the callbacks, which run in the relay's thread */
	/* Have QEMU's stub listen, and say on which unix socket (allocated). */
	int (*open_stub)(void *data, char **path, struct err *err);
	/* Called once, for the first qOffsets; a failure is what gdb is told instead of a slide. */
	int (*addresses)(void *data, struct link_addresses *ret, struct err *err);
	/*
	 * Of a replay, NULL otherwise: whether the guest stands where its log ends. Asked before a
	 * client lets it go on, who is told of that end instead ("replaylog:end"), and when it has
	 * stopped by itself.
	 */
	bool (*at_end)(void *data);
	bool nokaslr; /* the guest was told not to move: the slide is 0 */
};

struct relay;

/* As listen_on(): -EADDRINUSE (the text says who holds it), -EINVAL, -ENAMETOOLONG, … */
int relay_start(const struct relay_options *options, struct relay **ret, struct err *err);
/*
 * Hangs up on who is attached, with the guest going on; bounded by STUB_MS, at once when QEMU is
 * gone. The listening socket is removed. NULL is fine.
 */
void relay_stop(struct relay *r);

/* What to give to gdb's "target remote": the path, or HOST:PORT with the port really taken. */
const char *relay_address(const struct relay *r);
/* These may be asked from any thread. */
bool relay_attached(const struct relay *r);
/* A client waits for the guest to stop, whichever way it goes. */
bool relay_running(const struct relay *r);
/*
 * How often a client has let the guest go on (continue, step, detach, and by going away) since
 * relay_start().
 */
unsigned int relay_resumed(const struct relay *r);
/* A client wants the machine to end ("kill"). */
bool relay_killed(const struct relay *r);
/* Becomes readable when one of these changes (eventfd; read it to clear). */
int relay_event_fd(const struct relay *r);
/* Stop the guest as Ctrl-C in gdb would, if a client is attached and waits for it. */
void relay_interrupt(struct relay *r);
/* The guest's work is done and its machine about to end: tell a client that waits for it. */
void relay_ended(struct relay *r);

#endif
