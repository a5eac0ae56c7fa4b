/*
 * stub.h - a small client of a debug stub: what lab itself asks a stopped guest.
 *
 * The stub is QEMU's, on a unix socket; connecting stops the guest, stub_detach() lets it go on. No
 * call waits longer than STUB_MS.
 */
#ifndef LAB_STUB_H
#define LAB_STUB_H

#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/str.h"
#include "lab/debug/relay.h"

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
int stub_register(struct stub *s, const char *name, uint64_t *ret, struct err *err);

/*
 * How far KASLR moved the kernel: where the handler of the anchor is, minus where it was linked.
 * amd64: the first gate of the interrupt table (Intel SDM 3A, 6.14.1), whose handler is
 * asm_exc_divide_error; arm64: VBAR_EL1, which holds the address of vectors. -EAGAIN: the kernel
 * has not set them up yet (it still boots).
 */
int stub_slide(struct stub *s, enum arch arch, const struct link_addresses *link, uint64_t *ret,
	       struct err *err);

#endif
