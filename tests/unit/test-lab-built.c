/* Kernels built here: their meta.json, and how they get into the cache, are found and leave it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kernel/built-meta.h"
#include "lab/kernel/elf.h"

#define KEY "0123456789abcdef"
#define HEX KEY KEY KEY KEY
#define OTHER "fedcba9876543210" KEY KEY KEY

/* ---- meta.json ---- */

static const char good[] =
	"{\"schema\": 1, \"arch\": \"arm64\", \"name\": \"6.1+debug+kasan\", \"version\": "
	"\"6.1.176\", \"release\": \"6.1.176\", \"inputs\": \"" HEX "\", \"source\": \"sha256:" HEX
	"\", \"source_what\": \"linux-source-6.1 6.1.176-1\", \"compiler\": \"gcc \\\"12\\\"\", "
	"\"build_id\": \"a0b1\", \"source_prefix\": \"/usr/src/linux-6.1.176\", \"source_dir\": "
	"\"/cache/s\", \"image_sha256\": \"" HEX "\", \"sums_sha256\": \"" OTHER
	"\", \"fragments\": [\"minimal\", \"guest\", \"/my own.config\"], \"notes\": "
	"[\"-std=gnu11: why\"], \"local\": false, "
	"\"objects\": 2345, \"seconds\": 265, \"jobs\": 2, \"built_at\": 1795312800, "
	"\"image_size\": 2600000}\n";

static void test_meta(void **state)
{
	auto_cleanup(built_meta) m = {0};
	auto_cleanup(buf) again = {0}, shared = {0};
	auto_free char *folder = NULL, *file = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(built_meta_parse("m", good, strlen(good), &m, &err), 0);
	assert_string_equal(m.built.compiler, "gcc \"12\"");
	assert_int_equal(m.built.arch, ARCH_ARM64);
	assert_int_equal(m.built.built_at, 1795312800);
	assert_string_equal(m.built.fragments.items[2], "/my own.config");
	assert_string_equal(m.built.notes.items[0], "-std=gnu11: why");
	built_meta_print(&m, false, &again);
	assert_string_equal(again.data, good);
	built_meta_print(&m, true, &shared);
	assert_null(strstr(shared.data, "source_dir"));
	folder = built_folder_name(&m.built);
	file = built_file_name(&m.built);
	assert_string_equal(folder, "6.1+debug+kasan-arm64-" KEY);
	assert_string_equal(file, "6.1+debug+kasan-arm64-" KEY ".tar.zst");
}

