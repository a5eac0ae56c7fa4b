/* make.h: what it says about failures, and that nothing it started outlives it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "jail/base/io.h"
#include "lab/kbuild/make.h"

static char obj[] = "/tmp/test-make-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(obj) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return io_remove_tree(AT_FDCWD, obj, NULL);
}

static int sh(const char *script, const struct make_run *how, struct err *err)
{
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
	struct make_run run = *how;

	run.argv = argv;
	return make_run(&run, err);
}

static void object_lines(void **state)
{
	static const struct {
		const char *line;
		bool is;
	} rows[] = {{"  CC      fs/open.o", true},
		    {"  CC [M]  lib/test.o", true},
		    {"  AS      entry.o", true},
		    {"  AR      fs/built-in.a", true},
		    {"  LD      vmlinux.o", true},
		    {"  LDS     arch/x86/x.lds", false},
		    {"  HOSTCC  scripts/x", false},
		    {"  CALL    scripts/x.sh", false},
		    {"fs/open.c:1: warning: x", false},
		    {"", false},
		    {"  CC", false},
		    {"CC      x", false}};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++)
		assert_int_equal(make_line_is_object(rows[i].line), rows[i].is);
}

static void count_line(void *data, const char *line)
{
	unsigned int *n = data;

	assert_true(strlen(line) <= MAKE_LINE_MAX);
	*n += make_line_is_object(line);
}

static void lines_and_log(void **state)
{
	auto_free char *path = path_join(obj, "log");
	auto_cleanup(buf) log = {0};
	struct err err = {0};
	unsigned int n = 0;
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(sh("echo '  CC      a.o'; echo '  AS      b.o' >&2; printf '  LD      c'; "
			    "head -c 10000 /dev/zero",
			    &(struct make_run){.log = fd, .line = count_line, .data = &n}, &err),
			 0);
	assert_int_equal(n, 3);
	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &log, NULL), 0);
	assert_int_equal(log.len, 14 + 14 + 11 + 10000);
	close(fd);
}

static void environment_is_clean(void **state)
{
	struct err err = {0};

	(void)state;
	setenv("MAKEFLAGS", "-k", 1);
	setenv("KCONFIG_CONFIG", "x", 1);
	setenv("CCACHE_DIR", "/c", 1);
	assert_int_equal(sh("[ -z \"$MAKEFLAGS$KCONFIG_CONFIG\" ] && [ $CCACHE_DIR = /c ] && "
			    "[ $LC_ALL = C ] && [ -n \"$PATH\" ] && [ $PWD = /usr ]",
			    &(struct make_run){.log = -1, .dir = "/usr"}, &err),
			 0);
	unsetenv("MAKEFLAGS");
	unsetenv("KCONFIG_CONFIG");
	unsetenv("CCACHE_DIR");
}

static void failures(void **state)
{
	static const struct {
		const char *script, *says;
	} rows[] = {
		{"echo '/s/rc/kernel/two.c:3:9: error: no x'; echo 'make: *** [M:1: a] Error 1'",
		 "sh failed: kernel/two.c:3:9: error: no x; all it said is in /log"},
		{"echo 'a.c:1:1: warning: z'; echo 'a.c:1:2: error: y'; echo 'b.c:2:1: error: x'",
		 "sh failed: a.c:1:2: error: y (and 1 more); all it said is in /log"},
		{"echo '/bin/sh: 1: lz4c: not found'; echo 'make[2]: *** [x] Error 127'",
		 "sh failed: /bin/sh: 1: lz4c: not found; all it said is in /log"},
		{"echo \"make[1]: *** No rule to make target 'x'.  Stop.\"; echo 'make: *** [M] "
		 "Error 2'",
		 "sh failed: No rule to make target 'x'.  Stop.; all it said is in /log"},
		{"echo '*** Compiler is too old.'; echo '***   Your GCC version:    4.0'",
		 "sh failed: *** Compiler is too old. (and 1 more); all it said is in /log"},
		{"echo 'a.c: cat: x: No such file or directory'; echo 'ld: error: undefined: y'",
		 "sh failed: ld: error: undefined: y; all it said is in /log"},
		{"echo something; echo 'make: *** [M:1: a] Error 1'",
		 "sh failed: something; all it said is in /log"},
		{"printf 'error: \\033[31mred'", "sh failed: error: ?[31mred; all it said is in "
						 "/log"},
		{"true", "sh failed: exit code 3; all it said is in /log"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		auto_free char *script = str_printf("%s; exit 3", rows[i].script);
		struct err err = {0};

		assert_int_equal(
			sh(script,
			   &(struct make_run){.log = -1, .log_path = "/log", .source = "/s/rc"},
			   &err),
			-EIO);
		assert_string_equal(err.msg, rows[i].says);
	}
}

static void a_full_disk(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(sh("echo 'a.c:1: fatal error: write x: No space left on device'; exit 2",
			    &(struct make_run){.log = -1, .obj = obj}, &err),
			 -ENOSPC);
	assert_non_null(strstr(err.msg, "no space left in /tmp"));
	assert_non_null(strstr(err.msg, "goes on where it was"));
}

static volatile int cancelled;

static void cancel_on_line(void *data, const char *line)
{
	if (!cancelled) /* after that a shell may say that it was terminated */
		*(pid_t *)data = atoi(line);
	cancelled = 1;
}

