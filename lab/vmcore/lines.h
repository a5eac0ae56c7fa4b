/*
 * lines.h - file and line of an address, from a vmlinux or module with DWARF.
 *
 * lines.c is the only file that speaks libdw. Addresses are as linked (without the slide).
 */
#ifndef LAB_LINES_H
#define LAB_LINES_H

#include <stdint.h>

#include "jail/base/err.h"

struct lines;
/* -ENODATA: no line tables in it; -EBADMSG. */
int lines_open(const char *vmlinux, struct lines **ret, struct err *err);
void lines_close(struct lines *l); /* NULL is fine */
/*
 * "kernel/panic.c:358", relative to the source's folder; of an inlined function with the place of
 * the outermost call: "include/asm-generic/delay.h:62, inlined at kernel/panic.c:640". Allocated;
 * NULL: not known.
 */
char *lines_find(struct lines *l, uint64_t address);

#endif
