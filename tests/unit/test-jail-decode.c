/* System calls as lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "jail/base/str.h"
#include "jail/learn/decode.h"

/* The program's memory: this much of it from BASE on, and nothing else. */
enum { BASE = 0x1000, SIZE = 0x1000 };

static ssize_t read_memory(void *context, uint64_t address, void *to, size_t size)
{
	if (address < BASE || address >= BASE + SIZE)
		return -EFAULT;
	if (size > BASE + SIZE - address)
		return -EFAULT; /* as process_vm_readv does: never past what is mapped */
	memcpy(to, (const char *)context + (address - BASE), size);
	return (ssize_t)size;
}

static char memory[SIZE];
static const struct call_memory reader = {read_memory, memory};

static void check(enum arch arch, int nr, const uint64_t args[6], const struct call_memory *from,
		  const char *expected)
{
	auto_cleanup(buf) out = {0};

	call_print(&out, arch, nr, args, from);
	assert_string_equal(out.data, expected);
}

static int nr_of(const char *name, enum arch arch)
{
	const struct syscall_def *call = syscall_find(name);

	assert_non_null(call);
	assert_true(call->nr[arch] >= 0);
	return call->nr[arch];
}

static void registers_become_text(void **state)
{
	static const struct {
		const char *call;
		enum arch arch;
		uint64_t args[6];
		const char *expected;
	} cases[] = {
		{"openat",
		 ARCH_AMD64,
		 {-100ULL, 0x1000, 02000000, 0x1b6},
		 "openat(AT_FDCWD, 0x1000, O_RDONLY|O_CLOEXEC)"},
		{"openat",
		 ARCH_AMD64,
		 {0xffffff9c, 0x1000, 0101, 0600},
		 "openat(AT_FDCWD, 0x1000, O_WRONLY|O_CREAT, 0600)"},
		{"openat", ARCH_ARM64, {3, 0, 040000, 0}, "openat(3, NULL, O_RDONLY|O_DIRECTORY)"},
		{"mkdirat", ARCH_ARM64, {5, 0x1000, 0755}, "mkdirat(5, 0x1000, 0755)"},
		{"close", ARCH_AMD64, {-1ULL}, "close(-1)"},
		{"close", ARCH_AMD64, {0xdead00000003}, "close(3)"},
		{"socket",
		 ARCH_ARM64,
		 {2, 02000001, 6},
		 "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 6)"},
		{"mmap",
		 ARCH_AMD64,
		 {0, 8192, 3, 0x22, -1ULL, 0},
		 "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)"},
		{"getppid", ARCH_AMD64, {77, 88}, "getppid()"},
		{"lseek", ARCH_AMD64, {4, -8ULL, 1}, "lseek(4, -8, SEEK_CUR)"},
		{"read",
		 ARCH_AMD64,
		 {0, 0x7ffc00000000, 0x123456789a},
		 "read(0, 0x7ffc00000000, 0x123456789a)"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		check(cases[i].arch, nr_of(cases[i].call, cases[i].arch), cases[i].args, NULL,
		      cases[i].expected);
}

static void a_number_without_a_name(void **state)
{
	static const uint64_t args[6] = {1, 0x7f, 0, 0, 0, 0xffffffffffffffff};

	(void)state;
	check(ARCH_AMD64, 1000, args, NULL, "syscall_1000(0x1, 0x7f, 0, 0, 0, 0xffffffffffffffff)");
	check(ARCH_ARM64, -1, args, &reader, "syscall_-1(0x1, 0x7f, 0, 0, 0, 0xffffffffffffffff)");
	check(ARCH_AMD64, 0x40000000, args, NULL,
	      "syscall_1073741824(0x1, 0x7f, 0, 0, 0, 0xffffffffffffffff)");
}

static void strings_are_read(void **state)
{
	int nr = nr_of("openat", ARCH_AMD64);
	auto_cleanup(buf) expected = {0};

	(void)state;
	strcpy(memory, "/etc/pass\"wd\033[31m");
	check(ARCH_AMD64, nr, (uint64_t[6]){-100ULL, BASE}, &reader,
	      "openat(AT_FDCWD, \"/etc/pass\\\"wd?[31m\", O_RDONLY)");
	memset(memory, 'x', sizeof(memory));
	buf_adds(&expected, "openat(AT_FDCWD, \"");
	for (int i = 0; i < CALL_STRING_MAX; i++)
		buf_adds(&expected, "x");
	buf_adds(&expected, "…\", O_RDONLY)");
	check(ARCH_AMD64, nr, (uint64_t[6]){-100ULL, BASE}, &reader, expected.data);
	/* up to the end of what is mapped; an address that is not */
	check(ARCH_AMD64, nr, (uint64_t[6]){-100ULL, BASE + SIZE - 3}, &reader,
	      "openat(AT_FDCWD, \"xxx…\", O_RDONLY)");
	check(ARCH_AMD64, nr, (uint64_t[6]){-100ULL, 0xffffffffffffffff}, &reader,
	      "openat(AT_FDCWD, 0xffffffffffffffff, O_RDONLY)");
}

static void argv_is_read(void **state)
{
	static const uint64_t list[] = {BASE + 0x100, BASE + 0x110, 0};
	uint64_t many[SIZE / 16];

	(void)state;
	memset(memory, 0, sizeof(memory));
	strcpy(memory, "/bin/sh");
	strcpy(memory + 0x100, "sh");
	strcpy(memory + 0x110, "-c");
	memcpy(memory + 0x200, list, sizeof(list));
	check(ARCH_ARM64, nr_of("execve", ARCH_ARM64), (uint64_t[6]){BASE, BASE + 0x200, 0x9000},
	      &reader, "execve(\"/bin/sh\", [\"sh\", \"-c\"], 0x9000)");
	for (size_t i = 0; i < array_len(many); i++)
		many[i] = BASE + 0x100;
	memcpy(memory + 0x800, many, sizeof(many));
	check(ARCH_ARM64, nr_of("execve", ARCH_ARM64), (uint64_t[6]){BASE, BASE + 0x800, 0},
	      &reader,
	      "execve(\"/bin/sh\", [\"sh\", \"sh\", \"sh\", \"sh\", \"sh\", \"sh\", …], NULL)");
}

static void socket_addresses_are_read(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(443)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/x.sock"};
	int nr = nr_of("connect", ARCH_AMD64);

	(void)state;
	memset(memory, 0, sizeof(memory));
	in.sin_addr.s_addr = htonl(0x0a000001);
	in6.sin6_addr.s6_addr[15] = 1;
	memcpy(memory, &in, sizeof(in));
	memcpy(memory + 0x100, &in6, sizeof(in6));
	memcpy(memory + 0x200, &un, sizeof(un));
	check(ARCH_AMD64, nr, (uint64_t[6]){3, BASE, sizeof(in)}, &reader,
	      "connect(3, {AF_INET, 10.0.0.1:443}, 16)");
	check(ARCH_AMD64, nr, (uint64_t[6]){3, BASE + 0x100, sizeof(in6)}, &reader,
	      "connect(3, {AF_INET6, [::1]:53}, 28)");
	check(ARCH_AMD64, nr, (uint64_t[6]){3, BASE + 0x200, 110}, &reader,
	      "connect(3, {AF_UNIX, \"/run/x.sock\"}, 110)");
	/* too short for its family, abstract, without a name, larger than any */
	check(ARCH_AMD64, nr, (uint64_t[6]){3, BASE, 4}, &reader, "connect(3, {family 2}, 4)");
	memcpy(memory + 0x202, "\0bus", 4);
	check(ARCH_AMD64, nr, (uint64_t[6]){3, BASE + 0x200, 6}, &reader,
	      "connect(3, {AF_UNIX, @\"bus\"}, 6)");
	check(ARCH_AMD64, nr, (uint64_t[6]){3, BASE + 0x200, 2}, &reader,
	      "connect(3, {AF_UNIX}, 2)");
	check(ARCH_AMD64, nr, (uint64_t[6]){3, BASE, 0xffffffff}, &reader,
	      "connect(3, {AF_INET, 10.0.0.1:443}, -1)");
	check(ARCH_AMD64, nr, (uint64_t[6]){3, BASE, 1}, &reader, "connect(3, 0x1000, 1)");
	check(ARCH_AMD64, nr, (uint64_t[6]){3, BASE, 16}, NULL, "connect(3, 0x1000, 16)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_become_text),
		cmocka_unit_test(a_number_without_a_name),
		cmocka_unit_test(strings_are_read),
		cmocka_unit_test(argv_is_read),
		cmocka_unit_test(socket_addresses_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
