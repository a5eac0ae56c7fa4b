/* From what was seen to the smallest policy: what it holds, and what it leaves out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>

#include "jail/learn/learn-text.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-print.h"

static struct learn *learn;
static struct policy learned;
static struct strv rules, notes;

static int start(void **state)
{
	(void)state;
	learn = learn_create();
	return 0;
}

static void forget_policy(void)
{
	policy_deinit(&learned);
	strv_deinit(&rules);
	strv_deinit(&notes);
	rules = notes = (struct strv){0};
}

static int end(void **state)
{
	(void)state;
	forget_policy();
	learn_destroy(learn);
	return 0;
}

static void load(const char *text, struct policy *ret)
{
	struct err err = {0};

	if (policy_load_text("p.yml", text, strlen(text), ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static void read_text(const char *text)
{
	struct err err = {0};

	if (learn_add_text(learn, "in", text, strlen(text), &notes, &err) < 0)
		fail_msg("%s", err.msg);
}

/* Rules as they are printed, those that refuse with '!' before them. */
static void finish(const struct policy *base)
{
	forget_policy();
	learn_finish(learn, base, &learned, &notes);
	for (size_t i = 0; i < learned.n; i++) {
		auto_cleanup(buf) text = {0};

		if (!policy_kind_allows(learned.rules[i].action.kind))
			buf_adds(&text, "!");
		if (learned.rules[i].when.arches)
			buf_adds(&text, "when: ");
		policy_rule_print(&learned.rules[i], &text);
		if (strv_has(&rules, text.data))
			fail_msg("'%s' is there twice", text.data);
		strv_add(&rules, text.data);
	}
}

static void has(const char *rule)
{
	if (strv_has(&rules, rule))
		return;
	for (size_t i = 0; i < rules.n; i++)
		print_error("# %s\n", rules.items[i]);
	fail_msg("no rule '%s'", rule);
}

static bool has_call(const char *call)
{
	for (size_t i = 0; i < learned.n; i++)
		if (str_eq(learned.rules[i].call->name, call))
			return true;
	return false;
}

static void lacks(const char *call)
{
	if (has_call(call))
		fail_msg("%s should not be there", call);
}

static void see(enum arch arch, const char *name, uint64_t a, uint64_t b, uint64_t c)
{
	const struct syscall_def *call = syscall_find(name);

	assert_non_null(call);
	assert_true(call->nr[arch] >= 0);
	learn_add(learn, arch, call->nr[arch], (uint64_t[6]){a, b, c});
}

static uint64_t count(const char *name)
{
	for (size_t i = 0; i < learned.n_frequency; i++)
		if (str_eq(learned.frequency[i].call->name, name))
			return learned.frequency[i].count;
	return 0;
}

static void families_are_whole(void **state)
{
	static const char *const expected[] = {
		"open",	  "openat", "openat2",	"faccessat", "faccessat2",
		"access", "select", "pselect6", "read",
	};

	(void)state;
	see(ARCH_AMD64, "openat", 0, 0, 0);
	see(ARCH_AMD64, "select", 0, 0, 0);
	see(ARCH_ARM64, "faccessat", 0, 0, 0);
	see(ARCH_ARM64, "read", 0, 0, 0);
	finish(NULL);
	for (size_t i = 0; i < array_len(expected); i++)
		has(expected[i]);
	lacks("write");
	lacks("stat");
	assert_int_equal(learned.fallback.kind, POLICY_ERRNO);
	assert_int_equal(learned.fallback.error, EPERM);
	assert_int_equal(count("openat"), 1);
	assert_int_equal(count("open"), 0);
}

/* The kernel and the vDSO: what is no doing of the program's. */
static void what_happens_to_every_program(void **state)
{
	(void)state;
	finish(NULL);
	has("rt_sigreturn");
	has("restart_syscall");
	has("clock_gettime");
	has("exit_group");
	lacks("brk");
	lacks("futex");
	lacks("kill");
}

#define NAMESPACES                                                                          \
	"CLONE_NEWNS|CLONE_NEWCGROUP|CLONE_NEWUTS|CLONE_NEWIPC|CLONE_NEWUSER|CLONE_NEWPID|" \
	"CLONE_NEWNET"

