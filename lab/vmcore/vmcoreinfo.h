/*
 * vmcoreinfo.h - what a kernel says of itself for those who read its memory: a text of KEY=VALUE
 * lines, "SYMBOL(prb)=ffffffff82a57a28", "OFFSET(printk_info.ts_nsec)=8", "NUMBER(VA_BITS)=48",
 * "KERNELOFFSET=1c00000", "BUILD-ID=…", "OSRELEASE=…"
 * (Documentation/admin-guide/kdump/vmcoreinfo.rst, kernel/vmcore_info.c).
 *
 * Pure. Untrusted: bounded, lines that do not parse are passed over.
 */
#ifndef LAB_VMCOREINFO_H
#define LAB_VMCOREINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jail/base/cleanup.h"

struct vmcoreinfo {
	char *text; /* NUL-terminated */
	size_t len;
};

/* Takes a copy of at most 64 KiB of text. */
void vmcoreinfo_init(struct vmcoreinfo *v, const char *text, size_t len);
void vmcoreinfo_deinit(struct vmcoreinfo *v);
DEFINE_CLEANUP(vmcoreinfo, vmcoreinfo_deinit)

/* "OSRELEASE" → the value, allocated; NULL: it does not say. */
char *vmcoreinfo_string(const struct vmcoreinfo *v, const char *key);
/* "SYMBOL(prb)" and KERNELOFFSET are hexadecimal, all else is decimal (or 0x…). */
bool vmcoreinfo_number(const struct vmcoreinfo *v, const char *key, uint64_t *ret);

#endif
