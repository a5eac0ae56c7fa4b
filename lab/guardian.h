/*
 * guardian.h - no machine outlives lab, however it dies.
 *
 * guardian_start() forks: the parent stays as the guardian (a child subreaper, prctl(2)), the child
 * returns and is the worker that hosts libvirt. QEMU, started daemonised by libvirt, is re-parented
 * to the guardian, which reaps it at once (libvirt waits for a zombie's pid to vanish otherwise).
 * The worker dies: the guardian kills what is left. The guardian dies: QEMU has asked for SIGKILL
 * then (PR_SET_PDEATHSIG, set by guardian_exec_qemu()), and the worker gets SIGTERM. Signals for the
 * terminal's user (INT, TERM, HUP) go to the worker, whose exit code becomes the guardian's.
 */
#ifndef LAB_GUARDIAN_H
#define LAB_GUARDIAN_H

#include "jail/base/err.h"

/* Call once, early, single-threaded. Returns in the worker only. */
int guardian_start(struct err *err);

/*
 * When lab is started under the name of an emulator (the wrapper that virt.c puts into <emulator>):
 * wait until the guardian is the parent, tie the life to it, exec the real QEMU. Does not return
 * unless argv[0] is no wrapper's name.
 */
void guardian_exec_qemu(int argc, char **argv);

#endif
