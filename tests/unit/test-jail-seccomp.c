/*
 * A compiled policy in the kernel, in a child that loads it: judged by how the child ends, and
 * compared with the simulator.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/filter/simulate.h"
#include "jail/policy/policy-load.h"
#include "jail/system/seccomp.h"

enum { LOAD_FAILED = 99, CALL_OK = 0 };
#define COOKIE UINT64_C(0xfeedfacecafebeef)

struct call {
	long nr;
	uint64_t args[6];
};

static void compile(const struct policy *policy, struct filter *ret)
{
	const struct filter_options options = {.exec_cookie = COOKIE};
	const struct filter_target target = seccomp_target(0);
	auto_cleanup(filter_model) model = {0};
	struct err err = {0};

	if (filter_model_make(policy, &target, &model, &err) < 0 ||
	    filter_compile(&model, &options, ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static void compile_text(const char *text, struct filter *ret)
{
	auto_cleanup(policy) policy = {0};
	struct err err = {0};

	if (policy_load_text("p", text, strlen(text), &policy, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	compile(&policy, ret);
}

static long make(const struct call *call)
{
	const uint64_t *a = call->args;

	return syscall(call->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Load the filter in a child and make the call there: its wait status; the exit code is errno. */
static int attempt_filter(const struct filter *filter, const struct call *call)
{
	struct err err = {0};
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSYS, SIG_DFL); /* cmocka's handlers would call longjmp */
		signal(SIGSEGV, SIG_DFL);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seccomp_filter_load(filter, 0, &err) < 0)
			_exit(LOAD_FAILED);
		syscall(SYS_exit_group, make(call) < 0 ? errno : CALL_OK);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == LOAD_FAILED) {
		print_message("# no filters can be loaded here\n");
		skip();
	}
	return status;
}

static int attempt(const char *text, struct call call)
{
	auto_cleanup(filter) filter = {0};

	compile_text(text, &filter);
	return attempt_filter(&filter, &call);
}

static void exits(const char *text, struct call call, int code)
{
	int status = attempt(text, call);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		fail_msg("%s: call %ld: wait status %#x, expected exit %d", text, call.nr,
			 (unsigned int)status, code);
}

#define CALL(number, ...) ((struct call){.nr = (number), .args = {__VA_ARGS__}})
#define TEXT(rest) "version: 1\n" rest "\n"

static void errno_is_what_the_call_gives(void **state)
{
	(void)state;
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group]"), CALL(SYS_getppid), ENOTTY);
	exits(TEXT("default: errno\nallow: [exit_group]"), CALL(SYS_getppid), EPERM);
}

static void allowed_is_untouched(void **state)
{
	(void)state;
	exits(TEXT("default: kill\nallow: [exit_group, getppid]"), CALL(SYS_getppid), CALL_OK);
	exits(TEXT("default: allow\nallow: [getppid]"), CALL(SYS_getppid), CALL_OK);
	exits(TEXT("default: log\nallow: [exit_group]"), CALL(SYS_getppid), CALL_OK);
}

static void kill_is_sigsys(void **state)
{
	int status = attempt(TEXT("default: kill\nallow: [exit_group]"), CALL(SYS_getppid));

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* Numbers that libseccomp has no name for: ENOSYS or EFAULT come from the kernel, ENOTTY from us.
 */
static void newer_than_libseccomp(void **state)
{
	int status;

	(void)state;
	status = attempt(TEXT("default: {errno: ENOTTY}\nallow: [exit_group, cachestat]"),
			 CALL(451));
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), ENOTTY);
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group, mseal]"), CALL(451), ENOTTY);
}

static void a_number_nobody_knows_is_enosys(void **state)
{
	(void)state;
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group]"), CALL(999), ENOSYS);
}

/* Only the runtime's own execve gets through, by its sixth argument. */
static void execve_by_cookie_only(void **state)
{
	(void)state;
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group]"),
	      CALL(SYS_execve, 0, 0, 0, 0, 0, COOKIE), EFAULT);
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group]"), CALL(SYS_execve), ENOTTY);
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group]"),
	      CALL(SYS_execve, 0, 0, 0, 0, 0, COOKIE + 1), ENOTTY);
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group]"),
	      CALL(SYS_execve, 0, 0, 0, 0, 0, (uint32_t)COOKIE), ENOTTY);
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group]"),
	      CALL(SYS_getppid, 0, 0, 0, 0, 0, COOKIE), ENOTTY);
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group, execve]"), CALL(SYS_execve),
	      EFAULT);
}

