/*
 * kallsyms.h - the symbols of a kernel from its image alone.
 *
 * Pure. The tables that the kernel keeps for %pS and /proc/kallsyms (kernel/kallsyms.c,
 * scripts/kallsyms.c) are found in the unpacked image by their form, for the layouts of 5.10 to 7.x
 * on both architectures. Images are untrusted: bounded, and what does not fit is -EBADMSG.
 */
#ifndef LAB_KALLSYMS_H
#define LAB_KALLSYMS_H

#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/str.h"

struct ksym {
	uint64_t address; /* as linked */
	char type;	  /* as nm(1): 'T', 't', 'D', ... */
	const char *name; /* in struct ksyms */
};

struct ksyms {
	struct ksym *items; /* by address */
	size_t n;
	char *names;   /* what items point into */
	uint64_t text; /* _text, the link address of the image's first byte */
	size_t size;   /* of the image in memory without .bss */
};

/*
 * image: the kernel unpacked: for amd64 the ELF file in a bzImage, for arm64 the raw Image
 * (kernel-image.h unpacks both). *ret is the caller's, written only on success.
 */
int ksyms_find(const uint8_t *image, size_t len, enum arch arch, struct ksyms *ret,
	       struct err *err);
void ksyms_deinit(struct ksyms *s);
DEFINE_CLEANUP(ksyms, ksyms_deinit)

/* The first of that name, or NULL. */
const struct ksym *ksyms_lookup(const struct ksyms *s, const char *name);

#endif
