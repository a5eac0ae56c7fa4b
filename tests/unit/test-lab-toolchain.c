/* toolchain.h, with programs of the test's own in PATH: they say which version they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kbuild/toolchain.h"

static char bin[] = "/tmp/test-toolchain-XXXXXX";
static char *path;
static const char *ccache_dir = bin;

static void program(const char *name, const char *version)
{
	auto_free char *file = path_join(bin, name);
	auto_free char *text =
		str_printf("#!/bin/sh\n[ \"$1\" != --version ] || echo '%s (made up) %s'\n"
			   "[ \"$1\" != -dumpversion ] || echo %s\n"
			   "[ \"$1\" != --get-config ] || echo %s\nexit 0\n",
			   name, version, version, ccache_dir);

	assert_int_equal(io_write_atomic(AT_FDCWD, file, text, strlen(text), 0755, NULL), 0);
}

static void programs(const char *version, const char *suffix)
{
	static const char *const llvm[] = {"clang",	 "ld.lld",	 "llvm-ar",
					   "llvm-nm",	 "llvm-objcopy", "llvm-objdump",
					   "llvm-strip", "llvm-readelf"};
	static const char *const tools[] = {"make",
					    "flex",
					    "bison",
					    "bc",
					    "perl",
					    "lz4",
					    "gcc",
					    "aarch64-linux-gnu-gcc",
					    "x86_64-linux-gnu-gcc"};

	for (size_t i = 0; i < array_len(tools); i++)
		program(tools[i], version);
	for (size_t i = 0; i < array_len(llvm); i++) {
		auto_free char *name = str_printf("%s%s", llvm[i], suffix);

		program(name, version);
	}
}

static int set_up(void **state)
{
	auto_free char *sh = NULL;

	(void)state;
	if (!mkdtemp(bin))
		return -1;
	sh = path_join(bin, "sh");
	if (symlink("/bin/sh", sh) < 0)
		return -1;
	path = xstrdup(getenv("PATH"));
	setenv("PATH", bin, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	setenv("PATH", path, 1);
	free(path);
	return io_remove_tree(AT_FDCWD, bin, NULL);
}

static enum arch foreign(void)
{
	return arch_native() == ARCH_AMD64 ? ARCH_ARM64 : ARCH_AMD64;
}

static void remove_program(const char *name)
{
	auto_free char *file = path_join(bin, name);

	unlink(file);
}

/* All of make's words that are not the same for every row. */
static void words(const struct toolchain *tc, struct buf *out)
{
	for (size_t i = 0; i < tc->make.n; i++)
		if (!str_starts(tc->make.items[i], "ARCH=") &&
		    !str_starts(tc->make.items[i], "CROSS_COMPILE="))
			buf_addf(out, "%s%s", out->len ? "; " : "", tc->make.items[i]);
}

