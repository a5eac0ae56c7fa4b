/* io.h: files and folders, in a temporary folder of each test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "jail/base/io.h"

static char dir[] = "/tmp/test-io-XXXXXX";

static int enter_folder(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
	(void)state;
	return chdir("/") == 0 ? io_remove_tree(AT_FDCWD, dir, NULL) : -1;
}

static void put(const char *path, const char *text)
{
	assert_int_equal(io_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, NULL), 0);
}

static size_t entries(const char *path)
{
	auto_closedir DIR *d = opendir(path);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void reads_up_to_a_limit(void **state)
{
	auto_cleanup(buf) b = {0};
	struct err err = {0};

	(void)state;
	put("f", "0123456789");
	put("empty", "");
	buf_adds(&b, "> ");
	assert_int_equal(io_read_file(AT_FDCWD, "f", 10, &b, &err), 0);
	assert_string_equal(b.data, "> 0123456789");
	assert_int_equal(io_read_file(AT_FDCWD, "empty", 0, &b, &err), 0);
	assert_int_equal(b.len, 12);
	assert_int_equal(err.code, 0);
	assert_int_equal(io_read_file(AT_FDCWD, "f", 9, &b, &err), -EFBIG);
	assert_string_equal(err.msg, "f: larger than 9 bytes");
	assert_int_equal(io_read_file(AT_FDCWD, "none", 9, &b, &err), -ENOENT);
	assert_string_equal(err.msg, "none: No such file or directory");
	assert_int_equal(io_read_file(AT_FDCWD, ".", 9, &b, &err), -EISDIR);
	assert_int_equal(io_read_file(AT_FDCWD, "none", 9, &b, NULL), -ENOENT);
}

static void reads_from_a_pipe(void **state)
{
	auto_cleanup(buf) b = {0};
	int p[2], status;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char chunk[1000];

		memset(chunk, 'x', sizeof(chunk));
		for (int i = 0; i < 300; i++)
			if (io_write_all(p[1], chunk, sizeof(chunk)))
				_exit(1);
		_exit(0);
	}
	close(p[1]);
	assert_int_equal(io_read_fd(p[0], 300000, &b, NULL), 0);
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(b.len, 300000);
	assert_int_equal(strspn(b.data, "x"), 300000);
}

static void writes_in_one_step(void **state)
{
	auto_cleanup(buf) b = {0};
	struct err err = {0};
	struct stat st;

	(void)state;
	put("f", "old");
	put("f", "new");
	assert_int_equal(io_read_file(AT_FDCWD, "f", 100, &b, &err), 0);
	assert_string_equal(b.data, "new");
	umask(022);
	assert_int_equal(io_write_atomic(AT_FDCWD, "g", "x", 1, 0666, &err), 0);
	assert_int_equal(stat("g", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(io_write_atomic(AT_FDCWD, "no/f", "x", 1, 0644, &err), -ENOENT);
	/* the rename fails: nothing is left behind */
	assert_int_equal(mkdir("folder", 0755), 0);
	assert_int_equal(io_write_atomic(AT_FDCWD, "folder", "x", 1, 0644, &err), -EISDIR);
	assert_int_equal(strncmp(err.msg, "write folder: ", 14), 0);
	assert_int_equal(entries("."), 3);
}

