/* What labs know of each other's machines, and how they ask: against damaged and hostile words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "jail/base/io.h"
#include "lab/machine/control.h"
#include "lab/machine/registry.h"

#define REST                                                                             \
	"\"kernel\":\"6.1\",\"what\":\"a/b\",\"dir\":\"/d\",\"gdb\":\"/g\",\"qemu\":12," \
	"\"control\":\"/c\",\"started\":7,\"nokaslr\":false"
#define GOOD "{\"name\":\"12-0\",\"arch\":\"arm64\",\"lab\":11," REST "}"

static void test_parse(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"nonsense",
		GOOD "x",
		"{\"name\":\"\",\"arch\":\"arm64\",\"lab\":11," REST "}",
		"{\"name\":\"../12\",\"arch\":\"arm64\",\"lab\":11," REST "}",
		"{\"name\":\"-12\",\"arch\":\"arm64\",\"lab\":11," REST "}",
		"{\"name\":12,\"arch\":\"arm64\",\"lab\":11," REST "}",
		"{\"name\":\"12-0\",\"arch\":\"mips\",\"lab\":11," REST "}",
		"{\"name\":\"12-0\",\"arch\":\"arm64\",\"lab\":1," REST "}",
		"{\"name\":\"12-0\",\"arch\":\"arm64\",\"lab\":-5," REST "}",
		"{\"name\":\"12-0\",\"arch\":\"arm64\",\"lab\":4294967307," REST "}",
		"{\"name\":\"12-0\",\"arch\":\"arm64\",\"lab\":11,\"lab\":12," REST "}",
		"{\"name\":\"12-0\",\"arch\":\"arm64\",\"lab\":11," REST
		",\"release\":\"a\\u001bb\"}",
	};
	auto_cleanup(vm) vm = {0};
	struct err err;

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		err = (struct err){0};
		assert_int_equal(vm_parse(bad[i], strlen(bad[i]), &vm, &err), -EINVAL);
		assert_int_not_equal(err.code, 0);
		assert_null(vm.name);
	}
	assert_int_equal(vm_parse(GOOD, strlen(GOOD), &vm, &err), 0);
	assert_string_equal(vm.name, "12-0");
	assert_int_equal(vm.arch, ARCH_ARM64);
	assert_int_equal(vm.qemu, 12);
	assert_null(vm.release);
}

struct fixture {
	char dir[64], *socket;
	struct control control;
	pthread_t thread;
	volatile bool stop;
	unsigned int asked;
};

static json_t *answer(void *data, const char *op, const json_t *request)
{
	struct fixture *f = data;

	assert_true(json_is_object(request));
	f->asked++;
	if (str_eq(op, "sum"))
		return json_pack("{s:i}", "sum", 42);
	return str_eq(op, "fail") ? json_pack("{s:s}", "error", "it \033 fails") : NULL;
}

static void *serve(void *data)
{
	struct fixture *f = data;

	while (!f->stop) {
		struct pollfd p = {.fd = f->control.fd, .events = POLLIN};

		poll(&p, 1, 10);
		control_serve(&f->control, answer, f);
	}
	control_close(&f->control);
	return NULL;
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/lab-t-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	setenv("XDG_RUNTIME_DIR", f->dir, 1);
	f->socket = path_join(f->dir, "x.ctl");
	assert_int_equal(control_open(&f->control, f->socket, NULL), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->stop = true;
	pthread_join(f->thread, NULL);
	assert_false(io_exists(f->socket));
	io_remove_tree(AT_FDCWD, f->dir, NULL);
	free(f->socket);
	free(f);
	return 0;
}

static int ask(int fd, const char *op, json_t **said, struct err *err)
{
	json_t *request = json_pack("{s:s}", "op", op);
	int r = control_ask(fd, request, 5000, said, err);

	json_decref(request);
	return r;
}

static void test_ask(void **state)
{
	struct fixture *f = *state;
	auto_close int fd = control_connect(f->socket, NULL);
	struct err err = {0};
	json_t *said = NULL;

	assert_true(fd >= 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(fd, "sum", &said, &err), 0);
		assert_int_equal(json_integer_value(json_object_get(said, "sum")), 42);
		json_decref(said);
	}
	assert_int_equal(ask(fd, "fail", &said, &err), -EIO);
	assert_string_equal(err.msg, "it ? fails");
	assert_int_equal(ask(fd, "unheard of", &said, &err), -EIO);
	assert_int_equal(control_wait_end(fd, 20), -ETIMEDOUT);
	f->stop = true;
	assert_int_equal(control_wait_end(fd, 5000), 0);
	assert_int_equal(ask(fd, "sum", &said, &err), -ESRCH);
	assert_int_equal(control_connect(f->socket, &err), -ESRCH);
}

/* Whoever breaks the rules is hung up on, and the others are served on. */
static void test_hostile(void **state)
{
	static const char *const words[] = {"x", "[1]", "{\"op\":", "{\"op\":1}{", "\"op\""};
	struct fixture *f = *state;
	auto_free char *big = xcalloc(1, CONTROL_MAX + 1);
	int idle[2 * CONTROL_CLIENTS];
	json_t *said = NULL;

	memset(big, ' ', CONTROL_MAX + 1);
	memcpy(big, "{}", 2);
	for (size_t i = 0; i <= array_len(words); i++) {
		auto_close int fd = control_connect(f->socket, NULL);
		const char *word = i < array_len(words) ? words[i] : big;
		size_t len = i < array_len(words) ? strlen(word) : CONTROL_MAX + 1;

		assert_true(fd >= 0);
		assert_int_equal(send(fd, word, len, MSG_NOSIGNAL), len);
		assert_int_equal(control_wait_end(fd, 5000), 0);
	}
	for (size_t i = 0; i < array_len(idle); i++)
		idle[i] = control_connect(f->socket, NULL);
	assert_int_equal(control_wait_end(idle[0], 5000), 0); /* the oldest made room */
	assert_int_equal(ask(idle[array_len(idle) - 1], "sum", &said, NULL), 0);
	json_decref(said);
	for (size_t i = 0; i < array_len(idle); i++)
		close(idle[i]);
	assert_int_equal(f->asked, 1);
}

