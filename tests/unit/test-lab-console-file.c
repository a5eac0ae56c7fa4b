/* A console that a guest floods stays bounded on disk, keeps its head and its tail, and its panic.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "jail/base/io.h"
#include "lab/machine/console-file.h"

enum { LIMIT = 1 << 20, LINE = 100, PIECE = 32 << 10 /* less than a socket holds */ };

struct fixture {
	char dir[64];
	int qemu; /* the other end: appends, as QEMU does */
	struct console_file console;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	auto_free char *path = NULL;

	strcpy(f->dir, "/tmp/test-console-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	path = path_join(f->dir, "console.log");
	assert_int_equal(io_write_atomic(AT_FDCWD, path, "old", 3, 0644, NULL), 0);
	assert_int_equal(console_file_open(&f->console, f->dir, LIMIT, NULL), 0);
	f->qemu = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(f->qemu >= 0);
	*state = f;
	return 0;
}

/* QEMU does not write the file, but to a socket. */
static int setup_socket(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	auto_close int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fixture *f;

	setup(state);
	f = *state;
	close(f->qemu);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/tty", f->dir);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(console_file_connect(&f->console, addr.sun_path, NULL), 0);
	f->qemu = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(f->qemu >= 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close(f->qemu);
	console_file_close(&f->console);
	io_remove_tree(AT_FDCWD, f->dir, NULL);
	free(f);
	return 0;
}

static void print(struct fixture *f, const char *text)
{
	for (size_t len = strlen(text), n; len; text += n, len -= n) {
		n = len < PIECE ? len : PIECE;
		assert_int_equal(io_write_all(f->qemu, text, n), 0);
		assert_int_equal(console_file_poll(&f->console, NULL), n);
	}
}

static uint64_t on_disk(struct fixture *f)
{
	struct stat st;

	assert_int_equal(fstat(f->console.fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void test_small(void **state)
{
	struct fixture *f = *state;
	struct stream count;
	auto_free char *line = NULL;

	assert_null(console_file_last_line(&f->console));
	print(f, "one\r\n");
	print(f, "two \033[31m\r\n\r\n");
	line = console_file_last_line(&f->console);
	assert_true(str_starts(line, "two"));
	assert_null(strchr(line, '\033'));
	assert_int_equal(console_file_finish(&f->console, &count, NULL), 0);
	assert_int_equal(count.seen, count.kept);
	assert_false(f->console.watch.panic);
}

static void test_panic(void **state)
{
	struct fixture *f = *state;

	print(f, "[    1.000000] Kernel panic - not sync");
	assert_false(f->console.watch.panic);
	print(f, "ing: sysrq triggered crash\n");
	assert_true(f->console.watch.panic);
	assert_false(f->console.watch.panic_over);
	print(f, "[    1.100000] ---[ end Kernel pan");
	print(f, "ic - not syncing: sysrq triggered crash ]---\n");
	assert_true(f->console.watch.panic_over);
}

static void test_flood(void **state)
{
	struct fixture *f = *state;
	auto_free char *block = xcalloc(1, (1 << 20) + 1), *path = path_join(f->dir, "console.log");
	auto_cleanup(buf) text = {0};
	struct stream count;

	memset(block, 'z', 1 << 20);
	for (int i = LINE; i < 1 << 20; i += LINE)
		block[i] = '\n';
	print(f, "first line\n");
	for (int i = 0; i < 40; i++) {
		print(f, block);
		assert_in_range(on_disk(f), 0, 6 << 20);
	}
	print(f, "last line\n");
	assert_false(f->console.unbounded);
	assert_true(f->console.tail.cap <= 8 * CONSOLE_TAIL);
	assert_int_equal(console_file_finish(&f->console, &count, NULL), 0);
	assert_int_equal(count.seen, (40 << 20) + 11 + 10);
	assert_int_equal(count.kept, LIMIT + CONSOLE_TAIL);
	assert_int_equal(io_read_file(AT_FDCWD, path, 4 << 20, &text, NULL), 0);
	assert_true(str_starts(text.data, "first line\n"));
	assert_true(str_ends(text.data, "zlast line\n"));
	assert_non_null(strstr(text.data, "bytes left out here]"));
	assert_true(text.len < LIMIT + CONSOLE_TAIL + 100);
}

/* What was said before its end is kept; the end itself is no failure. */
static void test_hang_up(void **state)
{
	struct fixture *f = *state;

	print(f, "last words\n");
	shutdown(f->qemu, SHUT_RDWR);
	assert_int_equal(console_file_poll(&f->console, NULL), 0);
	assert_int_equal(f->console.size, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_small, setup, teardown),
		cmocka_unit_test_setup_teardown(test_panic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small, setup_socket, teardown),
		cmocka_unit_test_setup_teardown(test_panic, setup_socket, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup_socket, teardown),
		cmocka_unit_test_setup_teardown(test_hang_up, setup_socket, teardown),
	};

	return cmocka_run_group_tests_name("console-file", tests, NULL, NULL);
}
