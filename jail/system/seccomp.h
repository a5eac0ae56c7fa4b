/*
 * seccomp.h - what this kernel's system-call filters can do, and loading one (seccomp(2)).
 */
#ifndef JAIL_SYSTEM_SECCOMP_H
#define JAIL_SYSTEM_SECCOMP_H

#include "jail/filter/compile.h"

/* In the order in which kernels brought them. */
enum seccomp_feature {
	SECCOMP_HAS_KILL_PROCESS, /* 4.14 */
	SECCOMP_HAS_LOG,	  /* 4.14 */
	SECCOMP_HAS_LISTENER,	  /* 5.0: user notification */
	SECCOMP_HAS_CONTINUE,	  /* 5.5: a notified call may go on */
	SECCOMP_HAS_ADDFD,	  /* 5.9: its answer may be a descriptor */
	SECCOMP_HAS_KILLABLE,	  /* 5.19: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV */
	SECCOMP_FEATURES,
};

struct seccomp_features {
	struct kver kernel;
	bool has[SECCOMP_FEATURES];
	bool is_filtered; /* we run under a filter, which may have the one listener that can be */
};

/*
 * Ask the kernel. Returns 0, or -ENOSYS or -EINVAL when it takes no filters at all: the text says
 * whether that is an emulator, a kernel built without them or an older filter that is in the way,
 * and what to do.
 */
int seccomp_probe(struct seccomp_features *ret, struct err *err);
/* 0, or -ENOSYS: "--watch needs …, which Linux 5.0 brought; this is 4.19.0: …". */
int seccomp_require(const struct seccomp_features *features, enum seccomp_feature feature,
		    const char *what_for, struct err *err);
/* Whether it has every action that the filter can return. */
int seccomp_check_actions(const struct seccomp_features *features, const struct filter *filter,
			  struct err *err);

/* This machine, for filter_model_make(); caps as there. */
struct filter_target seccomp_target(uint64_t caps);
/* A number for filter_options.exec_cookie that nobody can guess. */
int seccomp_make_cookie(uint64_t *ret, struct err *err);

/*
 * Load a filter for this thread; no_new_privs must be set. flags are SECCOMP_FILTER_FLAG_*. Returns
 * 0, or with NEW_LISTENER the listener, O_CLOEXEC and the caller's; or a negative errno. Allocates
 * nothing: for use between clone and exec.
 */
int seccomp_filter_load(const struct filter *filter, unsigned int flags, struct err *err);

#endif
