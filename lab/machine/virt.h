/*
 * virt.h - virtual machines by libvirt. The only file that speaks libvirt.
 *
 * uri NULL: the embedded driver (qemu:///embed) with its root in a short private folder
 * (virt-root.h); needs no daemon and no root. One process per root: a second lab gets a root of its
 * own. Any other URI is a daemon's, and must be of this host: files and sockets are shared with it.
 * Under a daemon of root's QEMU runs as the user who runs lab.
 * Machines started here end with the connection (VIR_DOMAIN_START_AUTODESTROY), and under the
 * embedded driver with the process, however it dies (guardian.h).
 * Thread-safe after virt_open().
 */
#ifndef LAB_VIRT_H
#define LAB_VIRT_H

#include "jail/base/err.h"
#include "jail/base/str.h"
#include "lab/machine/domain-xml.h"
#include "lab/machine/dump.h"

struct virt;
struct virt_machine;

/* Whether machines can be run there at all: -EINVAL for another driver or a remote host. Pure. */
int virt_check_uri(const char *uri, struct err *err);

/* -ENOENT when libvirt has no such driver (the text says what to install), else what went wrong. */
int virt_open(const char *uri, struct virt **ret, struct err *err);
void virt_close(struct virt *v); /* NULL is fine; ends what still runs */
/* A short folder (for sockets) that this connection owns and empties. */
const char *virt_run_dir(const struct virt *v);
/* "QEMU 7.2.22, libvirt 9.0.0, qemu:///embed" for run.json. */
const char *virt_describe(const struct virt *v);

bool virt_is_embedded(const struct virt *v);
/* Whether guests of arch can be started as far as QEMU goes: -ENOENT says what to install. */
int virt_check_arch(struct virt *v, enum arch arch, struct err *err);

/* spec's user and guardian are for the connection to say. */
int virt_start(struct virt *v, const struct machine_spec *spec, struct virt_machine **ret,
	       struct err *err);

/*
 * A command of QEMU's human monitor ("info registers"), and what it says, appended to out. Bounded
 * by libvirt's own time for its monitor. Needs libvirt-qemu.
 */
int virt_machine_monitor(struct virt_machine *m, const char *command, struct buf *out,
			 struct err *err);

/*
 * Write the guest's memory and the registers of its CPUs to path (virDomainCoreDumpWithFormat(),
 * memory only), which is there and keeps its owner and mode; the machine stands still meanwhile and
 * goes on afterwards if it ran. A file that was cut short by an error stays for the caller to
 * remove.
 */
int virt_machine_dump(struct virt_machine *m, const char *path, enum dump_form form,
		      struct err *err);

/*
 * A non-maskable interrupt, which the kernel takes even where it has turned the others off. Returns
 * a negative errno where the machine has none (arm64).
 */
int virt_machine_nmi(struct virt_machine *m, struct err *err);

/* Under a daemon a machine whose console is a socket starts paused: connect, then let it go. */
int virt_machine_resume(struct virt_machine *m, struct err *err);

enum virt_state { VIRT_RUNNING, VIRT_PAUSED, VIRT_CRASHED, VIRT_OFF };
/* Kept current by libvirt's events: a cheap read. */
enum virt_state virt_machine_state(struct virt_machine *m);
/* Off, and not because the guest powered off or rebooted: QEMU died or was killed. */
bool virt_machine_died(struct virt_machine *m);
/* Off because the guest was reset: it rebooted, or its processor gave up (a triple fault). */
bool virt_machine_was_reset(struct virt_machine *m);
/*
 * The last line QEMU itself wrote to its log, printable and allocated; NULL: none, or its log is
 * not ours to read (another URI).
 */
char *virt_machine_last_words(struct virt_machine *m);
/* A descriptor that becomes readable when the state changes (eventfd; read it to clear). */
int virt_machine_event_fd(struct virt_machine *m);
/* QEMU's pid, or -1 when it is not on this host. */
pid_t virt_machine_pid(struct virt_machine *m);
/* End QEMU at once, where it is ours to kill; m stays. NULL, and one that is gone, are fine. */
void virt_machine_kill(struct virt_machine *m);
/* End it (at once; a machine that is gone already is fine) and free m. */
void virt_machine_destroy(struct virt_machine *m);

#endif