static void a_full_disk_keeps_the_old_file(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(io_write_all(fd, "x", 1), -ENOSPC);
	close(fd);
	assert_int_equal(io_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(io_write_all(-1, "x", 0), 0);
}

static void makes_folders(void **state)
{
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_int_equal(io_mkdirs("a/b/c", 0755, &err), 0);
	assert_int_equal(io_mkdirs("a/b/c", 0755, &err), 0);
	assert_int_equal(io_mkdirs("a/b/d/", 0755, &err), 0);
	assert_int_equal(io_mkdirs("/tmp", 0755, &err), 0);
	assert_int_equal(io_mkdirs("/", 0755, &err), 0);
	assert_true(stat("a/b/d", &st) == 0 && S_ISDIR(st.st_mode));
	assert_int_equal(err.code, 0);
	put("file", "");
	assert_int_equal(io_mkdirs("file", 0755, &err), -ENOTDIR);
	assert_int_equal(io_mkdirs("file/below", 0755, &err), -ENOTDIR);
	assert_int_equal(io_mkdirs("", 0755, &err), -ENOENT);
}

static void removes_without_following(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(io_mkdirs("t/a/b", 0755, NULL), 0);
	assert_int_equal(io_mkdirs("keep", 0755, NULL), 0);
	put("t/a/f", "x");
	put("keep/f", "x");
	assert_int_equal(symlink("../../keep", "t/a/link"), 0);
	assert_int_equal(symlink("nowhere", "t/dangling"), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, "t", &err), 0);
	assert_false(io_exists("t"));
	assert_true(io_exists("keep/f"));
	assert_int_equal(io_remove_tree(AT_FDCWD, "t", &err), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, "keep/f", &err), 0);
	assert_int_equal(symlink("keep", "link"), 0);
	assert_int_equal(io_remove_tree(AT_FDCWD, "link", &err), 0);
	assert_true(io_exists("keep"));
	assert_int_equal(err.code, 0);
}

static void sums_sizes(void **state)
{
	static char block[1 << 16];

	(void)state;
	memset(block, 1, sizeof(block));
	assert_int_equal(io_tree_size("none"), 0);
	assert_int_equal(io_mkdirs("t/a", 0755, NULL), 0);
	assert_int_equal(io_write_atomic(AT_FDCWD, "t/f", block, sizeof(block), 0644, NULL), 0);
	assert_int_equal(io_write_atomic(AT_FDCWD, "t/a/f", block, sizeof(block), 0644, NULL), 0);
	assert_int_equal(symlink("f", "t/link"), 0);
	assert_in_range(io_tree_size("t"), 2 * sizeof(block), 3 * sizeof(block) - 1);
}

static void locks_exclude(void **state)
{
	int fd, status;
	pid_t pid;

	(void)state;
	fd = io_lock_file("lock", IO_LOCK_WAIT, NULL);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	pid = fork();
	if (pid == 0)
		_exit(io_lock_file("lock", IO_LOCK_TRY, NULL) == -EWOULDBLOCK ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	fd = io_lock_file("lock", IO_LOCK_TRY, NULL);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(io_lock_file("none/lock", IO_LOCK_TRY, NULL), -ENOENT);
}

/* Its holder removes the file: who waited must not hold what others no longer see. */
static void a_removed_lock_excludes(void **state)
{
	int fd = io_lock_file("lock", IO_LOCK_WAIT, NULL), said[2], status;
	char c;
	pid_t pid;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pipe(said), 0);
	pid = fork();
	if (pid == 0) {
		close(fd);
		if (write(said[1], "w", 1) != 1 || io_lock_file("lock", IO_LOCK_WAIT, NULL) < 0 ||
		    write(said[1], "h", 1) != 1)
			_exit(1);
		_exit(pause());
	}
	close(said[1]);
	assert_int_equal(read(said[0], &c, 1), 1);
	usleep(50000); /* it waits by now; if not, this test passes for nothing, but never fails */
	assert_int_equal(unlink("lock"), 0);
	close(fd);
	assert_int_equal(read(said[0], &c, 1), 1);
	fd = io_lock_file("lock", IO_LOCK_TRY, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(said[0]);
	assert_int_equal(fd, -EWOULDBLOCK);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_folder(reads_up_to_a_limit),
		in_folder(reads_from_a_pipe),
		in_folder(writes_in_one_step),
		in_folder(a_full_disk_keeps_the_old_file),
		in_folder(makes_folders),
		in_folder(removes_without_following),
		in_folder(sums_sizes),
		in_folder(locks_exclude),
		in_folder(a_removed_lock_excludes),
	};

	return cmocka_run_group_tests_name("io", tests, NULL, NULL);
}