static void old_kernels_and_new_compilers(void **state)
{
	static const struct {
		const char *kernel, *version, *words;
		bool llvm;
		size_t notes;
	} rows[] = {
		{"6.5.0", "12", "CC=gcc; HOSTCC=gcc", false, 0},
		{"6.5.0", "15", "CC=gcc -std=gnu11; HOSTCC=gcc", false, 1},
		{"6.14", "15", "CC=gcc; HOSTCC=gcc", false, 0},
		{"5.10.1", "11", "CC=gcc; HOSTCC=gcc", false, 0},
		{"5.10.1", "12",
		 "WERROR=0; HOSTCFLAGS=-Wno-error=use-after-free; CC=gcc; HOSTCC=gcc", false, 2},
		{"5.4.0", "16",
		 "WERROR=0; HOSTCFLAGS=-Wno-error=use-after-free -fcommon; CC=gcc -std=gnu11; "
		 "HOSTCC=gcc",
		 false, 4},
		{"6.5.0", "14", "LLVM=1; CC=clang; HOSTCC=clang", true, 0},
		{"5.6.0", "14", NULL, true, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(rows); i++) {
		auto_cleanup(toolchain) tc = {0};
		auto_cleanup(buf) got = {0};
		struct err err = {0};
		struct kver kver;
		int r;

		programs(rows[i].version, "");
		assert_int_equal(kver_parse(rows[i].kernel, &kver, NULL), 0);
		r = toolchain_find(arch_native(), rows[i].llvm, &kver, &tc, &err);
		if (!rows[i].words) {
			assert_int_equal(r, -ENOTSUP);
			assert_non_null(strstr(err.msg, "does not build kernel 5.6"));
			continue;
		}
		if (r < 0)
			fail_msg("%s", err.msg);
		words(&tc, &got);
		assert_string_equal(got.data, rows[i].words);
		assert_int_equal(tc.notes.n, rows[i].notes);
		assert_non_null(strstr(tc.version, rows[i].version));
	}
}

static void cross(void **state)
{
	const char *prefix = foreign() == ARCH_ARM64 ? "aarch64-linux-gnu-" : "x86_64-linux-gnu-";
	auto_free char *gcc = str_printf("%sgcc", prefix), *want = NULL;
	struct err err = {0};

	(void)state;
	programs("12", "");
	for (int llvm = 0; llvm < 2; llvm++) {
		auto_cleanup(toolchain) tc = {0};

		assert_int_equal(toolchain_find(foreign(), llvm, NULL, &tc, &err), 0);
		free(want);
		want = str_printf("CROSS_COMPILE=%s", prefix);
		assert_true(strv_has(&tc.make, want));
		free(want);
		want = str_printf("CC=%s", llvm ? "clang" : gcc);
		assert_true(strv_has(&tc.make, want));
	}
	remove_program(gcc);
	{
		auto_cleanup(toolchain) tc = {0};

		assert_int_equal(toolchain_find(foreign(), false, NULL, &tc, &err), -ENOENT);
		assert_non_null(strstr(err.msg, "apt-get install gcc-"));
		assert_int_equal(toolchain_find(foreign(), true, NULL, &tc, &err), 0);
	}
	remove_program("gcc");
	{
		auto_cleanup(toolchain) tc = {0};

		assert_int_equal(toolchain_find(arch_native(), false, NULL, &tc, &err), -ENOENT);
		assert_non_null(strstr(err.msg, "apt-get install gcc;"));
	}
}

static void versioned_llvm(void **state)
{
	auto_cleanup(toolchain) tc = {0};
	struct err err = {0};

	(void)state;
	programs("12", "-14");
	programs("12", "-16");
	remove_program("clang");
	assert_int_equal(toolchain_find(arch_native(), true, NULL, &tc, &err), 0);
	assert_true(strv_has(&tc.make, "CC=clang-16"));
	assert_true(strv_has(&tc.make, "LD=ld.lld-16"));
	toolchain_deinit(&tc);
	remove_program("ld.lld-16");
	remove_program("ld.lld-14");
	assert_int_equal(toolchain_find(arch_native(), true, NULL, &tc, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "apt-get install clang lld llvm"));
}

static void missing_tools_and_ccache(void **state)
{
	auto_cleanup(toolchain) tc = {0};
	struct err err = {0};

	(void)state;
	programs("12", "");
	program("ccache", "4");
	assert_int_equal(toolchain_find(arch_native(), false, NULL, &tc, &err), 0);
	assert_true(strv_has(&tc.make, "CC=ccache gcc"));
	assert_true(strv_has(&tc.make, "HOSTCC=ccache gcc"));
	toolchain_deinit(&tc);
	ccache_dir = "/dev/null/ccache"; /* where nobody can write */
	program("ccache", "4");
	assert_int_equal(toolchain_find(arch_native(), false, NULL, &tc, &err), 0);
	assert_true(strv_has(&tc.make, "CC=gcc"));
	toolchain_deinit(&tc);
	ccache_dir = bin;
	program("ccache", "4");
	setenv("LAB_NO_CCACHE", "1", 1);
	assert_int_equal(toolchain_find(arch_native(), false, NULL, &tc, &err), 0);
	assert_true(strv_has(&tc.make, "CC=gcc"));
	toolchain_deinit(&tc);
	unsetenv("LAB_NO_CCACHE");
	remove_program("bc");
	remove_program("flex");
	assert_int_equal(toolchain_find(arch_native(), false, NULL, &tc, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "needs flex, bc (on Debian: apt-get install flex bc)"));
	assert_int_equal(toolchain_check_pahole(&err), -ENOENT);
	program("pahole", "1.24");
	assert_int_equal(toolchain_check_pahole(&err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_kernels_and_new_compilers),
		cmocka_unit_test(cross),
		cmocka_unit_test(versioned_llvm),
		cmocka_unit_test(missing_tools_and_ccache),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