/* good with one text replaced by another must be refused with a position and these words. */
static void test_meta_bad(void **state)
{
	static const struct {
		const char *from, *to, *says;
	} cases[] = {
		{"\"6.1+debug+kasan\"", "\"../etc\"", "name must be a kernel's name"},
		{"\"6.1+debug+kasan\"", "\"a/b\"", "name must be a kernel's name"},
		{"\"6.1+debug+kasan\"", "\"\"", "name must be a kernel's name"},
		{"\"6.1+debug+kasan\"", "\"tmp-x\"", "name must be a kernel's name"},
		{"\"6.1+debug+kasan\"", "[]", "name"},
		{"\"arm64\"", "\"aarch64\"", "arch must be"},
		{"\"arm64\"", "\"riscv64\"", "arch must be"},
		{"\"version\": \"6.1.176\"", "\"version\": \"six\"", "version must be"},
		{"\"release\": \"6.1.176\"", "\"release\": \"..\"", "release must be"},
		{"\"release\": \"6.1.176\"", "\"release\": \"a\\nb\"", "release must be"},
		{"\"inputs\": \"" HEX, "\"inputs\": \"" KEY, "inputs must be 64"},
		{"\"inputs\": \"" HEX "\", ", "", "unless it is made of a local source"},
		{"\"local\": false", "\"local\": true", "unless it is made of a local source"},
		{"\"local\": false", "\"local\": \"no\"", "local"},
		{"gcc \\\"12\\\"", "gcc\\u001b[2J", "compiler must be plain text"},
		{"\"a0b1\"", "\"a0b\"", "build_id must be"},
		{"\"/usr/src/linux-6.1.176\"", "\"src\"", "source_prefix must be an absolute"},
		{"\"image_size\": 2600000", "\"image_size\": -1", "image_size must be"},
		{"\"image_size\": 2600000", "\"image_size\": \"2\"", "image_size must be"},
		{", \"image_size\": 2600000", "", "image_size is missing"},
		{"\"schema\": 1", "\"schema\": 2", "schema must be 1"},
		{"\"jobs\"", "\"job\"", "job"},
		{"[\"minimal\", \"guest\", \"/my own.config\"]", "[[]]", "fragments"},
		{"-std=gnu11: why", "\\u001b[2J", "notes must be a list of lines"},
		{"[\"-std=gnu11: why\"]", "{}", "notes"},
		{"{\"schema\"", "[\"schema\"", "m:1:"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		const char *at = strstr(good, cases[i].from);
		auto_cleanup(buf) text = {0};
		struct built_meta m;
		struct err err = {0};

		assert_non_null(at);
		buf_add(&text, good, at - good);
		buf_adds(&text, cases[i].to);
		buf_adds(&text, at + strlen(cases[i].from));
		if (built_meta_parse("m", text.data, text.len, &m, &err) != -EINVAL ||
		    strncmp(err.msg, "m:", 2) || !strstr(err.msg, cases[i].says))
			fail_msg("%s: %s", cases[i].to, err.msg);
	}
}

static void test_folder_names(void **state)
{
	static const struct {
		const char *name;
		bool is;
	} cases[] = {
		{"6.5-amd64-" KEY, true},
		{"6.1+debug+kasan-arm64-" KEY, true},
		{"mine-amd64-local", true},
		{"a-amd64-b-arm64-local", true},
		{"6.1-6.1.176-1-amd64", false},
		{"mine-efe19f605b6f54a8-amd64", false},
		{"6.5-amd64-" KEY "0", false},
		{"6.5-amd64-" KEY ".lock", false},
		{"tmp-6.5-amd64-" KEY ".abcdef", false},
		{"tmp-6.5-amd64-local", false},
		{"6.5-riscv64-" KEY, false},
		{"-amd64-local", false},
		{"amd64-local", false},
		{"local", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		if (built_is_folder_name(cases[i].name) != cases[i].is)
			fail_msg("%s", cases[i].name);
}

/* ---- the cache ---- */

static char cache[] = "/tmp/test-built-XXXXXX";

static void write_at(const char *dir, const char *name, const void *data, size_t len)
{
	auto_free char *path = path_join(dir, name);
	auto_free char *parent = xstrndup(path, strrchr(path, '/') - path);

	assert_int_equal(io_mkdirs(parent, 0755, NULL), 0);
	assert_int_equal(io_write_atomic(AT_FDCWD, path, data, len, 0644, NULL), 0);
}

static void write_image(const char *dir, char salt)
{
	uint8_t image[4096] = {[0x20f] = 0x04, [0x211] = 1};

	memcpy(image + 0x202, "HdrS", 4);
	memcpy(image + 0x600, "6.5.0 (x)", 9);
	image[4095] = salt;
	write_at(dir, "image", image, sizeof(image));
}

/* An ELF file whose one note is its build id: ab cd ef. */
static void write_vmlinux(const char *dir)
{
	static const char names[] = "\0.notes";
	static const uint8_t note[] = {4, 0, 0,	  0,   3,   0, 0,    0,	   3,	 0,
				       0, 0, 'G', 'N', 'U', 0, 0xab, 0xcd, 0xef, 0};
	struct {
		Elf64_Ehdr eh;
		Elf64_Shdr sh[3];
		uint8_t note[sizeof(note)];
		char names[sizeof(names)];
	} file = {
		.eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				   EV_CURRENT},
		       .e_type = ET_EXEC,
		       .e_machine = EM_X86_64,
		       .e_version = EV_CURRENT,
		       .e_ehsize = sizeof(Elf64_Ehdr),
		       .e_shentsize = sizeof(Elf64_Shdr),
		       .e_shnum = 3,
		       .e_shstrndx = 2,
		       .e_shoff = sizeof(Elf64_Ehdr)},
		.sh = {{0},
		       {.sh_name = 1,
			.sh_type = SHT_NOTE,
			.sh_size = sizeof(note),
			.sh_addralign = 4},
		       {.sh_type = SHT_STRTAB, .sh_size = sizeof(names)}},
	};

	file.sh[1].sh_offset = offsetof(__typeof__(file), note);
	file.sh[2].sh_offset = offsetof(__typeof__(file), names);
	memcpy(file.note, note, sizeof(note));
	memcpy(file.names, names, sizeof(names));
	write_at(dir, "vmlinux", &file, sizeof(file));
}

static struct built sample(const char *name, const char *inputs)
{
	struct built b = {
		.name = xstrdup(name),
		.arch = ARCH_AMD64,
		.version = xstrdup("6.5.0"),
		.release = xstrdup("6.5.0"),
		.inputs = xstrdup(inputs),
		.source = xstrdup("sha256:" HEX),
		.source_what = xstrdup("linux-6.5.tar.xz"),
		.compiler = xstrdup("gcc 12"),
		.local = !inputs,
		.built_at = 1000000000,
	};

	strv_add(&b.fragments, "minimal");
	strv_add(&b.fragments, "guest");
	return b;
}

/* Install one; salt makes its image another. */
static int install(const struct built *b, char salt, struct kernel *ret, struct err *err)
{
	auto_free char *stage = built_stage(b, err);

	assert_non_null(stage);
	write_image(stage, salt);
	write_at(stage, "config", "CONFIG_X=y\n", 11);
	write_at(stage, "lib/modules/6.5.0/kernel/a.ko", "a", 1);
	write_vmlinux(stage);
	return built_install(b, stage, ret, err);
}

static bool is_there(const char *name)
{
	auto_free char *path = str_printf("%s/kernels/%s", cache, name);

	return io_exists(path);
}

static int make_cache(void **state)
{
	(void)state;
	if (!mkdtemp(strcpy(cache, "/tmp/test-built-XXXXXX")))
		return -1;
	return setenv("LAB_CACHE", cache, 1);
}

static int remove_cache(void **state)
{
	(void)state;
	return io_remove_tree(AT_FDCWD, cache, NULL);
}

static int count(void *data, const struct built *b, const char *dir, struct err *err)
{
	(void)err;
	assert_true(io_exists(dir));
	assert_non_null(b->name);
	++*(int *)data;
	return 0;
}

static int n_built(void)
{
	int n = 0;

	assert_int_equal(built_each(count, &n, NULL), 0);
	return n;
}

static void test_install(void **state)
{
	auto_cleanup(built) b = sample("6.5+guest", HEX), info = {0};
	auto_cleanup(kernel) k = {0}, found = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(built_find("6.5+guest", ARCH_AMD64, NULL, true, &k, NULL, &err), -ENOENT);
	assert_int_equal(install(&b, 0, &k, &err), 0);
	assert_string_equal(k.origin, "linux-6.5.tar.xz, guest, gcc 12");
	assert_string_equal(k.build_id, "abcdef");
	assert_true(str_ends(k.modules_dir, "/lib/modules/6.5.0"));
	assert_true(str_ends(k.config, "/config") && str_ends(k.vmlinux, "/vmlinux"));
	assert_int_equal(strlen(k.sha256), 64);
	assert_false(k.local);
	assert_int_equal(built_find("6.5+guest", ARCH_AMD64, HEX, false, &found, &info, &err), 0);
	assert_string_equal(found.image, k.image);
	assert_string_equal(info.build_id, "abcdef");
	assert_int_equal(built_find("6.5+guest", ARCH_ARM64, HEX, true, &k, NULL, &err), -ENOENT);
	assert_int_equal(built_find("6.5", ARCH_AMD64, NULL, true, &k, NULL, &err), -ENOENT);
	assert_int_equal(built_find("6.5+guest", ARCH_AMD64, OTHER, true, &k, NULL, &err), -ENOENT);
	assert_int_equal(n_built(), 1);
	assert_int_equal(built_verify(&b, &err), 0);
}

/* A new key replaces the old one; local and keyed ones stand side by side, the keyed one first. */
static void test_replace(void **state)
{
	auto_cleanup(built) one = sample("6.5", HEX), two = sample("6.5", OTHER),
			    mine = sample("6.5", NULL), longer = sample("6.5-amd64-x", HEX);
	struct built *all[] = {&mine, &one, &two, &longer, &two, &mine};
	auto_cleanup(kernel) any = {0}, local = {0};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < array_len(all); i++) {
		auto_cleanup(kernel) k = {0};

		assert_int_equal(install(all[i], i, &k, &err), 0);
		assert_int_equal(k.local, all[i]->local);
	}
	assert_true(is_there("6.5-amd64-fedcba9876543210") && is_there("6.5-amd64-local"));
	assert_false(is_there("6.5-amd64-" KEY));
	assert_int_equal(built_find("6.5", ARCH_AMD64, NULL, true, &any, NULL, &err), 0);
	assert_false(any.local);
	assert_int_equal(built_find("6.5", ARCH_AMD64, HEX, true, &local, NULL, &err), 0);
	assert_true(local.local);
	assert_int_equal(n_built(), 3);
	assert_int_equal(built_remove("6.5", ARCH_ARM64, &err), 0);
	assert_int_equal(built_remove("6.5", ARCH_AMD64, &err), 1);
	assert_int_equal(n_built(), 1);
	assert_int_equal(built_remove("6.5", ARCH_AMD64, &err), 0);
}

