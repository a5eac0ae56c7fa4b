/* Kernel modules found by name, in load order, with the texts modprobe reads; broken ones refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <archive.h>
#include <archive_entry.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/guest/image-root.h"
#include "lab/guest/modules.h"

/* The smallest ELF object with a .modinfo: two sections, the second names both. */
static void make_module(struct buf *out, const char *info, size_t info_len)
{
	static const char names[] = "\0.modinfo";
	Elf64_Ehdr eh = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_REL,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(eh),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 3,
		.e_shstrndx = 2,
		.e_shoff = sizeof(eh),
	};
	Elf64_Shdr sh[3] = {
		{0},
		{.sh_name = 1,
		 .sh_type = SHT_PROGBITS,
		 .sh_offset = sizeof(eh) + sizeof(sh),
		 .sh_size = info_len},
		{.sh_type = SHT_STRTAB,
		 .sh_offset = sizeof(eh) + sizeof(sh) + info_len,
		 .sh_size = sizeof(names)},
	};

	buf_add(out, &eh, sizeof(eh));
	buf_add(out, sh, sizeof(sh));
	buf_add(out, info, info_len);
	buf_add(out, names, sizeof(names));
}

static const struct {
	const char *path; /* ….xz is written compressed */
	const char *info; /* with the NULs between */
	size_t len;
} files[] = {
#define MODULE(path, info)               \
	{                                \
		path, info, sizeof(info) \
	}
	MODULE("kernel/fs/top/top.ko", "license=GPL\0depends=mid-dle,base\0alias=fs-top"),
	MODULE("kernel/lib/mid-dle.ko.xz", "depends=base"),
	MODULE("kernel/lib/base.ko.gz",
	       "depends=\0alias=char-major-10-229\0alias=devname:dev/node"),
	MODULE("kernel/drivers/other.ko", "depends=not_there"),
	MODULE("kernel/drivers/round.ko", "depends=trip"),
	MODULE("kernel/drivers/trip.ko", "depends=round"),
};

static void write_file(const char *path, const struct buf *data)
{
	struct archive *a = archive_write_new();
	struct archive_entry *e = archive_entry_new();

	archive_write_set_format_raw(a);
	if (str_ends(path, ".xz"))
		archive_write_add_filter_xz(a);
	else if (str_ends(path, ".gz"))
		archive_write_add_filter_gzip(a);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	archive_entry_set_filetype(e, AE_IFREG);
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, data->data, data->len), data->len);
	archive_entry_free(e);
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static char dir[] = "/tmp/test-modules-XXXXXX";

static int make_tree(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < array_len(files); i++) {
		auto_free char *path = path_join(dir, files[i].path);
		auto_free char *parent = xstrndup(path, strrchr(path, '/') - path);
		auto_cleanup(buf) data = {0};

		assert_int_equal(io_mkdirs(parent, 0755, NULL), 0);
		make_module(&data, files[i].info, files[i].len);
		write_file(path, &data);
	}
	return 0;
}

static int remove_tree(void **state)
{
	(void)state;
	return io_remove_tree(AT_FDCWD, dir, NULL);
}

static void load(const char *wanted, struct modules *ret)
{
	auto_cleanup(strv) names = {0};
	struct err err = {0};

	strv_split(&names, wanted, ' ');
	assert_int_equal(modules_load(dir, &names, ret, &err), 0);
}

static void test_order(void **state)
{
	static const char *const want[] = {"base", "mid_dle", "top", "other"};
	auto_cleanup(modules) set = {0};
	auto_cleanup(buf) dep = {0}, alias = {0}, nodes = {0};

	(void)state;
	load("top built-in other top", &set);
	assert_int_equal(set.n, array_len(want));
	for (size_t i = 0; i < set.n; i++) {
		assert_string_equal(set.items[i].name, want[i]);
		assert_memory_equal(set.items[i].data.data, ELFMAG, SELFMAG);
	}
	assert_false(set.items[0].wanted);
	assert_true(set.items[2].wanted);
	modules_dep_text(&set, &dep);
	assert_string_equal(dep.data,
			    "kernel/lib/base.ko:\n"
			    "kernel/lib/mid-dle.ko: kernel/lib/base.ko\n"
			    "kernel/fs/top/top.ko: kernel/lib/mid-dle.ko kernel/lib/base.ko\n"
			    "kernel/drivers/other.ko:\n");
	modules_alias_text(&set, &alias);
	assert_string_equal(alias.data, "alias char-major-10-229 base\nalias fs-top top\n");
	modules_node_text(&set, &nodes);
	assert_string_equal(nodes.data, "dev/node 10 229\n");
}

static void test_names(void **state)
{
	auto_cleanup(modules) set = {0};

	(void)state;
	load("mid_dle", &set);
	assert_int_equal(set.n, 2);
	modules_deinit(&set);
	load("mid-dle", &set);
	assert_int_equal(set.n, 2);
}

