/*
 * Policies that must not start anything: tests/data/policy/bad/NAME.yml and the message it gives,
 * NAME.txt (UPDATE_GOLDEN=1 rewrites these); and what is made here since it is large, or no file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "jail/base/yaml.h"
#include "jail/policy/policy-load.h"

enum { BAD_MIN = 60 };

/* Messages name files as they were given: inside the folder, by their names alone. */
static int enter_folder(void **state)
{
	(void)state;
	return chdir("tests/data/policy/bad");
}

static void check_message(const char *name, const char *message)
{
	size_t stem = strlen(name) - strlen(".yml");
	auto_free char *golden = str_printf("%.*s.txt", (int)stem, name);
	auto_cleanup(buf) want = {0};
	struct err err = {0};

	if (getenv("UPDATE_GOLDEN")) {
		assert_int_equal(
			io_write_atomic(AT_FDCWD, golden, message, strlen(message), 0644, &err), 0);
		return;
	}
	if (io_read_file(AT_FDCWD, golden, 4096, &want, &err) < 0)
		fail_msg("%s; message is: %s", err.msg, message);
	assert_string_equal(message, want.data);
}

static void files(void **state)
{
	auto_closedir DIR *dir = opendir(".");
	auto_cleanup(strv) names = {0};
	struct dirent *entry;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (str_ends(entry->d_name, ".yml"))
			strv_add(&names, entry->d_name);
	strv_sort(&names);
	assert_true(names.n >= BAD_MIN);
	for (size_t i = 0; i < names.n; i++) {
		struct policy policy = {.n = 77};
		auto_free char *line = NULL;
		struct err err = {0};
		int r = policy_load(names.items[i], &policy, &err);

		if (r >= 0)
			fail_msg("%s is accepted", names.items[i]);
		assert_int_equal(r, -err.code);
		assert_int_equal(policy.n, 77); /* written on success only */
		assert_null(strchr(err.msg, '\n'));
		if (!str_starts(err.msg, names.items[i]) && !str_starts(names.items[i], "extends-"))
			fail_msg("%s: no position: %s", names.items[i], err.msg);
		line = str_printf("%s\n", err.msg);
		check_message(names.items[i], line);
	}
}

/* --- made here --- */

static char made_folder[] = "/tmp/jail-policy-XXXXXX";
static char *made_file; /* in it */

static int make_folder(void **state)
{
	(void)state;
	strcpy(made_folder + sizeof(made_folder) - 7, "XXXXXX");
	if (!mkdtemp(made_folder))
		return -1;
	made_file = path_join(made_folder, "p.yml");
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	free(made_file);
	return io_remove_tree(AT_FDCWD, made_folder, NULL);
}

static int load_made(struct err *err)
{
	auto_cleanup(policy) policy = {0};

	return policy_load(made_file, &policy, err);
}

static int load_text(const char *text, size_t len, struct err *err)
{
	assert_int_equal(io_write_atomic(AT_FDCWD, made_file, text, len, 0644, NULL), 0);
	return load_made(err);
}

static void huge(void **state)
{
	auto_close int fd = open(made_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int64_t start = io_now_ms();
	struct err err = {0};

	(void)state;
	assert_int_equal(ftruncate(fd, 100 << 20), 0);
	assert_int_equal(load_made(&err), -E2BIG);
	assert_non_null(strstr(err.msg, "at most 1048576"));
	assert_true(io_now_ms() - start < 1000); /* it is not read */
}

static void no_file(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(load_made(&err), -ENOENT);
	assert_non_null(strstr(err.msg, made_file));
	assert_int_equal(mkdir(made_file, 0700), 0);
	assert_int_equal(load_made(&err), -EISDIR);
	assert_non_null(strstr(err.msg, "a folder"));
	assert_int_equal(rmdir(made_file), 0);
	assert_int_equal(mkfifo(made_file, 0600), 0);
	assert_int_equal(load_made(&err), -EINVAL); /* and not: waiting for a writer */
	assert_int_equal(unlink(made_file), 0);
	assert_int_equal(symlink(made_file, made_file), 0);
	assert_int_equal(load_made(&err), -ELOOP);
}

static void unreadable(void **state)
{
	auto_close int fd = open(made_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0200);
	struct err err = {0};

	(void)state;
	assert_true(fd >= 0);
	if (access(made_file, R_OK) == 0)
		skip(); /* root reads everything */
	assert_int_equal(load_made(&err), -EACCES);
	assert_non_null(strstr(err.msg, made_file));
}

static void bombs(void **state)
{
	auto_cleanup(buf) text = {0};
	struct err err = {0};

	(void)state;
	buf_adds(&text, "version: 1\ndefault: kill\nallow: ");
	for (int i = 0; i < 100000; i++)
		buf_adds(&text, "[");
	assert_int_equal(load_text(text.data, text.len, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "nested deeper than 32 levels"));

	buf_reset(&text);
	buf_adds(&text, "a: &a [x, x, x, x, x, x, x, x, x]\n");
	for (char c = 'b'; c <= 'z'; c++)
		buf_addf(&text, "%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c,
			 c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
	assert_int_equal(load_text(text.data, text.len, &err), -EINVAL);
	assert_non_null(strstr(err.msg, ":1:4: anchors and aliases (& and *) are not accepted"));

	/* groups are short to write: many of them are many rules */
	buf_reset(&text);
	buf_adds(&text, "version: 1\ndefault: kill\nallow:\n");
	for (int i = 0; i < 10000; i++)
		buf_adds(&text, "  - '@file-read'\n");
	assert_int_equal(load_text(text.data, text.len, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "more than 20000 rules in one file"));
}

static void bytes(void **state)
{
	static const char nul[] = "version: 1\ndefault: kill\nallow: [re\0ad]\n";
	static const char utf8[] = "version: 1\ndefault: kill\nallow: [read]\nsummary: \xc3\x28\n";
	struct err err = {0};

	(void)state;
	assert_int_equal(load_text(nul, sizeof(nul) - 1, &err), -EINVAL);
	assert_non_null(strstr(err.msg, ":3:11: control characters are not allowed"));
	assert_int_equal(load_text(utf8, sizeof(utf8) - 1, &err), -EINVAL);
	assert_non_null(strstr(err.msg, ":4:11: text in UTF-8 expected"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(huge, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(no_file, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(unreadable, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(bombs, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(bytes, make_folder, remove_folder),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, enter_folder, NULL);
}
