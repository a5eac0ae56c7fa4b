/*
 * kernel-target.h - what a kernel's name means: the entries of kernels.yml and kernels.lock, the
 * fragments, and the one name that this kernel has.
 */
#ifndef LAB_KERNEL_TARGET_H
#define LAB_KERNEL_TARGET_H

#include "lab/kconfig/flavour.h"
#include "lab/kernel/lock.h"
#include "lab/kernel/pins.h"

struct kernel_target {
	struct pins pins;
	struct kernels_lock lock;
	char *name;	       /* "6.1", "6.1+kasan": however it was spelled */
	const struct pin *pin; /* NULL: a name that kernels.yml does not have */
	bool is_binary;	       /* Debian's kernel of the pin; else it is one that is built */
	const struct lock_kernel *binary; /* the lock's; NULL: not pinned for that architecture */
	const struct deb *package;	  /* the lock's source; NULL: none, or not pinned */
	struct flavour flavour;		  /* of one that is built */
};

/* Is spec the path of a file or folder, whatever kernels.yml says? */
bool kernel_spec_is_path(const char *spec);

/*
 * spec: a pin, one with a flavour ("6.1+kasan"), a version or release that the lock has, or another
 * name. flavour (may be NULL): more fragments, as flavour.h says, so that "6.1+kasan" with "debug"
 * is "6.1+debug+kasan". Returns 0, -EINVAL (no flavour), or what reading kernels.yml and
 * kernels.lock said. *ret is the caller's.
 */
int kernel_target(const char *spec, enum arch arch, const char *flavour, struct kernel_target *ret,
		  struct err *err);
void kernel_target_deinit(struct kernel_target *t);
DEFINE_CLEANUP(kernel_target, kernel_target_deinit)

/*
 * Can it be built from what kernels.yml and kernels.lock name? 0; -EINVAL: the pin has no source;
 * -ENOENT: it is not pinned, or the name is unknown. The text says what to do.
 */
int kernel_target_check(const struct kernel_target *t, struct err *err);

#endif
