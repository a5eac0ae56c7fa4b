/*
 * dump.h - the memory of a guest, in a file: which form, when, and how much of a disk.
 *
 * A dump appears whole, by a rename, readable by its owner only. What cannot be dumped, or is more
 * than the run may fill, leaves no file, and the reason is kept.
 */
#ifndef LAB_DUMP_H
#define LAB_DUMP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "jail/base/err.h"

struct virt_machine;

enum dump_form {
	DUMP_KDUMP, /* kdump-compressed, zlib, as QEMU writes it: makedumpfile's flattened form */
	DUMP_ELF,   /* ELF core file with the kernel's virtual mapping */
	DUMP_OFF,
};
const char *dump_form_name(enum dump_form form); /* "kdump", "elf", "off" */
int dump_form_parse(const char *name);		 /* or -EINVAL */

/* What may have become of a cell: bits of a mask. */
enum dump_on {
	DUMP_ON_PASS = 1,
	DUMP_ON_FAIL = 2,
	DUMP_ON_CRASH = 4, /* also one that was expected */
	DUMP_ON_HANG = 8,
	DUMP_ON_DEFAULT = DUMP_ON_CRASH | DUMP_ON_HANG,
};
int dump_on_parse(const char *name); /* one of "pass", "fail", "crash", "hang"; or -EINVAL */

#define DUMP_BYTES (UINT64_C(2) << 30) /* default of what all dumps of a run may fill */

/* What all dumps of a run may fill together. Thread-safe. */
struct dump_budget {
	pthread_mutex_t lock;
	uint64_t max, used;
	uint64_t least; /* the smallest dump so far; 0: none yet */
	unsigned int skipped;
};
void dump_budget_init(struct dump_budget *b, uint64_t max);
void dump_budget_deinit(struct dump_budget *b);

struct dump_policy {
	enum dump_form form;
	unsigned int on;	    /* enum dump_on; 0: never */
	struct dump_budget *budget; /* NULL: no bound */
};

/* What became of a dump. */
struct dump_done {
	bool there;
	enum dump_form form;
	uint64_t bytes;
	int64_t ms;    /* from the decision to the whole file */
	char *skipped; /* why it is not there, printable; NULL: nobody wanted one */
};
void dump_done_deinit(struct dump_done *d);

/*
 * Dump m's memory to path, in a folder of the caller's own, where nothing must be yet; *bytes
 * becomes its size. Blocks while QEMU writes; a machine that is killed meanwhile ends it. The ELF
 * form has no mapping of the kernel's yet (vmcore_map_elf()). Errors: -EEXIST, -ENOSPC, -EDQUOT
 * (the budget), what the file system or libvirt said; nothing is left then.
 */
int dump_write(struct virt_machine *m, const char *path, enum dump_form form,
	       struct dump_budget *budget, uint64_t *bytes, struct err *err);

#endif