static void forks_make_no_namespaces(void **state)
{
	static const char none[] = "clone: {flags: {masked_eq: "
				   "[" NAMESPACES ", 0]}}";

	(void)state;
	see(ARCH_AMD64, "clone3", 0x7fff0000, 88, 0);
	finish(NULL);
	has(none);
	has("fork");
	has("vfork");
	has("futex");
	lacks("clone3");
	/* clone with other flags is the same call, unless it makes a namespace */
	see(ARCH_ARM64, "clone", CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0);
	see(ARCH_AMD64, "clone", 17, 0, 0);
	finish(NULL);
	has(none);
	see(ARCH_AMD64, "clone", CLONE_NEWUSER | 17, 0, 0);
	finish(NULL);
	assert_int_equal(count("clone"), 4);
	has("clone: {flags: {masked_eq: [" NAMESPACES ", CLONE_NEWUSER]}}");
}

static void values_that_are_kept(void **state)
{
	(void)state;
	see(ARCH_AMD64, "ioctl", 1, TCGETS, 0x7ffe);
	see(ARCH_AMD64, "ioctl", 2, 0xdead00000000ULL | TIOCGWINSZ, 0);
	see(ARCH_AMD64, "ioctl", 2, 0x12345678, 0);
	see(ARCH_AMD64, "socket", 1, 02000001, 0);
	see(ARCH_AMD64, "socket", 1, 2, 0);
	see(ARCH_ARM64, "socket", 16, 3, 0);
	see(ARCH_AMD64, "fcntl", 3, 1, 0);
	see(ARCH_AMD64, "prctl", 15, 0, 0);
	finish(NULL);
	has("ioctl: {cmd: TCGETS}");
	has("ioctl: {cmd: TIOCGWINSZ}");
	has("ioctl: {cmd: 0x12345678}");
	has("socket: {domain: AF_UNIX}");
	has("socket: {domain: AF_NETLINK, protocol: 0}");
	has("fcntl: {cmd: F_GETFD}");
	has("prctl: {option: PR_SET_NAME}");
	/* what is the same on each architecture and by name is one rule */
	see(ARCH_ARM64, "ioctl", 1, TCGETS, 0);
	finish(NULL);
	for (uint64_t i = 0; i <= LEARN_VALUES_MAX; i++)
		see(ARCH_AMD64, "ioctl", 1, 0x9000 + i, 0);
	finish(NULL);
	has("ioctl");
	assert_false(strv_has(&rules, "ioctl: {cmd: TCGETS}"));
}

static void memory_that_is_executed(void **state)
{
	(void)state;
	see(ARCH_AMD64, "mmap", 0, 4096, 1);
	see(ARCH_AMD64, "mmap", 0, 4096, 3);
	finish(NULL);
	has("mmap: {prot: {masked_eq: [PROT_EXEC, 0]}}");
	has("mprotect: {prot: {masked_eq: [PROT_EXEC, 0]}}");
	has("munmap");
	has("brk");
	see(ARCH_AMD64, "mmap", 0, 4096, 5);
	finish(NULL);
	has("mmap: {prot: {masked_eq: [PROT_WRITE|PROT_EXEC, PROT_EXEC]}}");
	see(ARCH_AMD64, "mprotect", 0, 4096, 7);
	finish(NULL);
	has("mprotect: {prot: {masked_eq: [PROT_WRITE|PROT_EXEC, PROT_WRITE|PROT_EXEC]}}");
}

static void what_is_not_learned_is_said(void **state)
{
	(void)state;
	learn_add(learn, ARCH_ARM64, 1000, (uint64_t[6]){0});
	learn_add(learn, ARCH_AMD64, 0x40000001, (uint64_t[6]){0});
	learn_add(learn, ARCH_AMD64, -1, (uint64_t[6]){0});
	see(ARCH_AMD64, "io_uring_setup", 8, 0, 0);
	finish(NULL);
	lacks("io_uring_setup");
	assert_int_equal(notes.n, 3);
	assert_true(str_starts(notes.items[0], "io_uring_setup, made 1 time, is left out: "));
	assert_string_equal(
		notes.items[1],
		"system call 1000 of arm64, made 1 time, has no name here: it is left out");
	assert_string_equal(notes.items[2], "2 calls by another ABI (32-bit, x32), left out");
	assert_int_equal(learn_add_name(learn, "opne", 1), -ENOENT);
}

