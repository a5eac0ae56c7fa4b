/*
 * machine.h - one guest from boot to end: starts it, hands it the job, collects what comes out.
 *
 * The guest is untrusted: every length and total is bounded, file names are checked, and the host
 * never blocks on it. Evidence goes to dir as it arrives: stdout, stderr, strace.log, console.log,
 * dmesg.log, artefacts/ (evidence.h, console-file.h); what an earlier attempt left there is
 * removed.
 */
#ifndef LAB_MACHINE_H
#define LAB_MACHINE_H

#include "lab/guest/image.h"
#include "lab/machine/accel.h"
#include "lab/machine/job.h"
#include "lab/machine/virt.h"
#include "lab/scenario/outcome.h"

/*
 * Run one job in a fresh machine, to its end in any of the ways of outcome.h. dir: the cell's
 * folder, which exists. Returns 0 with *ret filled (however the guest ended), or a negative errno
 * when the host itself failed (no machine, a file for the guest that cannot be read, -ENOSPC: no
 * space left); what was collected stays. The caller releases *ret in both cases (outcome_deinit()).
 * A change of *job->cancel is seen within 100 ms. Several threads may run one each.
 */
int machine_run(struct virt *v, const struct job *job, const char *dir, struct outcome *ret,
		struct err *err);

#endif
