#include "jail/policy/groups.h"

#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/base/str.h"

#define CALLS(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}

/* Calls that several groups hold. */
#define OPENING "open", "openat", "openat2"
#define STATTING "stat", "lstat", "fstat", "newfstatat", "statx"
#define SENDING "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "shutdown"
#define SOCKET_NAMES "getsockname", "getpeername", "getsockopt", "setsockopt"
#define FORKING "fork", "vfork", "clone", "clone3"
#define MAPPING "brk", "mmap", "munmap", "mprotect", "mremap", "madvise"
#define MODULES                                                                          \
	"init_module", "finit_module", "delete_module", "create_module", "query_module", \
		"get_kernel_syms"
#define MOUNTING                                                                                 \
	"mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount", \
		"fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"
#define REBOOTING "reboot", "kexec_load", "kexec_file_load"
#define SWAPPING "swapon", "swapoff"
#define RAW_IO "ioperm", "iopl"
#define SETTING_TIME "settimeofday", "clock_settime", "clock_adjtime", "adjtimex"

const struct call_group call_groups[] = {
	{"@aio", "asynchronous input and output of old (not io_uring)",
	 CALLS("io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents",
	       "io_pgetevents")},
	{"@bpf", "load programs into the kernel", CALLS("bpf")},
	{"@debug", "look into other processes and change them",
	 CALLS("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
	       "process_mrelease", "kcmp", "pidfd_getfd", "uprobe", "uretprobe", "lookup_dcookie")},
	{"@default-libc", "what a C library needs to start a program, to complain and to end",
	 CALLS(OPENING, STATTING, MAPPING, "access", "faccessat", "faccessat2", "readlink",
	       "readlinkat", "read", "readv", "pread64", "lseek", "write", "writev", "close",
	       "fcntl", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64",
	       "getrlimit", "getrandom", "futex", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	       "sigaltstack", "restart_syscall", "getpid", "gettid", "tgkill", "uname", "getcwd",
	       "getuid", "geteuid", "getgid", "getegid", "time", "gettimeofday", "clock_gettime",
	       "exit", "exit_group")},
	{"@emulation", "what old or foreign programs need, and few others",
	 CALLS("personality", "modify_ldt", "uselib")},
	{"@exec", "start another program", CALLS("execve", "execveat")},
	{"@file-attributes", "change owners, modes, times and extended attributes of files",
	 CALLS("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat",
	       "utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr",
	       "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
	       "file_setattr")},
	{"@file-descriptors", "duplicate, close, lock and control descriptors; pipes",
	 CALLS("close", "close_range", "dup", "dup2", "dup3", "fcntl", "flock", "pipe", "pipe2")},
	{"@file-handles", "open files by number, past the folders that they are in",
	 CALLS("name_to_handle_at", "open_by_handle_at")},
	{"@file-metadata", "ask what files and file systems are",
	 CALLS(STATTING, "access", "faccessat", "faccessat2", "readlink", "readlinkat", "statfs",
	       "fstatfs", "ustat", "getxattr", "lgetxattr", "fgetxattr", "getxattrat", "listxattr",
	       "llistxattr", "flistxattr", "listxattrat", "file_getattr")},
	{"@file-read", "open files (for writing too: the flags say what for), read, list, map",
	 CALLS(OPENING, STATTING, "access", "faccessat", "faccessat2", "readlink", "readlinkat",
	       "read", "readv", "pread64", "preadv", "preadv2", "lseek", "getdents", "getdents64",
	       "close", "fcntl", "mmap", "munmap", "fadvise64", "readahead", "sendfile",
	       "cachestat", "chdir", "fchdir", "getcwd")},
	{"@file-watch", "be told of changes to files",
	 CALLS("inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
	       "fanotify_init", "fanotify_mark")},
	{"@file-write", "create, write, rename and remove files",
	 CALLS(OPENING, "creat", "write", "writev", "pwrite64", "pwritev", "pwritev2", "lseek",
	       "close", "fcntl", "truncate", "ftruncate", "fallocate", "copy_file_range",
	       "sendfile", "splice", "tee", "vmsplice", "sync", "syncfs", "fsync", "fdatasync",
	       "sync_file_range", "mkdir", "mkdirat", "mknod", "mknodat", "rename", "renameat",
	       "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir",
	       "umask")},
	{"@foreign", "calls that neither amd64 nor arm64 has: names that portable policies list",
	 CALLS("_llseek", "_newselect", "arm_fadvise64_64", "arm_sync_file_range", "bdflush",
	       "break", "breakpoint", "cachectl", "cacheflush", "chown32", "clock_adjtime64",
	       "clock_getres_time64", "clock_gettime64", "clock_nanosleep_time64",
	       "clock_settime64", "fadvise64_64", "fchown32", "fcntl64", "fstat64", "fstatat64",
	       "fstatfs64", "ftime", "ftruncate64", "futex_time64", "getegid32", "geteuid32",
	       "getgid32", "getgroups32", "getresgid32", "getresuid32", "getuid32", "gtty", "idle",
	       "io_pgetevents_time64", "ipc", "lchown32", "lock", "lstat64", "mmap2", "mpx",
	       "mq_timedreceive_time64", "mq_timedsend_time64", "multiplexer", "nice", "oldfstat",
	       "oldlstat", "oldolduname", "oldstat", "olduname", "pciconfig_iobase",
	       "pciconfig_read", "pciconfig_write", "ppoll_time64", "prof", "profil",
	       "pselect6_time64", "readdir", "recv", "recvmmsg_time64", "riscv_flush_icache",
	       "rt_sigtimedwait_time64", "rtas", "s390_guarded_storage", "s390_pci_mmio_read",
	       "s390_pci_mmio_write", "s390_runtime_instr", "s390_sthyi",
	       "sched_rr_get_interval_time64", "semtimedop_time64", "send", "sendfile64", "set_tls",
	       "setfsgid32", "setfsuid32", "setgid32", "setgroups32", "setregid32", "setresgid32",
	       "setresuid32", "setreuid32", "setuid32", "sgetmask", "sigaction", "signal",
	       "sigpending", "sigprocmask", "sigreturn", "sigsuspend", "socketcall", "spu_create",
	       "spu_run", "ssetmask", "stat64", "statfs64", "stime", "stty", "subpage_prot",
	       "swapcontext", "switch_endian", "sync_file_range2", "sys_debug_setcontext",
	       "syscall", "sysmips", "timer_gettime64", "timer_settime64", "timerfd",
	       "timerfd_gettime64", "timerfd_settime64", "truncate64", "ugetrlimit", "ulimit",
	       "umount", "usr26", "usr32", "utimensat_time64", "vm86", "vm86old", "waitpid")},
	{"@identity", "ask who one is: users, groups, capabilities",
	 CALLS("getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups",
	       "capget")},
	{"@identity-change", "become somebody else, give up capabilities",
	 CALLS("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
	       "setfsuid", "setfsgid", "capset")},
	{"@io-event", "wait for descriptors",
	 CALLS("poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl",
	       "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "signalfd",
	       "signalfd4")},
	{"@io_uring", "asynchronous input and output: its operations pass by the filter",
	 CALLS("io_uring_setup", "io_uring_enter", "io_uring_register")},
	{"@ipc", "System V and POSIX shared memory, semaphores, queues; files without a name",
	 CALLS("shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop", "semctl",
	       "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink", "mq_timedsend",
	       "mq_timedreceive", "mq_notify", "mq_getsetattr", "memfd_create", "memfd_secret",
	       "pipe", "pipe2")},
	{"@keyring", "the kernel's key store", CALLS("add_key", "request_key", "keyctl")},
	{"@memory", "allocate, map, lock and protect memory",
	 CALLS(MAPPING, "msync", "mincore", "mlock", "mlock2", "mlockall", "munlock", "munlockall",
	       "remap_file_pages", "pkey_alloc", "pkey_free", "pkey_mprotect", "memfd_create",
	       "memfd_secret", "map_shadow_stack", "mseal", "membarrier")},
	{"@modules", "modules of the kernel", CALLS(MODULES)},
	{"@mount", "change what is mounted where, and the root", CALLS(MOUNTING)},
	{"@mount-info", "ask what is mounted, and which namespaces there are",
	 CALLS("statmount", "listmount", "listns")},
	{"@namespaces", "make and enter namespaces (clone and clone3 can too, by their flags)",
	 CALLS("unshare", "setns", "listns")},
	{"@network-client", "sockets that connect to somebody",
	 CALLS("socket", "connect", "bind", SENDING, SOCKET_NAMES)},
	{"@network-local", "socket pairs, and sockets that one was given",
	 CALLS("socketpair", SENDING, SOCKET_NAMES)},
	{"@network-server", "sockets that wait for others",
	 CALLS("socket", "bind", "listen", "accept", "accept4", SENDING, SOCKET_NAMES)},
	{"@numa", "on which node memory is",
	 CALLS("mbind", "get_mempolicy", "set_mempolicy", "set_mempolicy_home_node",
	       "migrate_pages", "move_pages")},
	{"@obsolete", "calls that the kernel no longer carries out, or that nothing should use",
	 CALLS("_sysctl", "afs_syscall", "create_module", "epoll_ctl_old", "epoll_wait_old",
	       "get_kernel_syms", "getpmsg", "putpmsg", "lookup_dcookie", "nfsservctl",
	       "query_module", "remap_file_pages", "security", "sysfs", "tuxcall", "uselib",
	       "ustat", "vserver")},
	{"@perf", "measure the processor and the kernel", CALLS("perf_event_open")},
	{"@privileged", "what only an administrator of the machine has use for",
	 CALLS(MODULES, MOUNTING, REBOOTING, SWAPPING, RAW_IO, SETTING_TIME, "acct", "quotactl",
	       "quotactl_fd", "sethostname", "setdomainname", "syslog", "vhangup", "bpf",
	       "fanotify_init", "open_by_handle_at", "setns")},
	{"@process", "processes: start, end, wait for, sessions, what they are called",
	 CALLS(FORKING, "exit", "exit_group", "wait4", "waitid", "getpid", "getppid", "gettid",
	       "getpgid", "getpgrp", "getsid", "setpgid", "setsid", "prctl", "arch_prctl",
	       "set_tid_address", "pidfd_open", "pidfd_send_signal")},
	{"@random", "random numbers", CALLS("getrandom")},
	{"@raw-io", "input and output ports", CALLS(RAW_IO)},
	{"@reboot", "end or replace the kernel", CALLS(REBOOTING)},
	{"@resources", "limits and use of resources, facts of the system",
	 CALLS("getrlimit", "setrlimit", "prlimit64", "getrusage", "times", "sysinfo", "uname",
	       "getcpu")},
	{"@sandbox", "give up rights: Landlock, seccomp, security modules",
	 CALLS("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp",
	       "lsm_get_self_attr", "lsm_set_self_attr", "lsm_list_modules")},
	{"@scheduling", "priorities and processors",
	 CALLS("sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getattr",
	       "sched_setattr", "sched_getparam", "sched_setparam", "sched_getscheduler",
	       "sched_setscheduler", "sched_get_priority_max", "sched_get_priority_min",
	       "sched_rr_get_interval", "getpriority", "setpriority", "ioprio_get", "ioprio_set",
	       "rseq_slice_yield")},
	{"@signals", "send, handle and wait for signals",
	 CALLS("kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigaction", "rt_sigprocmask",
	       "rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait",
	       "rt_sigqueueinfo", "rt_tgsigqueueinfo", "sigaltstack", "signalfd", "signalfd4",
	       "pause", "restart_syscall")},
	{"@swap", "turn swap space on and off", CALLS(SWAPPING)},
	{"@terminal", "control terminals and all other devices: better give ioctl's cmd",
	 CALLS("ioctl")},
	{"@threads", "threads and what they lock by",
	 CALLS("clone", "clone3", "exit", "futex", "futex_wait", "futex_wake", "futex_requeue",
	       "futex_waitv", "set_robust_list", "get_robust_list", "set_tid_address", "gettid",
	       "tgkill", "rseq", "membarrier", "sched_yield", "sched_getaffinity", "arch_prctl",
	       "set_thread_area", "get_thread_area", MAPPING)},
	{"@time", "ask for the time, sleep, timers",
	 CALLS("time", "gettimeofday", "clock_gettime", "clock_getres", "nanosleep",
	       "clock_nanosleep", "alarm", "getitimer", "setitimer", "timer_create",
	       "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete",
	       "timerfd_create", "timerfd_settime", "timerfd_gettime", "times", "restart_syscall")},
	{"@time-set", "set the clock", CALLS(SETTING_TIME)},
	{"@userfaultfd", "handle one's own page faults: makes races in the kernel easy to win",
	 CALLS("userfaultfd")},
};
const size_t call_group_count = array_len(call_groups);

static int by_name(const void *key, const void *entry)
{
	return strcmp(key, ((const struct call_group *)entry)->name);
}

const struct call_group *group_find(const char *name)
{
	return bsearch(name, call_groups, call_group_count, sizeof(call_groups[0]), by_name);
}

const char *group_suggest(const char *name)
{
	const char *names[array_len(call_groups)];

	for (size_t i = 0; i < array_len(call_groups); i++)
		names[i] = call_groups[i].name;
	return str_nearest(name, names, array_len(names));
}