static void damage_image(const char *dir)
{
	write_image(dir, 'x');
}

static void add_file(const char *dir)
{
	write_at(dir, "lib/modules/6.5.0/kernel/b.ko", "b", 1);
}

static void damage_sums(const char *dir)
{
	write_at(dir, "SHA256SUMS", "x\n", 2);
}

static void damage_meta(const char *dir)
{
	write_at(dir, "meta.json", "{", 1);
}

static void foreign_meta(const char *dir)
{
	write_at(dir, "meta.json", good, strlen(good));
}

static void test_verify(void **state)
{
	static const struct {
		void (*damage)(const char *dir);
		const char *says;
		int find; /* what built_find() returns then */
	} cases[] = {
		{damage_image, "/image: changed", -ENOENT},
		{add_file, "/lib/modules/6.5.0/kernel/b.ko: changed", 0},
		{damage_sums, "SHA256SUMS: changed", 0},
		{damage_meta, "meta.json:", -ENOENT},
		{foreign_meta, "meta.json: it is about 6.1+debug+kasan-arm64-", -ENOENT},
	};
	auto_cleanup(built) b = sample("6.5", HEX);
	auto_free char *dir = str_printf("%s/kernels/6.5-amd64-%s", cache, KEY);

	(void)state;
	assert_int_equal(built_verify(&b, NULL), -ENOENT);
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(kernel) k = {0}, found = {0};
		struct err err = {0};

		assert_int_equal(install(&b, i, &k, &err), 0);
		assert_int_equal(built_verify(&b, &err), 0);
		cases[i].damage(dir);
		assert_int_equal(built_find("6.5", ARCH_AMD64, HEX, true, &found, NULL, NULL),
				 cases[i].find);
		assert_int_equal(built_verify(&b, &err), -EBADMSG);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("%s", err.msg);
	}
}