static void foreign_calls_do_nothing(void **state)
{
	(void)state;
	exits(TEXT("default: kill\nallow: [exit_group, getppid, mmap2, socketcall]"),
	      CALL(SYS_getppid), CALL_OK);
}

#ifdef __x86_64__
static void other_abis_get_the_default(void **state)
{
	enum { X32 = 0x40000000 };

	(void)state;
	exits(TEXT("default: {errno: ENOTTY}\nallow: [exit_group, getppid]"),
	      CALL(SYS_getppid | X32), ENOTTY);
	exits(TEXT("default: allow"), CALL(SYS_getppid | X32), EPERM);
}

/* getppid by int 0x80: the 32-bit entry, where 64 is getppid and 1 exit. */
static void entry_of_32_bits(void **state)
{
	auto_cleanup(filter) filter = {0};
	struct err err = {0};
	int status;
	pid_t pid;

	(void)state;
	compile_text(TEXT("default: {errno: ENOTTY}\nallow: [exit_group, getppid, setgid]"),
		     &filter);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		long got = 64;

		signal(SIGSEGV, SIG_DFL);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seccomp_filter_load(&filter, 0, &err) < 0)
			_exit(LOAD_FAILED);
		__asm__ volatile("int $0x80" : "+a"(got) : : "memory", "r8", "r9", "r10", "r11");
		syscall(SYS_exit_group, got < 0 ? -got : CALL_OK);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) {
		print_message("# this kernel has no 32-bit entry\n");
		skip();
	}
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == ENOSYS) {
		print_message("# this kernel has no 32-bit entry\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), ENOTTY);
}
#endif

/* --- the kernel and the simulator ------------------------------------------------------------- */

static void add_cond(struct policy_rule *rule, unsigned char arg, enum policy_op op, bool is_32bit,
		     uint64_t value, uint64_t mask)
{
	struct policy_cond *cond = policy_add_cond(rule);

	*cond = (struct policy_cond){arg, op, is_32bit, {value, value}, {mask, mask}, NULL, NULL};
}

/* getppid ignores its arguments: an errno for each comparison, in the order of the errnos. */
static void fill_policy(struct policy *policy)
{
	static const struct {
		enum policy_op op;
		bool is_32bit;
		uint64_t value, mask;
	} conds[] = {
		{POLICY_EQ, false, UINT64_C(0x100000000), 0},
		{POLICY_EQ, true, 7, 0},
		{POLICY_MASKED_EQ, false, UINT64_C(0x200000000), UINT64_C(0xf00000001)},
		{POLICY_MASKED_EQ, true, 0, 0xff00},
		{POLICY_LT, false, 0x5000, 0},
		{POLICY_GT, true, 0xfffffff0, 0},
		{POLICY_GE, false, UINT64_C(0xfff0000000000000), 0},
		{POLICY_LE, true, 0x8000, 0},
		{POLICY_NE, false, 0x12345678, 0},
	};
	struct policy_rule *rule;

	*policy = (struct policy){.name = xstrdup("p"), .fallback = {POLICY_ALLOW, 0}};
	for (size_t i = 0; i < array_len(conds); i++) {
		rule = policy_add_rule(policy);
		rule->call = syscall_find("getppid");
		rule->action = (struct policy_action){POLICY_ERRNO, 100 + (int)i};
		add_cond(rule, 2, conds[i].op, conds[i].is_32bit, conds[i].value, conds[i].mask);
	}
}

static void kernel_and_simulator_agree(void **state)
{
	static const uint64_t words[] = {0,	     1,		 2,	    7,	    0x4fff,
					 0x5000,     0x8000,	 0x8001,    0xff00, 0x12345678,
					 0xfffffff0, 0xfffffff1, 0xffffffff};
	auto_cleanup(filter) filter = {0};
	auto_cleanup(policy) policy = {0};
	unsigned int seen[16] = {0};

	(void)state;
	fill_policy(&policy);
	compile(&policy, &filter);
	for (size_t high = 0; high < array_len(words); high++)
		for (size_t low = 0; low < array_len(words); low++) {
			struct call call = {SYS_getppid, {0, 0, words[high] << 32 | words[low]}};
			struct seccomp_data data = {.nr = SYS_getppid,
						    .arch = filter_audit_arch(arch_native()),
						    .args = {0, 0, call.args[2]}};
			uint32_t value = filter_simulate(&filter, &data, NULL);
			int want = value == SECCOMP_RET_ALLOW ? CALL_OK
							      : (int)(value & SECCOMP_RET_DATA);
			int status = attempt_filter(&filter, &call);

			if (!WIFEXITED(status) || WEXITSTATUS(status) != want)
				fail_msg("0x%llx: wait status %#x, expected exit %d",
					 (unsigned long long)call.args[2], (unsigned int)status,
					 want);
			seen[want ? want - 99 : 0]++;
		}
	for (size_t i = 1; i <= 9; i++)
		assert_int_not_equal(seen[i], 0); /* each comparison has had its say */
}

static void features(void **state)
{
	struct seccomp_features found = {0};
	struct err err = {0};
	int r = seccomp_probe(&found, &err);

	(void)state;
	if (r < 0) {
		assert_non_null(strstr(err.msg, "lab run"));
		print_message("# %s\n", err.msg);
		skip();
	}
	assert_true(found.kernel.part[0] >= 3);
	/* what an old kernel would say */
	found.kernel = (struct kver){{4, 19, 3}};
	found.has[SECCOMP_HAS_LISTENER] = false;
	assert_int_equal(seccomp_require(&found, SECCOMP_HAS_LISTENER, "--watch", &err), -ENOSYS);
	assert_string_equal(err.msg, "--watch needs seccomp user notification, which Linux 5.0 "
				     "brought; this is 4.19: use a newer one, as in lab run "
				     "--kernel 6.1");
	found.kernel = (struct kver){{6, 1, 0}};
	assert_int_equal(seccomp_require(&found, SECCOMP_HAS_LISTENER, "--watch", &err), -ENOSYS);
	assert_non_null(strstr(err.msg, "this kernel (6.1) was built without"));
}

/*
 * Where no filter can be loaded: which piece is missing, and what to do. The refusal is made by a
 * filter; an emulator of single programs (qemu-user) answers so.
 */
static void none_to_be_had(void **state)
{
	static const struct {
		const char *calls[2];
		int errors[2];
		const char *want;
	} table[] = {
		{{"seccomp"},
		 {EINVAL},
		 "seccomp(2) is refused (EINVAL) by a filter that is loaded already"},
		{{"seccomp", "prctl"},
		 {ENOSYS, EINVAL},
		 "no system-call filters: this is an emulator of single programs (qemu-user)"},
		{{"seccomp", "prctl"}, {EINVAL, EINVAL}, "emulator"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_cleanup(policy) policy = {.name = xstrdup("p"), .fallback = {POLICY_ALLOW, 0}};
		auto_cleanup(filter) filter = {0};
		struct seccomp_features found;
		struct err err = {0};
		int status;
		pid_t pid;

		for (size_t k = 0; k < 2 && table[i].calls[k]; k++) {
			struct policy_rule *rule = policy_add_rule(&policy);

			rule->call = syscall_find(table[i].calls[k]);
			rule->action = (struct policy_action){POLICY_ERRNO, table[i].errors[k]};
		}
		compile(&policy, &filter);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
			if (seccomp_filter_load(&filter, 0, &err) < 0)
				_exit(LOAD_FAILED);
			if (seccomp_probe(&found, &err) == 0)
				_exit(1);
			_exit(!strstr(err.msg, table[i].want) || !strstr(err.msg, "lab run"));
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errno_is_what_the_call_gives),
		cmocka_unit_test(allowed_is_untouched),
		cmocka_unit_test(kill_is_sigsys),
		cmocka_unit_test(newer_than_libseccomp),
		cmocka_unit_test(a_number_nobody_knows_is_enosys),
		cmocka_unit_test(execve_by_cookie_only),
		cmocka_unit_test(foreign_calls_do_nothing),
#ifdef __x86_64__
		cmocka_unit_test(other_abis_get_the_default),
		cmocka_unit_test(entry_of_32_bits),
#endif
		cmocka_unit_test(kernel_and_simulator_agree),
		cmocka_unit_test(features),
		cmocka_unit_test(none_to_be_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