/* What is printed reads back, and learning again from it changes nothing but counts. */
static void runs_merge(void **state)
{
	auto_cleanup(policy) earlier = {0};
	auto_cleanup(buf) text = {0};
	size_t n;

	(void)state;
	see(ARCH_AMD64, "openat", 0, 0, 0);
	see(ARCH_AMD64, "clone3", 0, 0, 0);
	see(ARCH_AMD64, "mmap", 0, 1, 5);
	see(ARCH_AMD64, "ioctl", 0, TCGETS, 0);
	finish(NULL);
	n = learned.n;
	policy_print(&learned, &text);
	load(text.data, &earlier);
	learn_destroy(learn);
	learn = learn_create();
	see(ARCH_ARM64, "openat", 0, 0, 0);
	see(ARCH_ARM64, "ioctl", 0, TCSETS, 0);
	learn_add_policy(learn, &earlier);
	finish(NULL);
	assert_int_equal(learned.n, n + 1);
	has("ioctl: {cmd: TCGETS}");
	has("ioctl: {cmd: TCSETS}");
	has("mmap: {prot: {masked_eq: [PROT_WRITE|PROT_EXEC, PROT_EXEC]}}");
	assert_int_equal(count("openat"), 2);
	assert_int_equal(count("ioctl"), 2);
	assert_int_equal(count("clone"), 1);
}

/* People edit what was learned: what they wrote stays, and decides. */
static void what_people_wrote_stays(void **state)
{
	auto_cleanup(policy) earlier = {0};

	(void)state;
	load("version: 1\nsummary: mine\ndefault: kill\nallow: [read, \"@file-write\", "
	     "{kill: {sig: {ge: 1}}}]\ndeny: [ptrace, {socket: {domain: AF_VSOCK}}]\n"
	     "limits: {fork: 3}\nwhen: [{arch: arm64, allow: [getpid]}]\n",
	     &earlier);
	learn_add_policy(learn, &earlier);
	see(ARCH_AMD64, "ptrace", 0, 0, 0);
	see(ARCH_AMD64, "write", 0, 0, 0);
	see(ARCH_AMD64, "getpid", 0, 0, 0);
	see(ARCH_AMD64, "clone3", 0, 0, 0);
	finish(NULL);
	assert_false(has_call("clone3"));
	learn_keep(&earlier, &learned);
	assert_true(has_call("clone3")); /* else the default would kill who starts a thread */
	assert_int_equal(notes.n, 1);
	assert_string_equal(notes.items[0], "ptrace was called, and stays refused: line 5 says so");
	has("!ptrace");
	has("!socket: {domain: AF_VSOCK}");
	has("kill: {sig: {ge: 1}}");
	has("read");
	has("getpid");
	has("when: getpid");
	assert_false(strv_has(&rules, "ptrace"));
	assert_string_equal(learned.summary, "mine");
	assert_int_equal(learned.fallback.kind, POLICY_KILL);
	assert_true(learned.settings.limits[LIMIT_FORK].is_set);
}

static void only_the_difference(void **state)
{
	auto_cleanup(policy) base = {0};

	(void)state;
	load("version: 1\ndefault: EPERM\nknown: 5.10\n"
	     "allow: [read, exit, exit_group, {mmap: {prot: {masked_eq: [PROT_EXEC, 0]}}},\n"
	     "  {socket: {domain: AF_UNIX, type: SOCK_STREAM}}, {ioctl: {cmd: {ne: TIOCSTI}}},\n"
	     "  {clone: {flags: {masked_eq: [CLONE_NEWUSER, 0]}}}, fork, vfork, open, openat]\n"
	     "deny: [{ioctl: {cmd: TIOCLINUX}}]\n"
	     "when: [{arch: amd64, allow: [getpid]}]\n",
	     &base);
	see(ARCH_AMD64, "read", 0, 0, 0);
	see(ARCH_AMD64, "write", 0, 0, 0);
	see(ARCH_AMD64, "openat", 0, 0, 0);
	see(ARCH_AMD64, "mmap", 0, 1, 3);
	see(ARCH_AMD64, "mmap", 0, 1, 5);
	see(ARCH_AMD64, "socket", 1, 1, 0);
	see(ARCH_AMD64, "ioctl", 0, TCGETS, 0);
	see(ARCH_AMD64, "ioctl", 0, TIOCSTI, 0);
	see(ARCH_AMD64, "ioctl", 0, TIOCLINUX, 0);
	see(ARCH_AMD64, "clone", 17, 0, 0);
	see(ARCH_AMD64, "getpid", 0, 0, 0);
	finish(&base);
	has("write");
	has("openat2"); /* the rest of the family, but for what libc does without */
	lacks("futex_waitv");
	has("mmap: {prot: {masked_eq: [PROT_WRITE|PROT_EXEC, PROT_EXEC]}}");
	has("socket: {domain: AF_UNIX}"); /* it has the type too, which is not kept */
	has("ioctl: {cmd: TIOCSTI}");
	has("ioctl: {cmd: TIOCLINUX}");
	has("getpid");		/* on arm64 */
	has("!clone3: ENOSYS"); /* EPERM there: libc would not take clone */
	lacks("read");
	lacks("openat");
	lacks("clone");
	assert_false(strv_has(&rules, "mmap: {prot: {masked_eq: [PROT_EXEC, 0]}}"));
	assert_false(strv_has(&rules, "ioctl: {cmd: TCGETS}"));
	assert_int_equal(learned.extends.n, 1);
	assert_string_equal(learned.extends.items[0], "p.yml");
	assert_int_equal(learned.fallback.kind, POLICY_UNSET);
}

