/*
 * vmcore-elf.h - a dump as an ELF core file that gdb, crash and drgn open: with the kernel's
 * virtual addresses, which QEMU leaves out.
 */
#ifndef LAB_VMCORE_ELF_H
#define LAB_VMCORE_ELF_H

#include "lab/vmcore/vmcore.h"

/*
 * Write v to path (mode 0600, appears whole by a rename, sparse where pages are zero): the notes of
 * v (NT_PRSTATUS, VMCOREINFO), its memory once, and PT_LOADs that map it: each physical range at
 * its place in the direct map, the kernel's image, and what else the kernel's page tables map
 * (vmalloc, modules, stacks), runs joined. -ENOSPC and other errors of the file system: nothing is
 * left at path.
 */
int vmcore_write_elf(struct vmcore *v, const char *path, struct err *err);
/*
 * The same for an ELF core of QEMU's own, in place and without copying memory: a new table of
 * program headers at its end. A file that maps the kernel's image is left: running twice changes
 * nothing. -ENODATA: it has no vmcoreinfo.
 */
int vmcore_map_elf(const char *path, struct err *err);

#endif
