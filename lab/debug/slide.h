/*
 * slide.h - how far KASLR moved a kernel.
 *
 * It is told by one address, the anchor, of which a processor's register says where it is now: on
 * amd64 the handler of the first gate of the interrupt table (Intel SDM 3A, 6.14.1), on arm64
 * VBAR_EL1 (Arm ARM D1.10.2).
 */
#ifndef LAB_SLIDE_H
#define LAB_SLIDE_H

#include "jail/base/arch.h"
#include "lab/debug/stub.h"

/* Of a kernel as it was linked. */
struct link_addresses {
	uint64_t base;	 /* of the first loadable segment */
	uint64_t anchor; /* asm_exc_divide_error (amd64), vectors (arm64) */
};

/* From an ELF file with symbols. -EBADMSG: it is no kernel's for arch. */
int link_addresses_read(const char *vmlinux, enum arch arch, struct link_addresses *ret,
			struct err *err);

/*
 * The guest stands, and on arm64 goes on for some instructions when it is within a program.
 * -EAGAIN: the kernel has not set up its exceptions yet (it still boots).
 */
int slide_find(struct stub *s, enum arch arch, const struct link_addresses *link, uint64_t *ret,
	       struct err *err);

#endif
