/* Fragments of configurations: what a line means, where it holds, what is refused and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/kconfig/fragment.h"

static int parse(const char *text, struct fragment *ret, struct err *err)
{
	return fragment_parse("f", "f.config", text, strlen(text), ret, err);
}

static void test_lines(void **state)
{
	static const char text[] = "# f - a header\n"
				   "# of two lines\n"
				   "\n"
				   "# one reason\n"
				   "CONFIG_A=y\n"
				   "CONFIG_B=m\n"
				   "# a reason that goes on\n"
				   "#   in a second line\n"
				   "# CONFIG_C is not set\n"
				   "# [arm64 >=5.13 <6.4] elsewhere it is not wanted\n"
				   "CONFIG_D=\"a \\\"b\\\" # c\"\r\n"
				   "# [amd64] \n"
				   "CONFIG_E=0xfF\n"
				   "# [x86_64 arm64] both\n"
				   "CONFIG_F=-12";
	static const struct {
		const char *name, *value, *reason;
		int line;
		unsigned int archs;
	} want[] = {
		{"A", "y", "one reason", 5, 3},
		{"B", "m", NULL, 6, 3},
		{"C", "n", "a reason that goes on in a second line", 9, 3},
		{"D", "\"a \\\"b\\\" # c\"", "elsewhere it is not wanted", 11, 1u << ARCH_ARM64},
		{"E", "0xfF", NULL, 13, 1u << ARCH_AMD64},
		{"F", "-12", "both", 15, 3},
	};
	auto_cleanup(fragment) f = {0};
	auto_cleanup(buf) range = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(parse(text, &f, &err), 0);
	assert_string_equal(f.name, "f");
	assert_int_equal(f.n, array_len(want));
	for (size_t i = 0; i < f.n; i++) {
		assert_string_equal(f.items[i].name, want[i].name);
		assert_string_equal(f.items[i].value, want[i].value);
		assert_int_equal(f.items[i].line, want[i].line);
		assert_int_equal(f.items[i].archs, want[i].archs);
		assert_int_equal(!f.items[i].reason, !want[i].reason);
		if (want[i].reason)
			assert_string_equal(f.items[i].reason, want[i].reason);
	}
	kver_range_print(&range, &f.items[3].kernels);
	assert_string_equal(range.data, ">=5.13 <6.4");
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *said;
	} bad[] = {
		{"VIRTIO=y\n", "f.config:1:1: expected CONFIG_NAME=value"},
		{"\nCONFIG_A y\n", "f.config:2:9: expected '='"},
		{"CONFIG_A =y\n", "f.config:1:9: expected '='"},
		{"CONFIG_=y\n", "f.config:1:8: a name"},
		{"CONFIG_A=yes\n", "f.config:1:10: 'yes' is no value"},
		{"CONFIG_A=\n", "f.config:1:10: '' is no value"},
		{"CONFIG_A=\"x\n", "f.config:1:10: '\"x' is no value"},
		{"CONFIG_A=\"x\\\"\n", "is no value"},
		{"CONFIG_A=\"x\" \"y\"\n", "is no value"},
		{"CONFIG_A=0x\n", "is no value"},
		{"CONFIG_A=1k\n", "is no value"},
		{"CONFIG_A=-\n", "is no value"},
		{"# [riscv] x\nCONFIG_A=y\n", "f.config:1:4: 'riscv': in brackets stand"},
		{"#  [amd64 new] x\nCONFIG_A=y\n", "f.config:1:11: 'new'"},
		{"# [>=new] x\nCONFIG_A=y\n", "f.config:1:3: '>=new' is not a range"},
		{"# [amd64 x\nCONFIG_A=y\n", "f.config:1:3: a '[' that is not closed"},
		{"# [] x\nCONFIG_A=y\n", "f.config:1:3: empty brackets"},
	};
	struct fragment f;

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		struct err err = {0};

		assert_int_equal(parse(bad[i].text, &f, &err), -EINVAL);
		if (!strstr(err.msg, bad[i].said))
			fail_msg("%s: said %s, not %s", bad[i].text, err.msg, bad[i].said);
	}
	assert_int_equal(fragment_parse("f", "f", "CONFIG_A=y\0\n", 12, &f, NULL), -EINVAL);
}

static void test_bounds(void **state)
{
	auto_cleanup(buf) text = {0};
	struct fragment f;

	(void)state;
	for (int i = 0; i <= FRAGMENT_MAX_LINES; i++)
		buf_adds(&text, "#\n");
	assert_int_equal(fragment_parse("f", "f", text.data, text.len, &f, NULL), -E2BIG);
	while (text.len <= FRAGMENT_MAX_BYTES)
		buf_adds(&text, "################################");
	assert_int_equal(fragment_parse("f", "f", text.data, text.len, &f, NULL), -E2BIG);
}

struct pair {
	struct fragment f[2];
};

static void pair_deinit(struct pair *p)
{
	fragment_deinit(&p->f[0]);
	fragment_deinit(&p->f[1]);
}
DEFINE_CLEANUP(pair, pair_deinit)

static int combine(const char *one, const char *two, const char *version, enum arch arch,
		   struct buf *out, struct err *err)
{
	auto_cleanup(fragment_set) set = {0};
	auto_cleanup(pair) p = {0};
	struct kver kver;
	int r;

	assert_int_equal(kver_parse(version, &kver, NULL), 0);
	assert_int_equal(fragment_parse("one", "one", one, strlen(one), &p.f[0], NULL), 0);
	assert_int_equal(fragment_parse("two", "two", two, strlen(two), &p.f[1], NULL), 0);
	r = fragment_set_build(p.f, 2, &kver, arch, &set, err);
	for (size_t i = 0; r == 0 && i < 2; i++) {
		fragment_set_text(&set, &p.f[i], out);
		buf_adds(out, ";");
	}
	return r;
}

static void test_combine(void **state)
{
	static const struct {
		const char *one, *two, *version;
		enum arch arch;
		const char *want; /* with ';' after each fragment; or of the error */
	} cases[] = {
		{"CONFIG_A=y\n", "# CONFIG_B is not set\n", "6.1", ARCH_AMD64,
		 "CONFIG_A=y\n;# CONFIG_B is not set\n;"},
		/* the same twice: the first is kept */
		{"CONFIG_B=y\nCONFIG_A=y\nCONFIG_B=y\n", "CONFIG_A=y\n", "6.1", ARCH_AMD64,
		 "CONFIG_B=y\nCONFIG_A=y\n;;"},
		{"# [arm64] x\nCONFIG_A=y\n# [<6] x\nCONFIG_B=y\n", "CONFIG_C=1\n", "6.1",
		 ARCH_AMD64, ";CONFIG_C=1\n;"},
		{"# [arm64] x\nCONFIG_A=y\n# [<6] x\nCONFIG_B=y\n", "CONFIG_C=1\n", "5.10.223",
		 ARCH_ARM64, "CONFIG_A=y\nCONFIG_B=y\n;CONFIG_C=1\n;"},
		/* what does not meet does not conflict */
		{"# [<6.2] x\nCONFIG_A=y\n", "# [>=6.2] x\nCONFIG_A=m\n", "6.2", ARCH_AMD64,
		 ";CONFIG_A=m\n;"},
		{"\nCONFIG_A=y\n", "# x\n# CONFIG_A is not set\n", "6.1", ARCH_AMD64,
		 "two:2: wants A=n, but one:2 wants A=y"},
		{"CONFIG_A=1\nCONFIG_A=2\n", "", "6.1", ARCH_AMD64,
		 "one:2: wants A=2, but one:1 wants A=1"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(buf) out = {0};
		struct err err = {0};

		if (combine(cases[i].one, cases[i].two, cases[i].version, cases[i].arch, &out,
			    &err) < 0)
			assert_memory_equal(err.msg, cases[i].want, strlen(cases[i].want));
		else
			assert_string_equal(out.data, cases[i].want);
	}
}

