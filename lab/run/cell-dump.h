/*
 * cell-dump.h - what becomes of a cell's dump once its machine is gone.
 */
#ifndef LAB_CELL_DUMP_H
#define LAB_CELL_DUMP_H

#include "lab/kernel/kernel.h"
#include "lab/scenario/outcome.h"

/*
 * Give dir/vmcore the kernel's mapping, where it is an ELF file, and write what it says to
 * dir/vmcore.txt; add the rest of its log to dir/dmesg.log, if it crashed. Source lines come from
 * what is on this disk: nothing is fetched. What fails becomes a note of o; without a dump nothing
 * is done.
 */
void cell_describe_dump(const struct kernel *kernel, const char *dir, struct outcome *o);

#endif
