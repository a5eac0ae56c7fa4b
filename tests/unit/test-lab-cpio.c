/* The tree that becomes a cpio archive: order, merged /usr, replacements, the bytes of newc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/guest/cpio.h"

struct seen {
	char name[64];
	unsigned long mode, mtime, uid, nlink, size;
	char data[64];
};

static unsigned long field(const char *header, int i)
{
	char hex[9] = {0};

	memcpy(hex, header + 6 + 8 * i, 8);
	return strtoul(hex, NULL, 16);
}

/* Read newc by hand, as the kernel does. Returns how many members came before the trailer. */
static size_t read_newc(const struct buf *b, struct seen *to, size_t max)
{
	size_t at = 0, n = 0;

	for (;; n++) {
		const char *h = b->data + at;
		size_t name_len, size;

		assert_true(at + 110 <= b->len);
		assert_memory_equal(h, "070701", 6);
		name_len = field(h, 11);
		size = field(h, 6);
		at = (at + 110 + name_len + 3) & ~(size_t)3;
		if (str_eq(h + 110, "TRAILER!!!"))
			return n;
		assert_true(n < max && name_len <= sizeof(to->name) && size <= sizeof(to->data));
		to[n] = (struct seen){.mode = field(h, 1),
				      .uid = field(h, 2),
				      .nlink = field(h, 4),
				      .mtime = field(h, 5),
				      .size = size};
		memcpy(to[n].name, h + 110, name_len);
		memcpy(to[n].data, b->data + at, size);
		at = (at + size + 3) & ~(size_t)3;
	}
}

static void archive(struct cpio *c, struct buf *out)
{
	auto_close int fd = memfd_create("cpio", MFD_CLOEXEC);
	struct err err = {0};

	assert_int_equal(cpio_write(c, fd, &err), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(io_read_fd(fd, 1 << 20, out, &err), 0);
}

static const struct seen *find(const struct seen *seen, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(seen[i].name, name))
			return &seen[i];
	return NULL;
}

static void test_members(void **state)
{
	auto_cleanup(cpio) c = {.spool = -1};
	auto_cleanup(buf) out = {0};
	struct seen seen[32];
	const struct seen *s;
	size_t n;

	(void)state;
	assert_int_equal(cpio_init(&c, "/tmp", NULL), 0);
	assert_int_equal(cpio_add_bytes(&c, "a/b/c", 0640, "first", 5, NULL), 0);
	cpio_add_hard_link(&c, "bin/twin", "bin/tool");
	assert_int_equal(cpio_add_bytes(&c, "sbin/tool", 0755, "TOOL!", 5, NULL), 0);
	cpio_add_link(&c, "lib/x", "../y");
	assert_int_equal(cpio_add_bytes(&c, "a/b/c", 0600, "second", 6, NULL), 0);
	cpio_add_dir(&c, "a/b/c", 0700);
	cpio_add_dir(&c, "a", 0711);
	archive(&c, &out);
	n = read_newc(&out, seen, array_len(seen));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(seen[i].mtime, 0);
		assert_int_equal(seen[i].uid, 0);
		assert_true(i == 0 || strcmp(seen[i - 1].name, seen[i].name) < 0);
	}
	s = find(seen, n, "a/b/c");
	assert_non_null(s);
	assert_int_equal(s->mode, S_IFREG | 0600);
	assert_string_equal(s->data, "second");
	assert_int_equal(find(seen, n, "a")->mode, S_IFDIR | 0711);
	assert_int_equal(find(seen, n, "a/b")->mode, S_IFDIR | 0755);
	assert_string_equal(find(seen, n, "usr/bin/tool")->data, "TOOL!");
	assert_string_equal(find(seen, n, "usr/bin/twin")->data, "TOOL!");
	assert_int_equal(find(seen, n, "usr/bin/twin")->mode, S_IFREG | 0755);
	assert_string_equal(find(seen, n, "usr/lib/x")->data, "../y");
	assert_string_equal(find(seen, n, "bin")->data, "usr/bin");
	assert_string_equal(find(seen, n, "usr/sbin")->data, "bin");
	assert_null(find(seen, n, "sbin/tool"));
}

/* Another order of the calls gives the same bytes. */
static void test_reproducible(void **state)
{
	static const char *const paths[] = {"etc/a", "usr/bin/b", "x/y/z", "usr/bin/bb",
					    "usr/bin/b-c"};
	auto_cleanup(buf) forth = {0}, back = {0};
	auto_cleanup(cpio) one = {.spool = -1}, two = {.spool = -1};

	(void)state;
	assert_int_equal(cpio_init(&one, "/tmp", NULL), 0);
	assert_int_equal(cpio_init(&two, "/tmp", NULL), 0);
	for (size_t i = 0, n = array_len(paths); i < n; i++) {
		const char *last = paths[n - 1 - i];

		assert_int_equal(
			cpio_add_bytes(&one, paths[i], 0644, paths[i], strlen(paths[i]), NULL), 0);
		assert_int_equal(cpio_add_bytes(&two, last, 0644, last, strlen(last), NULL), 0);
	}
	archive(&one, &forth);
	archive(&two, &back);
	assert_int_equal(forth.len, back.len);
	assert_memory_equal(forth.data, back.data, back.len);
}

static void test_dangling_hard_link(void **state)
{
	auto_cleanup(cpio) c = {.spool = -1};
	auto_close int fd = memfd_create("cpio", MFD_CLOEXEC);
	struct err err = {0};

	(void)state;
	assert_int_equal(cpio_init(&c, "/tmp", NULL), 0);
	cpio_add_hard_link(&c, "a", "nowhere");
	assert_int_equal(cpio_write(&c, fd, &err), -EINVAL);
	assert_string_equal(err.msg, "a is a hard link to nowhere, which is not there");
}

static void test_full_disk(void **state)
{
	auto_cleanup(cpio) c = {.spool = -1};
	auto_close int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct err err = {0};

	(void)state;
	assert_int_equal(cpio_init(&c, "/tmp", NULL), 0);
	assert_int_equal(cpio_add_bytes(&c, "a", 0644, "x", 1, NULL), 0);
	assert_int_equal(cpio_write(&c, fd, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "write the image"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_reproducible),
		cmocka_unit_test(test_dangling_hard_link),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