static void add_nothing(const char *stage)
{
	write_at(stage, "config", "", 0);
}

static void add_text(const char *stage)
{
	write_at(stage, "image", "not a kernel", 12);
}

static void add_elf(const char *stage)
{
	auto_free char *from = path_join(stage, "vmlinux"), *to = path_join(stage, "image");

	write_vmlinux(stage);
	assert_int_equal(rename(from, to), 0);
}

static void add_link(const char *stage)
{
	auto_free char *path = path_join(stage, "config");

	write_image(stage, 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
}

static void add_bad_vmlinux(const char *stage)
{
	write_image(stage, 0);
	write_at(stage, "vmlinux", "ELF", 3);
}

/* What is no kernel is not taken in, and nothing of it stays. */
static void test_install_bad(void **state)
{
	static const struct {
		void (*fill)(const char *stage);
		const char *says;
	} cases[] = {
		{add_nothing, "no kernel image"}, {add_text, "neither a bzImage"},
		{add_elf, "no Linux kernel"},	  {add_link, "config: not a file"},
		{add_bad_vmlinux, "not an ELF"},
	};
	auto_cleanup(built) b = sample("6.5", HEX), arm = sample("6.5", HEX),
			    odd = sample("6.5/..", HEX), unreadable = sample("6.5", HEX);
	auto_cleanup(kernel) k = {0};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_free char *stage = built_stage(&b, &err);

		cases[i].fill(stage);
		assert_int_equal(built_install(&b, stage, &k, &err), -EBADMSG);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("%s", err.msg);
		assert_false(io_exists(stage));
	}
	arm.arch = ARCH_ARM64;
	assert_int_equal(install(&arm, 0, &k, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "is for amd64"));
	assert_null(built_stage(&odd, &err));
	assert_int_equal(err.code, EINVAL);
	free(unreadable.release);
	unreadable.release = xstrdup("6.5\n");
	assert_int_equal(install(&unreadable, 0, &k, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "release must be"));
	assert_int_equal(n_built(), 0);
}

