/*
 * seccomp.h - a policy becomes a filter of the kernel. The only module that speaks libseccomp.
 *
 * Calls by another ABI of the same machine (32-bit, x32) get the policy's default action, since the
 * rules name calls of the native one. execve is always allowed: the filter is loaded just before
 * it, and the command could not start.
 */
#ifndef JAIL_SECCOMP_H
#define JAIL_SECCOMP_H

#include <linux/filter.h>
#include <stddef.h>

#include "jail/base/cleanup.h"
#include "jail/base/err.h"
#include "jail/policy/policy.h"

struct seccomp_filter {
	struct sock_filter *insns; /* owned */
	size_t n;
};
void seccomp_filter_deinit(struct seccomp_filter *filter);
DEFINE_CLEANUP(seccomp_filter, seccomp_filter_deinit)

/*
 * Compile a policy for this machine. Returns 0, or a negative errno; *ret is written only on
 * success and is the caller's.
 */
int seccomp_filter_compile(const struct policy *policy, struct seccomp_filter *ret,
			   struct err *err);

/*
 * Load a filter for this thread; no_new_privs must be set. Allocates nothing. The text says what a
 * kernel or an emulator that refuses lacks.
 */
int seccomp_filter_load(const struct seccomp_filter *filter, struct err *err);

#endif
