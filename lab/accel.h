/*
 * accel.h - KVM or TCG, decided by booting a probe guest.
 *
 * /dev/kvm may open and create a VM on hosts where no stock kernel boots, so nothing less counts.
 * The answer is cached per host kernel, QEMU and architecture in cache_dir(NULL)/accel.json.
 */
#ifndef LAB_ACCEL_H
#define LAB_ACCEL_H

#include "lab/image.h"
#include "lab/virt.h"

struct accel {
	bool kvm;
	char *why; /* printable: "KVM", "TCG (KVM: a probe guest did not boot within 15 s)" */
};

enum accel_want { ACCEL_AUTO, ACCEL_TCG, ACCEL_KVM };

/*
 * Which accelerator guests of arch get. kernel and image are what the probe boots. ACCEL_KVM fails
 * (-ENOTSUP) when the probe does not boot; ACCEL_TCG probes nothing. Bounded by 20 s.
 */
int accel_choose(struct virt *v, enum accel_want want, const struct kernel *kernel,
		 const struct image *image, struct accel *ret, struct err *err);
void accel_deinit(struct accel *a);
DEFINE_CLEANUP(accel, accel_deinit)

#endif
