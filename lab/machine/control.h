/*
 * control.h - what other labs may ask of one that runs a machine: a socket beside the machine's
 * others.
 *
 * One packet of JSON is a request, an object with an "op"; one packet is its answer, an object,
 * with "error" when it failed. The socket is in a private folder: who can connect is this user. The
 * side that runs the machine never waits for an asker: who does not take an answer is hung up on.
 */
#ifndef LAB_CONTROL_H
#define LAB_CONTROL_H

#include <jansson.h>
#include <stdbool.h>

#include "jail/base/cleanup.h"
#include "jail/base/err.h"

enum { CONTROL_MAX = 64 << 10, CONTROL_CLIENTS = 8 };

/* An answer (a new reference); NULL: there is no such op. */
typedef json_t *(*control_fn)(void *data, const char *op, const json_t *request);

struct control {
	int fd; /* poll it for POLLIN; -1: none */
	int listener;
	int clients[CONTROL_CLIENTS]; /* -1: free; the oldest makes room */
	unsigned int next;
	int asking; /* the client that is being answered */
	char *path;
};

int control_open(struct control *c, const char *path, struct err *err);
/* Answer what has been asked; does not wait. */
void control_serve(struct control *c, control_fn answer, void *data);
/* For an answer that takes time: who asked for it has hung up meanwhile (a Ctrl-C, say). */
bool control_asker_left(const struct control *c);
/* Removes the socket and hangs up on everybody: who asked the machine to stop waits for that. */
void control_close(struct control *c);

/* The asker's side. Returns a descriptor, -ESRCH (nobody serves path), or another negative errno.
 */
int control_connect(const char *path, struct err *err);
/*
 * Ask and wait for the answer, a new reference. -ETIMEDOUT, -ESRCH (hung up meanwhile), -EIO with
 * the other lab's own words, -EPROTO.
 */
int control_ask(int fd, const json_t *request, int timeout_ms, json_t **answer, struct err *err);
/* Wait until the other side hangs up. -ETIMEDOUT. */
int control_wait_end(int fd, int timeout_ms);

#endif
