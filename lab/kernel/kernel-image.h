/*
 * kernel-image.h - what a kernel image says about itself.
 */
#ifndef LAB_KERNEL_IMAGE_H
#define LAB_KERNEL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/str.h"

enum kernel_format { KERNEL_BZIMAGE, KERNEL_ARM64_IMAGE, KERNEL_VMLINUX, KERNEL_ZBOOT };

struct kernel_image {
	enum kernel_format format;
	enum arch arch;
	char release[128]; /* "6.1.0-50-cloud-amd64"; empty when it does not say */
	char version[64];  /* "6.1.176" where Debian's banner tells it, else of the release */
	/* KERNEL_ZBOOT: the compressed payload */
	uint32_t payload_offset, payload_size;
};

/* Pure. -ENOEXEC: not a Linux kernel of an architecture known here. */
int kernel_image_probe(const uint8_t *data, size_t len, struct kernel_image *ret, struct err *err);
int kernel_image_probe_file(const char *path, struct kernel_image *ret, struct err *err);

/*
 * Append the kernel itself, unpacked, to out: for amd64 the ELF file that a bzImage holds (or a
 * vmlinux as it is), for arm64 the raw Image. At most 256 MiB; every compression that a kernel may
 * have. -EBADMSG: damaged; -ENOEXEC: no kernel.
 */
int kernel_image_unpack(const char *path, struct buf *out, struct err *err);
/* The link's build id (NT_GNU_BUILD_ID) in an unpacked kernel, hex and allocated. -ENODATA. */
int kernel_image_build_id(const struct buf *kernel, enum arch arch, char **ret, struct err *err);

#endif
