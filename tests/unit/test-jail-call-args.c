#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/base/str.h"
#include "jail/policy/call-args.h"

/* The tables themselves, as names. */
static const struct {
	const char *call, *args[6];
} rows[] = {
#define INT(n) #n
#define ENUM(n, c) #n
#define FLAGS(n, c) #n
#define MODE(n) #n
#define LONG(n) #n
#define LENUM(n, c) #n
#define LFLAGS(n, c) #n
#define FD(n) #n
#define DIRFD(n) #n
#define PTR(n) #n
#define PATH(n) #n
#define STRV(n) #n
#define SOCKADDR(n) #n
#define KINT(n) #n
#define KENUM(n, c) #n
#define KFLAGS(n, c) #n
#define KLFLAGS(n, c) #n
#include "jail/policy/call-args-table.inc"
};

static const struct {
	const char *name;
	uint64_t value[ARCH_COUNT];
} constants[] = {
#include "jail/policy/constant-table.inc"
};

/* The kernel's own values, from its sources: include/uapi, arch/<arch>/include/uapi. */
static void values(void **state)
{
	static const struct {
		const char *name;
		uint64_t amd64, arm64;
	} table[] = {
		{"AF_UNIX", 1, 1},
		{"AF_VSOCK", 40, 40},
		{"CLONE_NEWUSER", 0x10000000, 0x10000000},
		{"CLONE_IO", 0x80000000, 0x80000000},
		{"CLONE_INTO_CGROUP", 0x200000000, 0x200000000},
		/* where they differ */
		{"O_DIRECTORY", 0200000, 040000},
		{"O_DIRECT", 040000, 0200000},
		{"O_NOFOLLOW", 0400000, 0100000},
		{"O_LARGEFILE", 0100000, 0400000},
		{"O_TMPFILE", 020200000, 020040000},
		{"O_CLOEXEC", 02000000, 02000000},
		{"AT_FDCWD", -100, -100},
		{"PROT_EXEC", 4, 4},
		{"TIOCSTI", 0x5412, 0x5412},
		{"TIOCLINUX", 0x541c, 0x541c},
		{"TCGETS2", 0x802c542a, 0x802c542a},
		{"PR_SET_NO_NEW_PRIVS", 38, 38},
		{"PR_SET_MDWE", 65, 65},
		{"MADV_GUARD_INSTALL", 102, 102},
		{"BPF_PROG_LOAD", 5, 5},
		{"KEYCTL_JOIN_SESSION_KEYRING", 1, 1},
		{"PTRACE_SEIZE", 0x4206, 0x4206},
		{"SIGSYS", 31, 31},
		{"SECCOMP_SET_MODE_FILTER", 1, 1},
		{"ADDR_NO_RANDOMIZE", 0x40000, 0x40000},
		{"PER_LINUX32", 8, 8},
		{"MAP_32BIT", 0x40, 0x40},
		{"FUTEX_WAIT_BITSET_PRIVATE", 137, 137},
		{"ARCH_SET_FS", 0x1002, 0x1002},
		{"UFFD_USER_MODE_ONLY", 1, 1},
		{"EPOLL_CLOEXEC", 02000000, 02000000},
		{"RLIMIT_NOFILE", 7, 7},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		uint64_t value[ARCH_COUNT] = {0};

		if (constant_find(table[i].name, value) < 0)
			fail_msg("%s is not known", table[i].name);
		if (value[ARCH_AMD64] != table[i].amd64 || value[ARCH_ARM64] != table[i].arm64)
			fail_msg("%s is %#llx, %#llx", table[i].name,
				 (unsigned long long)value[ARCH_AMD64],
				 (unsigned long long)value[ARCH_ARM64]);
	}
}

static void unknown(void **state)
{
	uint64_t value[ARCH_COUNT];

	(void)state;
	assert_int_equal(constant_find("AF_UNIXX", value), -ENOENT);
	assert_int_equal(constant_find("", value), -ENOENT);
	assert_string_equal(constant_suggest("CLONE_NEWUSR"), "CLONE_NEWUSER");
	assert_string_equal(constant_suggest("af_unix"), "AF_UNIX");
	assert_null(constant_suggest("no such thing at all"));
}