/* The project's own: each option has its reason, and all of them can be combined. */
static void test_project(void **state)
{
	static const struct kver kvers[] = {{{5, 10}}, {{6, 1}}, {{6, 5}}, {{6, 12}}, {{7, 2}}};
	struct fragment fragments[40] = {0};
	glob_t found;

	(void)state;
	assert_int_equal(glob("kernel-config/*.config", 0, NULL, &found), 0);
	assert_in_range(found.gl_pathc, 2, array_len(fragments));
	for (size_t i = 0; i < found.gl_pathc; i++) {
		auto_cleanup(buf) text = {0};
		struct err err = {0};

		assert_int_equal(
			io_read_file(AT_FDCWD, found.gl_pathv[i], FRAGMENT_MAX_BYTES, &text, NULL),
			0);
		if (fragment_parse(found.gl_pathv[i], found.gl_pathv[i], text.data, text.len,
				   &fragments[i], &err) < 0)
			fail_msg("%s", err.msg);
		for (size_t o = 0; o < fragments[i].n; o++)
			if (!fragments[i].items[o].reason)
				fail_msg("%s:%d: %s has no reason", found.gl_pathv[i],
					 fragments[i].items[o].line, fragments[i].items[o].name);
	}
	for (size_t v = 0; v < array_len(kvers); v++)
		for (int arch = 0; arch < ARCH_COUNT; arch++) {
			auto_cleanup(fragment_set) set = {0};
			struct err err = {0};

			if (fragment_set_build(fragments, found.gl_pathc, &kvers[v], arch, &set,
					       &err) < 0)
				fail_msg("%s", err.msg);
			assert_true(set.n > 0);
		}
	for (size_t i = 0; i < found.gl_pathc; i++)
		fragment_deinit(&fragments[i]);
	globfree(&found);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_bounds),	cmocka_unit_test(test_combine),
		cmocka_unit_test(test_project),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
