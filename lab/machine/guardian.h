/*
 * guardian.h - no machine outlives lab, however it dies.
 *
 * guardian_start() forks: the parent stays as the guardian (a child subreaper, prctl(2)), the child
 * returns and is the worker that hosts libvirt. QEMU, started daemonised by libvirt, is re-parented
 * to the guardian, which reaps it at once (libvirt waits for a zombie's pid to vanish otherwise).
 * The worker dies: the guardian kills what is left. The guardian dies: QEMU has asked for SIGKILL
 * then (PR_SET_PDEATHSIG, set by guardian_exec_qemu()), and the worker gets SIGTERM. Signals for
 * the terminal's user (INT, TERM, HUP) go to the worker, whose exit code becomes the guardian's:
 * sent by the terminal they reach both; sent to the guardian alone they are handed on. It stops
 * (TSTP) and goes on together with the worker. A terminal that a killed worker left raw becomes
 * what it was.
 */
#ifndef LAB_GUARDIAN_H
#define LAB_GUARDIAN_H

#include <sys/types.h>

#include "jail/base/err.h"

/* Call once, early, single-threaded. Returns in the worker only; the guardian never returns. */
int guardian_start(struct err *err);

/* The guardian of this process, 0 before guardian_start(). */
pid_t guardian_pid(void);

/*
 * A QEMU that ends with its guardian: an executable below dir, named as QEMU is, that brings in
 * guardian_exec_qemu(); "real" beside it leads to QEMU. Creates what is missing, replaces what is
 * not right, leaves the rest untouched: libvirt probes an emulator anew when its file changes.
 * Returns 0 with *ret the path (allocated), or a negative errno.
 */
int guardian_wrap_qemu(const char *dir, const char *qemu, char **ret, struct err *err);

/*
 * When lab was started by such a wrapper: with LAB_GUARDIAN=PID in the environment wait until that
 * process is the parent, tie the life to it, and exec the real QEMU; without it (libvirt asks QEMU
 * what it can do) exec at once. Then it does not return.
 */
void guardian_exec_qemu(int argc, char **argv);

#endif
