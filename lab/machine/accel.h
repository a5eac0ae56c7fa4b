/*
 * accel.h - KVM or TCG, decided by booting a probe guest.
 *
 * /dev/kvm may open and create a VM on hosts where no stock kernel boots, so nothing less counts.
 * The answer is cached per host kernel, QEMU and architecture in cache_dir(NULL)/accel.json (remove
 * the file to ask again). Guests of a foreign architecture get TCG: no KVM runs them.
 */
#ifndef LAB_ACCEL_H
#define LAB_ACCEL_H

#include "lab/guest/image.h"
#include "lab/machine/virt.h"

struct accel {
	bool kvm;
	char *why; /* printable: "KVM", "TCG (KVM: a probe guest did not boot within 15 s)" */
};

enum accel_want { ACCEL_AUTO, ACCEL_TCG, ACCEL_KVM };

/*
 * Which accelerator guests of kernel's architecture get. kernel and image are what a probe boots,
 * when none did before. ACCEL_KVM fails (-ENOTSUP) when that does not boot; ACCEL_TCG probes
 * nothing. Bounded by 20 s, or by cancel (job.h): then the answer is TCG and nothing is cached.
 */
int accel_choose(struct virt *v, enum accel_want want, const struct kernel *kernel,
		 const struct image *image, const volatile int *cancel, struct accel *ret,
		 struct err *err);
/*
 * What is known without booting anything: NULL when KVM is worth a probe (or *cached says that one
 * succeeded), else why guests of arch get TCG; allocated.
 */
char *accel_why_not(enum arch arch, bool *cached);
void accel_deinit(struct accel *a);
DEFINE_CLEANUP(accel, accel_deinit)

#endif
