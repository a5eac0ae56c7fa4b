/*
 * elf.h - ELF files: a section of one in memory, the build id of one on disk.
 *
 * elf.c is the only file that speaks libelf. Input is untrusted: what is broken is -EBADMSG.
 */
#ifndef LAB_ELF_H
#define LAB_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

/* Append the bytes of the first section of that name to out. Returns 0 or -EBADMSG. */
int elf_section(const void *elf, size_t len, const char *name, struct buf *out, struct err *err);

/*
 * The file's NT_GNU_BUILD_ID as hex digits, allocated (elf(5), "Notes"). Returns 0, -ENODATA (an
 * ELF file without one), -EBADMSG (no ELF file), or why it cannot be opened.
 */
int elf_build_id(const char *path, char **ret, struct err *err);

/* The address of the file's first loadable segment. -EBADMSG: it has none, or is no ELF file. */
int elf_load_address(const char *path, uint64_t *ret, struct err *err);
/*
 * Call fn for each defined symbol of .symtab that has a name. name is only lent. Reads no more than
 * the tables: 10 ms for a kernel's vmlinux of 600 MB. Returns 0, what fn returned when that was
 * not 0, -ENODATA (no symbol table), -EBADMSG.
 */
typedef int (*elf_symbol_fn)(void *data, const char *name, uint64_t value, bool is_function);
int elf_symbols(const char *path, elf_symbol_fn fn, void *data, struct err *err);
/*
 * The program headers of a 64-bit little-endian core file, allocated, and its e_machine. Reads no
 * more than them, and whether they tell the truth is the caller's to see. -EBADMSG: no such file,
 * or more than ELF_SEGMENTS_MAX.
 */
enum { ELF_SEGMENTS_MAX = 1 << 18 };
struct elf_segment {
	uint32_t type; /* PT_* */
	uint64_t offset, virtual, physical, file_size, size;
};
int elf_segments(const char *path, struct elf_segment **ret, size_t *n, int *machine,
		 struct err *err);
/*
 * Append the first section of that name of a file on disk to out: as it is there, also when it is
 * compressed. -ENODATA: there is none; -EFBIG: more than max bytes; -EBADMSG.
 */
int elf_file_section(const char *path, const char *name, size_t max, struct buf *out,
		     struct err *err);

/*
 * Give back the disk space of relocations that nobody reads after the link (ld --emit-relocs; the
 * amd64 kernel's own tool does, before): they read as zeroes then, and gdb does not look at those
 * of a program. A file system that cannot is fine. Returns 0, or -EBADMSG.
 */
int elf_punch_relocations(const char *path, struct err *err);

#endif
