/*
 * notify.h - the listener of a filter: calls come to the supervisor, which answers them.
 *
 * seccomp_unotify(2). Needs Linux 5.5 (SECCOMP_USER_NOTIF_FLAG_CONTINUE). One request at a time is
 * held; whoever made it may be killed or interrupted at any moment, which is no error: the answer
 * then reaches nobody.
 */
#ifndef JAIL_SUPERVISE_NOTIFY_H
#define JAIL_SUPERVISE_NOTIFY_H

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "jail/base/cleanup.h"
#include "jail/base/err.h"

struct notify {
	int fd;			       /* the listener, owned; -1: none */
	struct seccomp_notif *request; /* valid after notify_next() returned 1; pid is a thread's */
	struct seccomp_notif_resp *response;
	size_t request_size, response_size; /* the kernel's may be larger than ours */
};

/* Takes the listener over, whether it succeeds or not. Returns 0 or a negative errno. */
int notify_init(struct notify *n, int listener, struct err *err);
void notify_deinit(struct notify *n);
DEFINE_CLEANUP(notify, notify_deinit)

/*
 * Take the next request; call it when poll(2) says that there is one. Returns 1; 0 when it has
 * vanished meanwhile; or a negative errno.
 */
int notify_next(struct notify *n);
/* Whether whoever made the request still waits for the answer: its pid is then its own. */
bool notify_is_waiting(const struct notify *n);

/* Answers. Each returns whether it reached somebody. */
bool notify_continue(struct notify *n);		      /* the kernel makes the call */
bool notify_return(struct notify *n, int64_t result); /* it was made by us, and gave this */
/*
 * End the whole process by SIGKILL; the call is not made. *process is its pid (not the thread's),
 * whether or not there was somebody to end.
 */
bool notify_kill(struct notify *n, pid_t *process);
/*
 * Give it a copy of our descriptor, close-on-exec like it, and make its number the call's result.
 * Before Linux 5.14 an interrupted call may leave it with a descriptor that it knows nothing of.
 */
bool notify_answer_fd(struct notify *n, int fd);

/*
 * The filtered process hands its listener over through a socket: without memory of its own, by one
 * sendmsg(2) that carries the filter's cookie as sixth argument. Returns 0 or a negative errno.
 */
int notify_send_listener(int socket, int listener, uint64_t cookie);
/*
 * One byte and perhaps a listener from the socket (with SO_PASSCRED): *listener and *sender are set
 * when there was one, else -1. Returns the byte, -EPIPE at the end, or another negative errno.
 */
int notify_receive(int socket, int *listener, pid_t *sender);

#endif
