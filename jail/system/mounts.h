/*
 * mounts.h - the mounts of a sandbox, one step at a time; for a child in a mount namespace of its
 * own.
 *
 * Nothing here allocates. Targets are looked up inside the root that root_fd stands for: a link in
 * an untrusted tree cannot lead out of it. /proc must be mounted when a step runs.
 * Errors say the reason only: the caller names the step.
 */
#ifndef JAIL_SYSTEM_MOUNTS_H
#define JAIL_SYSTEM_MOUNTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "jail/base/err.h"

/* Make every mount private, so that nothing propagates out of the namespace or into it. */
int mounts_private(struct err *err);

/* Open what a bind shows, before anything hides it. Returns a descriptor or a negative errno. */
int mounts_open_source(const char *path, struct err *err);

/*
 * Mount what becomes the root: source_fd's tree, or a tmpfs when it is -1. Returns a descriptor of
 * the new root; the present root is not changed until mounts_pivot().
 */
int mounts_new_root(int source_fd, bool is_rdonly, struct err *err);

enum {
	MOUNTS_RDONLY = 1, /* for the mounts below too */
	MOUNTS_MAKE = 2,   /* a missing target is made */
};
/* Bind source_fd on target, with all mounts below it; how is of MOUNTS_*. */
int mounts_bind(int root_fd, int source_fd, const char *target, unsigned int how, struct err *err);
/* Mount a file system; flags are MS_*, options may be NULL. */
int mounts_mount(int root_fd, const char *type, const char *target, unsigned int how,
		 unsigned long flags, const char *options, struct err *err);
/* A sysfs that shows the net namespace, on /sys; without the right to it all stays as it is. */
void mounts_try_sysfs(void);

int mounts_folder(int root_fd, const char *path, mode_t mode, struct err *err);
int mounts_symlink(int root_fd, const char *path, const char *to, struct err *err);
/* Where the present root has a link at path, make the same one; nothing otherwise. */
int mounts_copy_link(int root_fd, const char *path, struct err *err);
/* Make the root's own mount read-only, not those below it. */
int mounts_rdonly_root(int root_fd, struct err *err);

/*
 * Make root_fd's mount the root, and let go of the old one. On the kernel's first root (rootfs),
 * which cannot be left by pivot_root(2), the new root is moved over it.
 */
int mounts_pivot(int root_fd, struct err *err);

#endif
