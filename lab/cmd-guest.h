/*
 * cmd-guest.h - options that commands share which run one guest: its kernel, and how that is got.
 */
#ifndef LAB_CMD_GUEST_H
#define LAB_CMD_GUEST_H

#include "lab/cmd.h"
#include "lab/kernel/kernel.h"
#include "lab/machine/accel.h"
#include "lab/progress.h"

struct guest_args {
	struct strv kernels, archs;
	const char *flavour, *accel, *cache_from, *mirror;
	bool offline, no_build;
};
void guest_args_deinit(struct guest_args *a);

/* Rows of an option table for type, whose member "guest" is a struct guest_args. */
/* clang-format off */
#define GUEST_OPTIONS(type)                                                                     \
	{'k', "kernel", "K", OPT_STRV, offsetof(type, guest.kernels),                           \
	 "a pin (6.1), one with a flavour (6.1+kasan), a version (6.1.176), one\nthat was "     \
	 "built under that name, a file, or a build tree (default: the pin\nmarked default)"},  \
	{0, "flavour", "F", OPT_STRING, offsetof(type, guest.flavour),                          \
	 "the kernel in this flavour, built when needed: fragments of\nkernel-config joined "   \
	 "by '+' (debug+kasan)"},                                                               \
	{'a', "arch", "A", OPT_STRV, offsetof(type, guest.archs),                               \
	 "amd64 or arm64 (default: this host's)"},                                              \
	{0, "accel", "HOW", OPT_STRING, offsetof(type, guest.accel),                            \
	 "auto (KVM when a probe guest boots under it), tcg, or kvm"},                          \
	{0, "offline", NULL, OPT_FLAG, offsetof(type, guest.offline),                           \
	 "fetch nothing: what is not cached is an error"},                                      \
	{0, "no-build", NULL, OPT_FLAG, offsetof(type, guest.no_build),                         \
	 "build no kernel: what is not built is an error"},                                     \
	{0, "cache-from", "PLACE", OPT_STRING, offsetof(type, guest.cache_from),                \
	 "a folder or URL that holds exported kernels, to be taken instead of\nbuilt "          \
	 "(default: $LAB_CACHE_FROM)"},                                                         \
	{0, "mirror", "PLACE", OPT_STRING, offsetof(type, guest.mirror),                        \
	 "a folder or URL that holds sources under their names (linux-6.5.tar.xz)"}
/* clang-format on */

/* What --accel means; NULL: auto. */
int guest_accel(const char *option, enum accel_want *ret, struct err *err);

/*
 * How the kernel may be got. Cancelled by run_cancel(). progress and a outlive *ret.
 */
struct kernel_want guest_want(const struct guest_args *a, struct progress *progress);
/* Resolve the one kernel; errors as kernel_resolve(), -EINVAL for several. */
int guest_kernel(const struct guest_args *a, const struct kernel_want *want, struct kernel *ret,
		 struct err *err);

/* Signals that end a program cancel the run from now on (run_cancel()). */
void guest_catch_signals(void);

#endif