/* The same modules as a build tree has them: listed, not below kernel/, some elsewhere. */
static void test_tree(void **state)
{
	static const char *const orders[] = {
		"fs/top.ko\nlib/mid-dle.ko\n",		     /* 6.1 */
		"fs/top.o\nlib/mid-dle.o\n",		     /* 6.12 */
		"kernel/fs/top.ko\nkernel/lib/mid-dle.ko\n", /* 5.10 */
	};
	char tree[] = "/tmp/test-modules-XXXXXX";
	(void)state;
	assert_non_null(mkdtemp(tree));
	for (int i = 0; i < 3; i++) {
		static const char *const paths[] = {"fs/top.ko", "lib/mid-dle.ko",
						    "fs/unlisted.ko"};
		auto_free char *path = path_join(tree, paths[i]);
		auto_free char *parent = xstrndup(path, strrchr(path, '/') - path);
		auto_cleanup(buf) module = {0};

		make_module(&module, files[i].info, files[i].len);
		assert_int_equal(io_mkdirs(parent, 0755, NULL), 0);
		assert_int_equal(
			io_write_atomic(AT_FDCWD, path, module.data, module.len, 0644, NULL), 0);
	}
	for (size_t i = 0; i < array_len(orders); i++) {
		auto_free char *order = path_join(tree, "modules.order");
		auto_free char *config = path_join(tree, ".config"), *missing = NULL;
		auto_cleanup(strv) names = {0};
		auto_cleanup(modules) set = {0};
		auto_cleanup(buf) text = {0};

		strv_split(&names, "top unlisted", ' ');
		unlink(config);
		assert_int_equal(modules_state(tree, &text, &missing, NULL), -ENOENT);
		assert_int_equal(io_write_atomic(AT_FDCWD, config, "", 0, 0644, NULL), 0);
		assert_int_equal(
			io_write_atomic(AT_FDCWD, order, orders[i], strlen(orders[i]), 0644, NULL),
			0);
		assert_int_equal(modules_load(tree, &names, &set, NULL), 0);
		assert_int_equal(set.n, 2);
		assert_string_equal(set.items[0].path, "kernel/lib/mid-dle.ko");
		assert_string_equal(set.items[1].path, "kernel/fs/top.ko");
		assert_int_equal(modules_state(tree, &text, &missing, NULL), 2);
		assert_null(missing);
		assert_non_null(strstr(text.data, "/fs/top.ko "));
	}
	assert_int_equal(io_remove_tree(AT_FDCWD, tree, NULL), 0);
}

static void test_circle(void **state)
{
	auto_cleanup(strv) names = {0};
	struct modules set;
	struct err err = {0};

	(void)state;
	strv_add(&names, "round");
	assert_int_equal(modules_load(dir, &names, &set, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "round in circles"));
}

static void test_no_folder(void **state)
{
	struct strv names = {0};
	struct modules set;
	struct err err = {0};

	(void)state;
	assert_int_equal(modules_load("/nonexistent", &names, &set, &err), -ENOENT);
}

/* However a module is cut or damaged, it is an error or a module, never a crash. */
static void test_broken(void **state)
{
	auto_cleanup(buf) whole = {0};
	struct modinfo info;

	(void)state;
	make_module(&whole, files[0].info, files[0].len);
	for (size_t n = 0; n < whole.len; n++) {
		auto_free char *cut = xmalloc(n);

		memcpy(cut, whole.data, n);
		if (modinfo_parse(cut, n, &info, NULL) == 0)
			modinfo_deinit(&info);
		else
			assert_true(n < whole.len);
	}
	assert_int_equal(modinfo_parse("not an ELF file", 15, &info, NULL), -EBADMSG);
	for (size_t i = 0; i < whole.len; i++) {
		auto_cleanup(buf) bad = {0};

		buf_add(&bad, whole.data, whole.len);
		bad.data[i] = (char)0xff;
		if (modinfo_parse(bad.data, bad.len, &info, NULL) == 0)
			modinfo_deinit(&info);
	}
}

static void test_applets(void **state)
{
	static const char table[] = "junk[\0more\0[\0[[\0ash\0sh\0zcat\0\0[\0[[\0no";
	auto_cleanup(strv) applets = {0};

	(void)state;
	assert_int_equal(image_applets(table, sizeof(table), &applets), 5);
	assert_string_equal(applets.items[0], "[");
	assert_string_equal(applets.items[4], "zcat");
	assert_int_equal(image_applets("nothing", 8, &applets), 0);
	assert_int_equal(image_applets("\0[\0[[\0cut", 9, &applets), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	  cmocka_unit_test(test_names),
		cmocka_unit_test(test_tree),	  cmocka_unit_test(test_circle),
		cmocka_unit_test(test_no_folder), cmocka_unit_test(test_broken),
		cmocka_unit_test(test_applets),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
