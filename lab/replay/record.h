/*
 * record.h - one guest from boot to end, recorded so that it can be run again, instruction for
 * instruction.
 *
 * As machine_run() (machine.h), but for what a recording cannot have: the job is part of the
 * guest's root, results come over the serial console (vm/serial.h), there is one processor, TCG,
 * and no disk. Evidence is the same, and beside it replay/ (recording.h). A panic resets the
 * machine, and that is where the recording ends.
 */
#ifndef LAB_RECORD_H
#define LAB_RECORD_H

#include "lab/guest/image.h"
#include "lab/machine/job.h"
#include "lab/scenario/outcome.h"

/*
 * run_dir: short private folder for sockets. *ret and errors as machine_run(); -ENOTSUP when the
 * job needs what cannot be recorded.
 */
int record_run(const struct job *job, const char *run_dir, const char *dir, struct outcome *ret,
	       struct err *err);

#endif
