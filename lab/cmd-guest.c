#include "lab/cmd-guest.h"

#include <signal.h>

#include "lab/run/run.h"

void guest_args_deinit(struct guest_args *a)
{
	strv_deinit(&a->kernels);
	strv_deinit(&a->archs);
}

int guest_accel(const char *option, enum accel_want *ret, struct err *err)
{
	if (!option || str_eq(option, "auto"))
		*ret = ACCEL_AUTO;
	else if (str_eq(option, "tcg"))
		*ret = ACCEL_TCG;
	else if (str_eq(option, "kvm"))
		*ret = ACCEL_KVM;
	else
		return err_set(err, EINVAL, "--accel: '%.40s' is not auto, tcg or kvm", option);
	return 0;
}

struct kernel_want guest_want(const struct guest_args *a, struct progress *progress)
{
	return (struct kernel_want){.flavour = a->flavour,
				    .offline = a->offline,
				    .no_build = a->no_build,
				    .cache_from = cmd_cache_from(a->cache_from),
				    .mirror = a->mirror,
				    .progress = progress_fetch,
				    .building = progress_build,
				    .data = progress,
				    .cancel = run_cancel_flag()};
}

int guest_kernel(const struct guest_args *a, const struct kernel_want *want, struct kernel *ret,
		 struct err *err)
{
	auto_free char *name = NULL;
	int arch, r;

	if (a->kernels.n > 1 || (a->kernels.n && str_eq(a->kernels.items[0], "all")))
		return err_set(err, EINVAL, "--kernel: one kernel, not several");
	if (a->archs.n > 1 || (a->archs.n && str_eq(a->archs.items[0], "all")))
		return err_set(err, EINVAL, "--arch: one architecture, not several");
	arch = cmd_arch(a->archs.n ? a->archs.items[0] : NULL, err);
	if (arch < 0)
		return arch;
	if (!a->kernels.n && (r = kernel_default(&name, err)) < 0)
		return r;
	return kernel_resolve(name ? name : a->kernels.items[0], arch, want, ret, err);
}

static void on_signal(int sig)
{
	(void)sig;
	run_cancel();
}

void guest_catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}
