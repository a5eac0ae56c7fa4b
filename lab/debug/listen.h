/*
 * listen.h - a place where gdbs connect to: a unix socket or a TCP port; and who holds one.
 */
#ifndef LAB_LISTEN_H
#define LAB_LISTEN_H

#include <sys/types.h>

#include "jail/base/err.h"

/*
 * where: "/PATH" or "unix:/PATH" (made with mode 0600; one that nobody listens on is replaced),
 * "HOST:PORT", ":PORT" or "PORT" (loopback unless HOST says otherwise; port 0: any that is free).
 * Returns a descriptor that does not block, with *address what gdb is to connect to (allocated), or
 * -EADDRINUSE (the text says who has it, where that can be found out), -EINVAL (no such form),
 * -ENAMETOOLONG, or what the kernel said.
 */
int listen_on(const char *where, char **address, struct err *err);

/* The process at the other end of a connected unix socket; -1: not known (TCP). */
pid_t listen_peer(int fd);

#endif