/* Asks without ever taking an answer. */
static void test_deaf(void **state)
{
	struct fixture *f = *state;
	auto_close int fd = control_connect(f->socket, NULL), other = -1;
	json_t *said = NULL;

	for (int i = 0; i < 5000; i++)
		if (send(fd, "{\"op\":\"sum\"}", 12, MSG_NOSIGNAL) < 0)
			break;
	other = control_connect(f->socket, NULL);
	assert_int_equal(ask(other, "sum", &said, NULL), 0);
	json_decref(said);
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	auto_free char *root = path_join(f->dir, "lab-3"), *lock = path_join(root, "lock");
	struct vm vm = {.name = "5-0",
			.kernel = "6.1+x",
			.what = "u/name-of-its-own",
			.dir = "/out/6.1+x-amd64/u/name-of-its-own",
			.gdb = "/g",
			.control = "/nowhere",
			.lab = 5,
			.qemu = -1};
	auto_cleanup(vm) found = {0};
	auto_close int held = -1;
	struct err err = {0};

	assert_int_equal(io_mkdirs(root, 0700, NULL), 0);
	assert_int_equal(vm_enter(root, &vm, NULL), 0);
	assert_int_equal(vm_find("u/name-of-its-own", &found, &err), -ENOENT);
	held = io_lock_file(lock, IO_LOCK_WAIT, NULL);
	assert_int_equal(vm_find("name-of-its-own", &found, &err), 0); /* the end of its folder */
	assert_string_equal(found.kernel, "6.1+x");
	vm_deinit(&found);
	assert_int_equal(vm_find("6.1+x-amd64/u/name-of-its-own", &found, &err), 0);
	assert_int_equal(vm_find("of-its-own", &vm, &err), -ENOENT);
	assert_int_equal(vm_find("", &vm, &err), -ENOENT);
	assert_int_equal(vm_stop(&found, &err), -ESRCH);
	assert_string_equal(vm_state(&found), "no answer");
	vm.name = "5-1";
	assert_int_equal(vm_enter(root, &vm, NULL), 0);
	assert_int_equal(vm_find("u/name-of-its-own", &vm, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "5-0 (u/name-of-its-own on 6.1+x amd64), 5-1"));
	vm_leave(root, "5-1");
	vm_leave(root, "5-0");
	assert_int_equal(vm_find("u/name-of-its-own", &vm, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test_setup_teardown(test_ask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deaf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