static void lists_and_logs(void **state)
{
	(void)state;
	read_text("# a list\nread\n  write 12\n 3 openat\r\n\nread\n");
	read_text("% time     seconds  usecs/call     calls    errors syscall\n"
		  "------ ----------- ----------- --------- --------- ----------------\n"
		  " 50.00    0.000010           1        10           lseek\n"
		  " 50.00    0.000010           1         7         2 access\n"
		  "------ ----------- ----------- --------- --------- ----------------\n"
		  "100.00    0.000020                    17         2 total\n");
	read_text("[pid   123] ioctl(1, TCGETS, {c_iflag=ICRNL, c_cc=\"a)b\\\"\"}) = 0\n"
		  "124  12:34:56.789 ioctl(2, TIOCGWINSZ <unfinished ...>\n"
		  "124  <... ioctl resumed>, {ws_row=24}) = 0\n"
		  "0.000123 socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0) = 3\n"
		  "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_NEWUSER|SIGCHLD, "
		  "child_tidptr=0x7f) = 4\n"
		  "mmap(NULL, 8192, PROT_READ|PROT_EXEC, MAP_PRIVATE, 3, 0) = 0x7f\n"
		  "arch_prctl(0x3001 /* ARCH_??? */, 0x7ffc) = -1 EINVAL\n"
		  "execve(\"/bin/a(b\", [\"x\", \",\"], 0x7ff /* 23 vars */) = 0\n"
		  "prctl(PR_UNHEARD_OF, 1) = 0\nprctl(PR_UNHEARD_OF, 2) = 0\n"
		  "--- SIGCHLD {si_signo=SIGCHLD} ---\n+++ exited with 0 +++\n"
		  "strace: Process 124 attached\n");
	assert_int_equal(notes.n, 1);
	assert_string_equal(notes.items[0],
			    "in:9: the arguments of prctl could not be read: it counts as a whole");
	finish(NULL);
	assert_int_equal(count("read"), 2);
	assert_int_equal(count("write"), 12);
	assert_int_equal(count("openat"), 3);
	assert_int_equal(count("lseek"), 10);
	assert_int_equal(count("access"), 7);
	assert_int_equal(count("ioctl"), 2);
	has("ioctl: {cmd: TCGETS}");
	has("ioctl: {cmd: TIOCGWINSZ}");
	has("socket: {domain: AF_UNIX}");
	has("mmap: {prot: {masked_eq: [PROT_WRITE|PROT_EXEC, PROT_EXEC]}}");
	has("arch_prctl: {code: 0x3001}");
	has("execve");
	has("prctl");
	assert_true(has_call("clone"));
}

static void bad_text(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"read\n opne\n", "l:2:2: unknown system call 'opne' (did you mean 'open'?)"},
		{"opnat(3, 4) = 1", "l:1:1: unknown system call 'opnat' (did you mean 'openat'?)"},
		{"xyzzyplugh", "l:1:1: unknown system call 'xyzzyplugh'"},
		{"read 0", "l:1:6: a count expected, not '0'"},
		{"99999999999 read", "l:1:1: a count expected, not '99999999999'"},
		{"one two three", "l:1:1: a system call expected, not 'one two three'"},
		{"\033[2Jread", "l:1:1: unknown system call '?[2Jread'"},
		{"5", "l:1:1: unknown system call '5'"},
		{"(", "l:1:1: unknown system call '('"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct err err = {0};

		assert_int_equal(learn_add_text(learn, "l", cases[i].text, strlen(cases[i].text),
						&notes, &err),
				 -EINVAL);
		assert_string_equal(err.msg, cases[i].message);
	}
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, end)
	const struct CMUnitTest tests[] = {
		TEST(families_are_whole),
		TEST(what_happens_to_every_program),
		TEST(forks_make_no_namespaces),
		TEST(values_that_are_kept),
		TEST(memory_that_is_executed),
		TEST(what_is_not_learned_is_said),
		TEST(runs_merge),
		TEST(what_people_wrote_stays),
		TEST(only_the_difference),
		TEST(lists_and_logs),
		TEST(bad_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
