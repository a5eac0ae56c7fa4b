/* A tree becomes a squashfs: the same one each time; who can use it; what is missing is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/guest/disk.h"

static char dir[] = "/tmp/test-disk-XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return io_remove_tree(AT_FDCWD, dir, NULL);
}

/* The files of dir: nothing temporary may be left. */
static size_t count_files(void)
{
	auto_closedir DIR *d = opendir(dir);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	return n - 2;
}

static void fill(struct cpio *c, bool backwards)
{
	static const char *const paths[] = {"usr/bin/a", "usr/share/b", "etc/c", "opt/d/e"};
	size_t n = array_len(paths);

	assert_int_equal(cpio_init(c, dir, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		const char *path = paths[backwards ? n - 1 - i : i];

		assert_int_equal(cpio_add_bytes(c, path, 0755, path, strlen(path), NULL), 0);
	}
	cpio_add_link(c, "usr/lib/x", "../bin/a");
	cpio_add_hard_link(c, "usr/bin/twin", "usr/bin/a");
}

static void read_disk(bool backwards, struct buf *out)
{
	auto_cleanup(cpio) c = {.spool = -1};
	auto_free char *path = path_join(dir, "disk");
	struct err err = {0};
	int r;

	fill(&c, backwards);
	r = disk_write(&c, dir, path, &err);
	assert_string_equal(err.msg, "");
	assert_int_equal(r, 0);
	assert_int_equal(count_files(), 1);
	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, out, &err), 0);
	unlink(path);
}

static void test_reproducible(void **state)
{
	auto_cleanup(buf) one = {0}, two = {0};
	mode_t mask = umask(022);

	(void)state;
	read_disk(false, &one);
	assert_memory_equal(one.data, "hsqs", 4);
	umask(077);
	sleep(1); /* a time of the clock would differ */
	read_disk(true, &two);
	umask(mask);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	/* not compressed */
	assert_non_null(memmem(one.data, one.len, "usr/share/b", 11));
}

static void test_failures(void **state)
{
	auto_cleanup(cpio) c = {.spool = -1};
	auto_free char *path = path_join(dir, "disk"), *nowhere = path_join(dir, "no/disk");
	auto_free char *before = xstrdup(getenv("PATH"));
	struct err err = {0};

	(void)state;
	fill(&c, false);
	assert_int_equal(disk_write(&c, dir, nowhere, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "no/disk"));
	setenv("PATH", dir, 1);
	assert_int_equal(disk_write(&c, dir, path, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "install squashfs-tools"));
	setenv("PATH", before, 1);
	assert_int_equal(count_files(), 0);
}

static void test_says_why(void **state)
{
	auto_cleanup(cpio) c = {.spool = -1};
	auto_free char *path = path_join(dir, "disk"), *fake = path_join(dir, "sqfstar");
	auto_free char *before = xstrdup(getenv("PATH"));
	static const char script[] = "#!/bin/sh\necho first >&2\necho 'FATAL: no room\033' >&2\n"
				     "exit 3\n";
	struct err err = {0};

	(void)state;
	fill(&c, false);
	assert_int_equal(io_write_atomic(AT_FDCWD, fake, script, sizeof(script) - 1, 0755, &err),
			 0);
	setenv("PATH", dir, 1);
	assert_int_equal(disk_write(&c, dir, path, &err), -EIO);
	setenv("PATH", before, 1);
	unlink(fake);
	assert_non_null(strstr(err.msg, "sqfstar: exit 3: FATAL: no room"));
	assert_null(strchr(err.msg, '\033'));
	assert_int_equal(count_files(), 0);
}

static void test_suits(void **state)
{
	static const struct {
		const char *config;
		bool modules, suits;
	} cases[] = {
		{"CONFIG_VIRTIO_BLK=y\nCONFIG_SQUASHFS=y\nCONFIG_OVERLAY_FS=y\n", false, true},
		{"CONFIG_VIRTIO_BLK=m\nCONFIG_SQUASHFS=y\nCONFIG_OVERLAY_FS=m\n", true, true},
		{"CONFIG_VIRTIO_BLK=m\nCONFIG_SQUASHFS=y\nCONFIG_OVERLAY_FS=m\n", false, false},
		{"CONFIG_VIRTIO_BLK=y\n# CONFIG_SQUASHFS is not set\nCONFIG_OVERLAY_FS=y\n", true,
		 false},
	};
	auto_free char *path = path_join(dir, "config");

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct kernel k = {.config = path};

		if (cases[i].modules)
			k.modules_dir = dir;
		assert_int_equal(io_write_atomic(AT_FDCWD, path, cases[i].config,
						 strlen(cases[i].config), 0644, NULL),
				 0);
		assert_int_equal(disk_suits(&k), cases[i].suits);
	}
	unlink(path);
	/* a kernel of which nothing is known */
	assert_false(disk_suits(&(struct kernel){.modules_dir = dir}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reproducible),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_says_why),
		cmocka_unit_test(test_suits),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
