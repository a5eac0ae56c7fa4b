/* What a compiled policy does, tried in a child that loads it: judged by how the child ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/policy/policy-load.h"
#include "jail/seccomp.h"

enum { LOAD_FAILED = 99, CALL_OK = 0 };

/* Load the policy in a child and make the call there: its wait status; the exit code is errno. */
static int attempt(const char *text, long nr)
{
	auto_cleanup(seccomp_filter) filter = {0};
	auto_cleanup(policy) policy = {0};
	struct err err = {0};
	int status;
	pid_t pid;

	if (policy_load_text("p", text, strlen(text), &policy, &err) < 0 ||
	    seccomp_filter_compile(&policy, &filter, &err) < 0)
		fail_msg("%s", err.msg);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSYS, SIG_DFL); /* cmocka's handlers would call longjmp */
		signal(SIGSEGV, SIG_DFL);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seccomp_filter_load(&filter, &err) < 0)
			_exit(LOAD_FAILED);
		syscall(SYS_exit_group, syscall(nr, 0, 0, 0) < 0 ? errno : CALL_OK);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void exits(const char *text, long nr, int code)
{
	int status = attempt(text, nr);

	if (WIFEXITED(status) && WEXITSTATUS(status) == LOAD_FAILED) {
		print_message("# no filters can be loaded here\n");
		skip();
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		fail_msg("%s: call %ld: wait status %#x, expected exit %d", text, nr,
			 (unsigned int)status, code);
}

static void errno_is_what_the_call_gives(void **state)
{
	(void)state;
	exits("version: 1\ndefault: {errno: ENOTTY}\nallow: [exit_group]\n", SYS_getppid, ENOTTY);
	exits("version: 1\ndefault: errno\nallow: [exit_group]\n", SYS_getppid, EPERM);
}

static void allowed_is_untouched(void **state)
{
	(void)state;
	exits("version: 1\ndefault: kill\nallow: [exit_group, getppid]\n", SYS_getppid, CALL_OK);
	exits("version: 1\ndefault: allow\nallow: [getppid]\n", SYS_getppid, CALL_OK);
	exits("version: 1\ndefault: log\nallow: [exit_group]\n", SYS_getppid, CALL_OK);
}

static void kill_is_sigsys(void **state)
{
	int status = attempt("version: 1\ndefault: kill\nallow: [exit_group]\n", SYS_getppid);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* A number that libseccomp has no name for: ENOSYS or EFAULT come from the kernel, ENOTTY from us.
 */
static void newer_than_libseccomp(void **state)
{
	int status;

	(void)state;
	status = attempt("version: 1\ndefault: {errno: ENOTTY}\nallow: [exit_group, cachestat]\n",
			 451);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), ENOTTY);
	exits("version: 1\ndefault: {errno: ENOTTY}\nallow: [exit_group, mseal]\n", 451, ENOTTY);
}

static void execve_gets_through(void **state)
{
	(void)state;
	exits("version: 1\ndefault: {errno: ENOTTY}\nallow: [exit_group]\n", SYS_execve, EFAULT);
}

static void foreign_calls_do_nothing(void **state)
{
	(void)state;
	exits("version: 1\ndefault: kill\nallow: [exit_group, getppid, mmap2, socketcall]\n",
	      SYS_getppid, CALL_OK);
}

#ifdef __x86_64__
static void other_abis_get_the_default(void **state)
{
	enum { X32 = 0x40000000 };

	(void)state;
	exits("version: 1\ndefault: {errno: ENOTTY}\nallow: [exit_group, getppid]\n",
	      SYS_getppid | X32, ENOTTY);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errno_is_what_the_call_gives),
		cmocka_unit_test(allowed_is_untouched),
		cmocka_unit_test(kill_is_sigsys),
		cmocka_unit_test(newer_than_libseccomp),
		cmocka_unit_test(execve_gets_through),
		cmocka_unit_test(foreign_calls_do_nothing),
#ifdef __x86_64__
		cmocka_unit_test(other_abis_get_the_default),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
