#include "jail/policy/groups.h"

#include <linux/sched.h>

#include "jail/base/cleanup.h"
#include "jail/base/str.h"

/*
 * Calls of which a C library takes one or another, by architecture and kernel, for the same end.
 * The first is the family's name. A call is in one family at most.
 */
static const char *const families[][8] = {
	{"accept", "accept4"},
	{"access", "faccessat", "faccessat2"},
	{"alarm", "setitimer"},
	{"chmod", "fchmodat", "fchmodat2"},
	{"chown", "lchown", "fchownat"},
	{"dup2", "dup3"},
	{"epoll_create", "epoll_create1"},
	{"epoll_wait", "epoll_pwait", "epoll_pwait2"},
	{"eventfd", "eventfd2"},
	{"fork", "vfork", "clone", "clone3"},
	{"futex", "futex_wait", "futex_wake", "futex_requeue", "futex_waitv"},
	{"getdents", "getdents64"},
	{"getpgrp", "getpgid"},
	{"inotify_init", "inotify_init1"},
	{"link", "linkat"},
	{"mkdir", "mkdirat"},
	{"mknod", "mknodat"},
	{"mlock", "mlock2"},
	{"nanosleep", "clock_nanosleep"},
	{"open", "openat", "openat2", "creat"},
	{"pipe", "pipe2"},
	{"poll", "ppoll", "pause"},
	{"preadv", "preadv2"},
	{"pwritev", "pwritev2"},
	{"readlink", "readlinkat"},
	{"rename", "renameat", "renameat2"},
	{"select", "pselect6"},
	{"signalfd", "signalfd4"},
	{"stat", "lstat", "fstat", "newfstatat", "statx"},
	{"symlink", "symlinkat"},
	{"time", "gettimeofday", "clock_gettime"},
	{"unlink", "rmdir", "unlinkat"},
	{"utime", "utimes", "futimesat", "utimensat"},
};

/* what makes a namespace, a thread, or hands the child to somebody else */
#define NOT_FORK                                                                       \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET | CLONE_THREAD | CLONE_PARENT | CLONE_PTRACE)

enum {
	/* fcntl.h has another O_* on each architecture only for flags that are not here */
	CREAT_MASK = 01103, /* O_ACCMODE | O_CREAT | O_TRUNC */
	CREAT_FLAGS = 01101,
	REMOVEDIR = 0x200, /* AT_REMOVEDIR */
};

/* The C libraries of architectures that never had the call make the other one instead. */
static const struct call_equivalent equivalents[] = {
	{"access", "faccessat", 0, 0, 0},
	{"alarm", "setitimer", 0, UINT32_MAX, 0}, /* ITIMER_REAL */
	{"chmod", "fchmodat", 0, 0, 0},
	{"chown", "fchownat", 0, 0, 0},
	{"creat", "openat", 2, CREAT_MASK, CREAT_FLAGS},
	{"dup2", "dup3", 0, 0, 0},
	{"epoll_create", "epoll_create1", 0, 0, 0},
	{"epoll_wait", "epoll_pwait", 0, 0, 0},
	{"eventfd", "eventfd2", 0, 0, 0},
	{"fork", "clone", 0, NOT_FORK | CLONE_VM, 0},
	{"futimesat", "utimensat", 0, 0, 0},
	{"getdents", "getdents64", 0, 0, 0},
	{"getpgrp", "getpgid", 0, 0, 0},
	{"inotify_init", "inotify_init1", 0, 0, 0},
	{"lchown", "fchownat", 0, 0, 0},
	{"link", "linkat", 0, 0, 0},
	{"lstat", "newfstatat", 0, 0, 0},
	{"mkdir", "mkdirat", 0, 0, 0},
	{"mknod", "mknodat", 0, 0, 0},
	{"open", "openat", 0, 0, 0},
	{"pause", "ppoll", 1, UINT32_MAX, 0}, /* no descriptors */
	{"pipe", "pipe2", 0, 0, 0},
	{"poll", "ppoll", 0, 0, 0},
	{"readlink", "readlinkat", 0, 0, 0},
	{"rename", "renameat", 0, 0, 0},
	{"rmdir", "unlinkat", 2, REMOVEDIR, REMOVEDIR},
	{"select", "pselect6", 0, 0, 0},
	{"signalfd", "signalfd4", 0, 0, 0},
	{"stat", "newfstatat", 0, 0, 0},
	{"symlink", "symlinkat", 0, 0, 0},
	{"time", "clock_gettime", 0, 0, 0},
	{"unlink", "unlinkat", 2, REMOVEDIR, 0},
	{"utime", "utimensat", 0, 0, 0},
	{"utimes", "utimensat", 0, 0, 0},
	{"vfork", "clone", 0, NOT_FORK | CLONE_VM | CLONE_VFORK, CLONE_VM | CLONE_VFORK},
};

const struct call_equivalent *call_equivalent(const struct syscall_def *call, enum arch arch)
{
	if (call->nr[arch] >= 0)
		return NULL;
	for (size_t i = 0; i < array_len(equivalents); i++)
		if (str_eq(equivalents[i].call, call->name))
			return &equivalents[i];
	return NULL;
}

const char *const *family_calls(const char *family)
{
	for (size_t i = 0; i < array_len(families); i++)
		if (str_eq(families[i][0], family))
			return families[i];
	return NULL;
}

const char *call_family(const char *call)
{
	for (size_t i = 0; i < array_len(families); i++)
		for (const char *const *member = families[i]; *member; member++)
			if (str_eq(*member, call))
				return families[i][0];
	return call;
}
