/*
 * recording.h - what is kept of a recorded machine, in replay/ of its cell:
 *
 *	recording.json	what the machine is made of, and how it ended: all of this struct
 *	log		what was not determined by the guest itself (QEMU's rrfile)
 *	snapshots.qcow2	states of the machine, the first at its start
 *	initrd		the guest's root with the job in it
 *	serial.log	the serial console as it was, with the agent's packets
 *	command.txt	QEMU's command line, for a person
 *	qemu.log	what QEMU said
 *
 * Such a folder may come from somebody else: what is read is checked, and only what is known is
 * given to QEMU.
 */
#ifndef LAB_RECORDING_H
#define LAB_RECORDING_H

#include <stdint.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/str.h"

struct recording {
	char *dir; /* replay/ of the cell, absolute */
	enum arch arch;
	char *qemu; /* its version */
	char *machine, *cpu, *cmdline;
	char *date; /* the guest's clock at its start */
	unsigned int memory_mib;
	unsigned int shift;	      /* an instruction is 2^shift ns of the guest's time */
	char *kernel;		      /* as kernel_resolve() takes it */
	char *image, *image_sha256;   /* the kernel's file */
	char *initrd_sha256;	      /* of initrd */
	int64_t icount;		      /* instructions in all; -1: it did not come to its end */
	int64_t serial_bytes;	      /* of serial.log */
	char *serial_sha256, *ending; /* NULL: as icount */
};

/* An absolute path of a file in the folder; allocated. */
char *recording_path(const struct recording *r, const char *name);
int recording_save(const struct recording *r, struct err *err);
/*
 * Read the one of a cell. path: its folder, or "CELL" of the newest run ("6.1-arm64/panic").
 * -ENOENT (no recording there: the text says how to make one), -EINVAL (damaged), -ESTALE (kernel,
 * initrd or log are not those that were recorded).
 */
int recording_load(const char *path, struct recording *ret, struct err *err);
void recording_deinit(struct recording *r);
DEFINE_CLEANUP(recording, recording_deinit)

/* A new, empty snapshots.qcow2. */
int recording_make_disk(const struct recording *r, struct err *err);

#endif