static bool gone_within(pid_t pid, int ms)
{
	for (; ms > 0 && kill(pid, 0) == 0; ms -= 20)
		usleep(20000);
	return kill(pid, 0) < 0;
}

static void cancelled_with_all_it_started(void **state)
{
	auto_free char *mark = path_join(obj, MAKE_MARK);
	struct err err = {0};
	pid_t inner = 0;

	(void)state;
	cancelled = 0;
	assert_int_equal(sh("sh -c 'echo $$; sleep 60; true'; true",
			    &(struct make_run){.log = -1,
					       .obj = obj,
					       .cancel = &cancelled,
					       .line = cancel_on_line,
					       .data = &inner},
			    &err),
			 -EINTR);
	assert_true(inner > 0 && gone_within(inner, 3000));
	assert_false(io_exists(mark));
}

/* The process that runs it is killed: what it started ends by itself, tidily. */
static void ends_with_who_started_it(void **state)
{
	auto_free char *mark = path_join(obj, MAKE_MARK), *file = path_join(obj, "pid");
	auto_cleanup(buf) text = {0};
	pid_t runner;

	(void)state;
	runner = fork();
	if (runner == 0) {
		sh("echo $$ >pid.new; mv pid.new pid; sleep 60; true",
		   &(struct make_run){.log = -1, .obj = obj, .dir = obj}, NULL);
		_exit(0);
	}
	for (int i = 0; i < 500 && !io_exists(file); i++)
		usleep(10000);
	assert_true(io_exists(mark));
	assert_int_equal(io_read_file(AT_FDCWD, file, 64, &text, NULL), 0);
	kill(runner, SIGKILL);
	waitpid(runner, NULL, 0);
	assert_true(gone_within(atoi(text.data), 5000));
	for (int i = 0; i < 100 && io_exists(mark); i++)
		usleep(20000);
	assert_false(io_exists(mark));
}

/* What writes faster than it is read is ended too, before the limit of its files ends it. */
static void says_too_much(void **state)
{
	int log = memfd_create("log", MFD_CLOEXEC);
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_int_equal(sh("ulimit -f 2000000; exec yes '  CC      a.o'",
			    &(struct make_run){.log = log, .log_path = "/log"}, &err),
			 -EFBIG);
	assert_string_equal(err.msg, "sh said more than 256 MiB: see /log");
	assert_int_equal(fstat(log, &st), 0);
	assert_true(st.st_size < 2000000LL * 512);
	close(log);
}

static void touch_at(const char *name, time_t when)
{
	auto_free char *path = path_join(obj, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	futimens(fd, (struct timespec[]){{.tv_sec = when}, {.tv_sec = when}});
	close(fd);
}

static void repair(void **state)
{
	static const struct {
		const char *name;
		time_t when;
		bool stays;
	} rows[] = {{"old.o", 1000, true},  {"new.o", 1970, false},	 {"vmlinux", 2000, false},
		    {"new.c", 2000, true},  {"new.h", 1990, true},	 {".config", 2000, true},
		    {"old.ko", 1939, true}, {"built-in.a", 1999, false}, {"bzImage", 2000, false}};

	(void)state;
	for (int marked = 0; marked < 2; marked++) {
		struct err err = {0};

		for (size_t i = 0; i < array_len(rows); i++)
			touch_at(rows[i].name, rows[i].when);
		if (marked)
			touch_at(MAKE_MARK, 1);
		assert_int_equal(make_repair(obj, &err), 0);
		for (size_t i = 0; i < array_len(rows); i++) {
			auto_free char *path = path_join(obj, rows[i].name);

			assert_int_equal(io_exists(path), rows[i].stays || !marked);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(object_lines),
		cmocka_unit_test(lines_and_log),
		cmocka_unit_test(environment_is_clean),
		cmocka_unit_test(failures),
		cmocka_unit_test(a_full_disk),
		cmocka_unit_test(cancelled_with_all_it_started),
		cmocka_unit_test(ends_with_who_started_it),
		cmocka_unit_test(says_too_much),
		cmocka_unit_test(repair),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
