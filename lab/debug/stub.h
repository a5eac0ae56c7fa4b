/*
 * stub.h - a small client of a debug stub: what lab itself asks a stopped guest.
 *
 * The stub is QEMU's, on a unix socket; connecting stops the guest, stub_detach() lets it go on. No
 * call waits longer than STUB_MS.
 */
#ifndef LAB_STUB_H
#define LAB_STUB_H

#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { STUB_MS = 5000 };

struct stub {
	int fd;
	struct buf in;
};

int stub_connect(struct stub *s, const char *path, struct err *err);
/* Break points are removed and the guest goes on; the connection is closed. */
int stub_detach(struct stub *s, struct err *err);
void stub_deinit(struct stub *s); /* closes; the guest stays as it is */
DEFINE_CLEANUP(stub, stub_deinit)

/* Guest's virtual memory. -EFAULT: not mapped there. */
int stub_read(struct stub *s, uint64_t address, void *to, size_t len, struct err *err);
/* A command of QEMU's monitor ("info registers"); its output is appended to out. */
int stub_monitor(struct stub *s, const char *command, struct buf *out, struct err *err);
/* A register by its name in the target's description, "VBAR" say. -ENOENT: there is none. */
int stub_register_number(struct stub *s, const char *name, uint64_t *ret, struct err *err);
int stub_register(struct stub *s, uint64_t number, uint64_t *ret, struct err *err);
/* A packet of the protocol ("s", "Z1,…"), and its answer in place of what reply held. */
int stub_ask(struct stub *s, const char *text, struct buf *reply, struct err *err);

#endif