static void arguments(void **state)
{
	static const struct {
		const char *call, *name;
		int arg, is_32bit;
	} table[] = {
		{"socket", "domain", 0, true}, {"socket", "arg0", 0, true},
		{"ioctl", "cmd", 1, true},     {"ioctl", "argp", 2, false},
		{"clone", "flags", 0, true},   {"unshare", "flags", 0, false},
		{"mmap", "prot", 2, false},    {"openat", "dirfd", 0, true},
		{"read", "count", 2, false},   {"read", "arg5", 5, false},
		{"getppid", "arg0", 0, false}, {"read", "arg6", -1, false},
		{"read", "arg", -1, false},    {"read", "arg00", -1, false},
		{"socket", "cmd", -1, false},  {"getppid", "x", -1, false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		const struct syscall_def *call = syscall_find(table[i].call);
		int arg = call_arg_find(call, table[i].name);

		assert_int_equal(arg, table[i].arg);
		if (arg >= 0)
			assert_int_equal(call_arg_is_32bit(call, arg), table[i].is_32bit);
	}
	assert_true(call_args(syscall_find("ioctl"))[1].is_learned);
	assert_false(call_args(syscall_find("read"))[0].is_learned);
}

static bool constant_with_prefix(const char *prefix)
{
	for (size_t i = 0; i < array_len(constants); i++)
		if (str_starts(constants[i].name, prefix))
			return true;
	return false;
}

/* Both are sorted (what is there is found), calls exist, and every prefix has a constant. */
static void tables_are_whole(void **state)
{
	uint64_t value[ARCH_COUNT];

	(void)state;
	for (size_t i = 0; i < array_len(constants); i++)
		assert_int_equal(constant_find(constants[i].name, value), 0);
	for (size_t i = 0; i < array_len(rows); i++) {
		const struct syscall_def *call = syscall_find(rows[i].call);
		const struct arg_def *args = call ? call_args(call) : NULL;

		if (!args || !args[0].name)
			fail_msg("%s is not found", rows[i].call);
		for (int a = 0; a < 6 && rows[i].args[a]; a++) {
			auto_cleanup(strv) prefixes = {0};

			assert_string_equal(args[a].name, rows[i].args[a]);
			assert_int_equal(call_arg_find(call, args[a].name), a);
			strv_split(&prefixes, args[a].constants ?: "", ' ');
			for (size_t p = 0; p < prefixes.n; p++)
				if (!constant_with_prefix(prefixes.items[p] +
							  (*prefixes.items[p] == '-')))
					fail_msg("%s: no constant starts with %s", rows[i].call,
						 prefixes.items[p]);
		}
	}
}

static void print(void **state)
{
	static const struct {
		const char *call;
		int arg;
		enum arch arch;
		uint64_t value;
		const char *want; /* NULL: false */
	} table[] = {
		{"openat", 2, ARCH_AMD64, 02000000, "O_RDONLY|O_CLOEXEC"},
		{"openat", 2, ARCH_AMD64, 02200000, "O_RDONLY|O_DIRECTORY|O_CLOEXEC"},
		{"openat", 2, ARCH_ARM64, 02040000, "O_RDONLY|O_DIRECTORY|O_CLOEXEC"},
		{"openat", 2, ARCH_AMD64, 0, "O_RDONLY"},
		{"openat", 2, ARCH_AMD64, 01101, "O_WRONLY|O_CREAT|O_TRUNC"},
		{"openat", 2, ARCH_AMD64, 04010000, "O_RDONLY|O_SYNC"},
		{"openat", 0, ARCH_AMD64, 0xffffff9c, "AT_FDCWD"},
		{"openat", 0, ARCH_AMD64, -100, "AT_FDCWD"},
		{"openat", 0, ARCH_AMD64, 3, NULL},
		{"openat", 3, ARCH_AMD64, 0644, NULL}, /* modes are octal */
		{"socket", 0, ARCH_AMD64, 1, "AF_UNIX"},
		{"socket", 0, ARCH_AMD64, 16, "AF_NETLINK"},
		{"socket", 0, ARCH_AMD64, 4000, NULL},
		{"socket", 0, ARCH_AMD64, 0x700000001, "AF_UNIX"}, /* the kernel takes an int */
		{"socket", 1, ARCH_AMD64, 02004001, "SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC"},
		{"socket", 1, ARCH_AMD64, 5, "SOCK_SEQPACKET"},
		{"mmap", 2, ARCH_AMD64, 0, "PROT_NONE"},
		{"mmap", 2, ARCH_AMD64, 3, "PROT_READ|PROT_WRITE"},
		{"mmap", 3, ARCH_AMD64, 0x22, "MAP_PRIVATE|MAP_ANONYMOUS"},
		{"mmap", 3, ARCH_AMD64, 1, "MAP_SHARED"},
		{"clone", 0, ARCH_AMD64, 0x1200011,
		 "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD"},
		{"clone", 0, ARCH_AMD64, 17, "SIGCHLD"},
		{"fcntl", 1, ARCH_AMD64, 4, "F_SETFL"},
		{"fcntl", 1, ARCH_AMD64, 1033, "F_ADD_SEALS"},
		{"prctl", 0, ARCH_AMD64, 15, "PR_SET_NAME"},
		{"prctl", 0, ARCH_AMD64, 1, "PR_SET_PDEATHSIG"},
		{"prctl", 0, ARCH_AMD64, 47, "PR_CAP_AMBIENT"},
		{"ioctl", 1, ARCH_AMD64, 0x5401, "TCGETS"},
		{"ioctl", 1, ARCH_AMD64, 0x5412, "TIOCSTI"},
		{"ioctl", 1, ARCH_AMD64, 0x541b, "FIONREAD"},
		{"kill", 1, ARCH_AMD64, 6, "SIGABRT"},
		{"kill", 1, ARCH_AMD64, 29, "SIGIO"},
		{"getsockopt", 1, ARCH_AMD64, 1, "SOL_SOCKET"},
		{"getsockopt", 1, ARCH_AMD64, 6, "IPPROTO_TCP"},
		{"futex", 1, ARCH_AMD64, 128, "FUTEX_WAIT_PRIVATE"},
		{"futex", 1, ARCH_AMD64, 393, "FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME"},
		{"madvise", 2, ARCH_AMD64, 8, "MADV_FREE"},
		{"ptrace", 0, ARCH_AMD64, 0x4206, "PTRACE_SEIZE"},
		{"epoll_ctl", 1, ARCH_AMD64, 1, "EPOLL_CTL_ADD"},
		{"access", 1, ARCH_AMD64, 0, "F_OK"},
		{"access", 1, ARCH_AMD64, 6, "R_OK|W_OK"},
		{"unlinkat", 2, ARCH_AMD64, 0x200, "AT_REMOVEDIR"},
		{"unlinkat", 2, ARCH_AMD64, 0x201, "AT_REMOVEDIR|0x1"},
		{"read", 0, ARCH_AMD64, 1, NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		const struct arg_def *arg = &call_args(syscall_find(table[i].call))[table[i].arg];
		auto_cleanup(buf) out = {0};
		bool is_named;

		buf_adds(&out, "-");
		is_named = constant_print(arg, table[i].arch, table[i].value, &out);
		if (is_named != !!table[i].want ||
		    strcmp(out.data + 1, table[i].want ? table[i].want : "") != 0)
			fail_msg("%s %#llx: %s, expected %s", table[i].call,
				 (unsigned long long)table[i].value, out.data + 1, table[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),    cmocka_unit_test(unknown),
		cmocka_unit_test(arguments), cmocka_unit_test(tables_are_whole),
		cmocka_unit_test(print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
