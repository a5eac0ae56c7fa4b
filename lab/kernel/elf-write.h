/*
 * elf-write.h - an ELF file for a debugger: parts of a kernel, its symbols, and what describes it.
 *
 * Pure. 64 bits, little endian.
 */
#ifndef LAB_ELF_WRITE_H
#define LAB_ELF_WRITE_H

#include <elf.h>
#include <stdbool.h>

#include "jail/base/arch.h"
#include "jail/base/str.h"
#include "lab/symbols/kallsyms.h"

/* A section. One with an address is loaded (a program header of its own, too). */
struct elf_part {
	const char *name;
	uint64_t address, size;
	const void *data; /* size bytes, only lent; NULL: nothing of it is in the file (.bss) */
	bool is_loaded, is_code, is_written;
};

/*
 * Build ids, in hex; at most 20 bytes count. own is the file's, by which gdb keeps indexes: the
 * kernel's would make it take vmlinux's. That one is in a section ".lab.kernel-id", or NULL.
 */
struct elf_ids {
	const char *own, *kernel;
};

/*
 * Append the file to out. Symbols lie in the part that holds their address, functions (of a part
 * with code) and objects, as large as to the next one; those outside of all parts are absolute.
 */
void elf_write(enum arch arch, uint64_t entry, const struct elf_part *parts, size_t n,
	       const struct ksyms *symbols, const struct elf_ids *ids, struct buf *out);

/*
 * The loaded parts of an unpacked kernel: the sections of an ELF file, or what the symbols say of a
 * raw Image. At most max. -EBADMSG. Names and data are lent by the image.
 */
int elf_parts(const uint8_t *image, size_t len, const struct ksyms *symbols, struct elf_part *parts,
	      size_t max, size_t *n, struct err *err);

#endif
