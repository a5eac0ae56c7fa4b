/*
 * virt-root.h - the folder of libvirt's embedded driver, and what an earlier lab left in it.
 *
 * $XDG_RUNTIME_DIR/lab-N or /tmp/lab-UID-N, the first N that no living lab holds (flock): sockets
 * need short paths. Private (0700, our own, never through a link). What libvirt learned of QEMU is
 * kept elsewhere, in cache_dir("virt"), and shared by all of them.
 */
#ifndef LAB_VIRT_ROOT_H
#define LAB_VIRT_ROOT_H

#include "jail/base/err.h"
#include "jail/base/str.h"

struct virt_root {
	char *dir; /* ours; empty but for libvirt's */
	char *uri; /* qemu:///embed?root=... */
	int lock;
};

/* Ends machines that an earlier owner left behind, empties the folder and prepares it. */
int virt_root_open(struct virt_root *ret, struct err *err);
/* The pid libvirt noted for a running machine, or -1. */
pid_t virt_root_pid(const struct virt_root *root, const char *machine);
/* The folders that a living lab of this user holds, this one's too. */
void virt_roots_held(struct strv *ret);
/* Removes the folder. {.lock = -1} is fine. */
void virt_root_close(struct virt_root *root);

#endif
