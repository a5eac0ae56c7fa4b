/* proc.h: helper programs, started for real. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "jail/base/proc.h"

static int sh(const char *script, struct buf *out, struct buf *errout, struct err *err)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};

	return proc_run(argv, out, errout, err);
}

static void exit_codes(void **state)
{
	static const struct {
		const char *script;
		int code;
	} rows[] = {{"true", 0},
		    {"exit 7", 7},
		    {"exit 255", 255},
		    {"kill -TERM $$", 128 + SIGTERM},
		    {"kill -KILL $$", 128 + SIGKILL}};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++)
		assert_int_equal(sh(rows[i].script, NULL, NULL, NULL), rows[i].code);
}

static void output_is_kept_apart(void **state)
{
	auto_cleanup(buf) out = {0}, errout = {0};

	(void)state;
	buf_adds(&out, "> ");
	assert_int_equal(sh("echo out; echo err >&2; cat; exit 3", &out, &errout, NULL), 3);
	assert_string_equal(out.data, "> out\n");
	assert_string_equal(errout.data, "err\n");
	assert_int_equal(sh("echo dropped; echo dropped >&2", NULL, NULL, NULL), 0);
}

static void a_flood_is_bounded(void **state)
{
	auto_cleanup(buf) out = {0}, errout = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(
		sh("head -c 1000000 /dev/zero >&2; head -c 3000000 /dev/zero", &out, &errout, &err),
		0);
	assert_int_equal(out.len, 3000000);
	assert_int_equal(errout.len, 65536);
	buf_reset(&out);
	assert_int_equal(sh("head -c 70000000 /dev/zero", &out, NULL, &err), -EFBIG);
	assert_string_equal(err.msg, "sh printed more than 64 MiB");
}

static void not_there(void **state)
{
	char *argv[] = {(char *)"no-such-program-anywhere", NULL};
	struct err err = {0};

	(void)state;
	assert_int_equal(proc_run(argv, NULL, NULL, &err), -ENOENT);
	assert_string_equal(err.msg, "start no-such-program-anywhere: No such file or directory");
	argv[0] = (char *)"/";
	assert_int_equal(proc_run(argv, NULL, NULL, &err), -EACCES);
}

/* What the caller ignores or blocks is not the helper's problem. (glibc ignores its own 32 and 33.)
 */
static void starts_clean(void **state)
{
	auto_cleanup(buf) out = {0};
	unsigned long long blocked = 1, ignored = 1;
	sigset_t set, old;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	assert_int_equal(sh("exec grep -E '^Sig(Blk|Ign):' /proc/self/status", &out, NULL, NULL),
			 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(sscanf(out.data, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0);
	assert_int_equal(ignored & 0x7fffffff, 0);
}

static void descriptors_are_handed_over(void **state)
{
	char *argv[] = {(char *)"sh", (char *)"-c",
			(char *)"read -r x; echo \"got $x\"; echo bad >&2", NULL};
	int in[2], out[2], errs[2], status;
	char text[64] = "";
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(errs, O_CLOEXEC), 0);
	pid = proc_spawn(argv, in[0], out[1], errs[1], NULL);
	assert_true(pid > 0);
	assert_int_equal(write(in[1], "it\n", 3), 3);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(proc_exit_code(status), 0);
	assert_int_equal(read(out[0], text, sizeof(text)), 7);
	assert_memory_equal(text, "got it\n", 7);
	assert_int_equal(read(errs[0], text, sizeof(text)), 4);
	for (int i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
		close(errs[i]);
	}
}

static void finds_programs(void **state)
{
	auto_free char *path = xstrdup(getenv("PATH"));
	auto_free char *there = NULL, *relative = NULL, *not_there = NULL;

	(void)state;
	setenv("PATH", "/nowhere::bin:/bin", 1);
	there = proc_find("sh");
	not_there = proc_find("no-such-program");
	setenv("PATH", "bin:../bin", 1);
	relative = proc_find("sh");
	setenv("PATH", path, 1);
	assert_string_equal(there, "/bin/sh");
	assert_null(not_there);
	assert_null(relative);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_codes),	      cmocka_unit_test(output_is_kept_apart),
		cmocka_unit_test(a_flood_is_bounded), cmocka_unit_test(not_there),
		cmocka_unit_test(starts_clean),	      cmocka_unit_test(descriptors_are_handed_over),
		cmocka_unit_test(finds_programs),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
