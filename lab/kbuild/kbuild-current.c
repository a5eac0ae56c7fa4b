#include "lab/kbuild/kbuild.h"
#include "lab/kernel/kernel-target.h"

bool kbuild_is_current(const struct built *b)
{
	auto_cleanup(kernel_target) t = {0};

	if (kernel_target(b->name, b->arch, NULL, &t, NULL) < 0 || t.is_binary ||
	    (t.pin && !str_eq(t.name, b->name)))
		return false; /* the name means another kernel now */
	if (b->local || kernel_target_check(&t, NULL) < 0)
		return true;
	for (int llvm = 0; llvm < 2; llvm++) {
		const struct kernel_want want = {.offline = true, .llvm = llvm};
		const struct kbuild_request r = {.name = b->name,
						 .arch = b->arch,
						 .flavour = &t.flavour,
						 .pin = t.pin,
						 .package = t.package,
						 .want = &want};
		bool local;
		auto_free char *inputs = kbuild_inputs(&r, &local, NULL);

		if (!inputs || str_eq(inputs, b->inputs))
			return true;
	}
	return false;
}