/* Links that modules_install leaves are dropped. */
static void test_install_links(void **state)
{
	auto_cleanup(built) b = sample("6.5", HEX);
	auto_free char *stage = built_stage(&b, NULL), *link_path = NULL, *gone = NULL;
	auto_free char *gdb_path = NULL, *gdb_gone = NULL;
	auto_cleanup(kernel) k = {0};
	struct err err = {0};

	(void)state;
	write_image(stage, 0);
	write_at(stage, "lib/modules/6.5.0/modules.order", "", 0);
	link_path = path_join(stage, "lib/modules/6.5.0/build");
	assert_int_equal(symlink("/nowhere", link_path), 0);
	write_at(stage, "gdb/modules/lib/modules/6.5.0/modules.order", "", 0);
	gdb_path = path_join(stage, "gdb/modules/lib/modules/6.5.0/source");
	assert_int_equal(symlink("/nowhere", gdb_path), 0);
	assert_int_equal(built_install(&b, stage, &k, &err), 0);
	gone = path_join(k.modules_dir, "build");
	assert_int_equal(access(gone, F_OK), -1);
	gdb_gone = path_join(k.modules_dir, "../../../gdb/modules/lib/modules/6.5.0/modules.order");
	assert_int_equal(access(gdb_gone, F_OK), 0);
	strcpy(strrchr(gdb_gone, '/'), "/source");
	assert_int_equal(faccessat(AT_FDCWD, gdb_gone, F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_null(k.vmlinux);
	assert_null(k.build_id);
	assert_null(k.config);
}

static void test_build_id(void **state)
{
	auto_free char *path = path_join(cache, "vmlinux"), *plain = path_join(cache, "plain");
	auto_free char *id = NULL;
	auto_cleanup(buf) whole = {0};
	struct err err = {0};

	(void)state;
	write_vmlinux(cache);
	assert_int_equal(elf_build_id(path, &id, &err), 0);
	assert_string_equal(id, "abcdef");
	assert_int_equal(io_read_file(AT_FDCWD, path, 1 << 20, &whole, &err), 0);
	for (size_t n = 0; n < whole.len; n++) {
		char *cut = NULL;

		write_at(cache, "plain", whole.data, n);
		if (elf_build_id(plain, &cut, &err) == 0)
			assert_string_equal(cut, "abcdef"); /* names alone were cut off */
		free(cut);
	}
	write_at(cache, "plain", "text", 4);
	assert_int_equal(elf_build_id(plain, &id, &err), -EBADMSG);
	assert_int_equal(elf_build_id("/nonexistent", &id, &err), -ENOENT);
}

/* From a folder or a file: URL: only what was asked for. */
static void test_fetch(void **state)
{
	auto_cleanup(built) b = sample("6.5+guest", HEX);
	auto_free char *place = path_join(cache, "share"), *name = built_file_name(&b);
	auto_free char *file = path_join(place, name), *url = str_printf("file://%s/", place);
	auto_free char *wrong = str_printf("%s/6.5+guest-amd64-fedcba9876543210.tar.zst", place);
	const char *const places[] = {place, url};
	struct err err = {0};
	struct kernel none;

	(void)state;
	assert_int_equal(built_fetch(place, b.name, b.arch, HEX, NULL, NULL, NULL, &none, &err),
			 -ENOTDIR);
	assert_int_equal(io_mkdirs(place, 0755, &err), 0);
	for (size_t i = 0; i < array_len(places); i++) {
		auto_cleanup(kernel) k = {0}, found = {0};
		int cancel = 1;

		assert_int_equal(
			built_fetch(places[i], b.name, b.arch, HEX, NULL, NULL, NULL, &none, &err),
			-ENOENT);
		assert_int_equal(install(&b, 0, &k, &err), 0);
		assert_int_equal(built_export(&b, file, &err), 0);
		assert_int_equal(built_export(&b, file, &err), -EEXIST);
		assert_int_equal(built_remove(b.name, b.arch, &err), 1);
		assert_int_equal(built_fetch(places[i], b.name, b.arch, HEX, NULL, NULL, &cancel,
					     &none, &err),
				 -EINTR);
		assert_int_equal(n_built(), 0);
		assert_int_equal(
			built_fetch(places[i], b.name, b.arch, HEX, NULL, NULL, NULL, &found, &err),
			0);
		assert_string_equal(found.build_id, "abcdef");
		assert_int_equal(built_remove(b.name, b.arch, &err), 1);
		/* one that is called so, and is another */
		assert_int_equal(rename(file, wrong), 0);
		assert_int_equal(built_fetch(places[i], b.name, b.arch, OTHER, NULL, NULL, NULL,
					     &none, &err),
				 -EBADMSG);
		assert_non_null(strstr(err.msg, "not 6.5+guest-amd64-fedcba9876543210; remove it"));
		write_at(place, strrchr(wrong, '/') + 1, "damaged", 7);
		assert_int_equal(built_fetch(places[i], b.name, b.arch, OTHER, NULL, NULL, NULL,
					     &none, &err),
				 -EBADMSG);
		assert_int_equal(unlink(wrong), 0);
		assert_int_equal(n_built(), 0);
	}
}

int main(void)
{
#define IN_CACHE(test) cmocka_unit_test_setup_teardown(test, make_cache, remove_cache)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meta),
		cmocka_unit_test(test_meta_bad),
		cmocka_unit_test(test_folder_names),
		IN_CACHE(test_install),
		IN_CACHE(test_replace),
		IN_CACHE(test_verify),
		IN_CACHE(test_install_bad),
		IN_CACHE(test_install_links),
		IN_CACHE(test_fetch),
		IN_CACHE(test_build_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
