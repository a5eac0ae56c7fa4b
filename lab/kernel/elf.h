/*
 * elf.h - ELF files: a section of one in memory, the build id of one on disk.
 *
 * elf.c is the only file that speaks libelf. Input is untrusted: what is broken is -EBADMSG.
 */
#ifndef LAB_ELF_H
#define LAB_ELF_H

#include "jail/base/err.h"
#include "jail/base/str.h"

/* Append the bytes of the first section of that name to out. Returns 0 or -EBADMSG. */
int elf_section(const void *elf, size_t len, const char *name, struct buf *out, struct err *err);

/*
 * The file's NT_GNU_BUILD_ID as hex digits, allocated (elf(5), "Notes"). Returns 0, -ENODATA (an
 * ELF file without one), -EBADMSG (no ELF file), or why it cannot be opened.
 */
int elf_build_id(const char *path, char **ret, struct err *err);

#endif
