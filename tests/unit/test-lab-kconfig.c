/* .config: read, looked up, compared, held against what was wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/kconfig/kconfig.h"

static const char sample[] =
	"#\n"
	"# Automatically generated file; DO NOT EDIT.\n"
	"# Linux/arm64 6.1.176 Kernel Configuration\n"
	"#\n"
	"CONFIG_CC_VERSION_TEXT=\"gcc (Debian 12.2.0-14) 12.2.0\"\n"
	"CONFIG_ZZ=y\n"
	"CONFIG_A=m\n"
	"# CONFIG_B is not set\n"
	"# CONFIG_B is not set is what the line above says, this one is not set\n"
	"CONFIG_C=n\n"
	"CONFIG_LSM=\"landlock,yama = x\"\n"
	"CONFIG_HEX=0x1000\n"
	"CONFIG_TWICE=y\n"
	"# CONFIG_TWICE is not set\n"
	"CONFIG_AGAIN=1\n"
	"CONFIG_AGAIN=2";

static void parse(const char *text, struct kconfig *ret)
{
	struct err err = {0};

	if (kconfig_parse("c", text, strlen(text), ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static void test_get(void **state)
{
	static const char *const want[][2] = {
		{"ZZ", "y"},
		{"CONFIG_ZZ", "y"},
		{"A", "m"},
		{"B", "n"},
		{"C", "n"},
		{"LSM", "\"landlock,yama = x\""},
		{"HEX", "0x1000"},
		{"TWICE", "n"},
		{"AGAIN", "2"},
		{"NOT_THERE", "n"},
		{"CONFIG_NOT_THERE", "n"},
	};
	static const char hostile[] = "CONFIG_A=\"\033]0;x\007\"\n"
				      "CONFIG_CC_VERSION_TEXT=\"gcc \033[31m\t\xff\xc2\x9b[0m\"\n";
	struct kconfig evil = {0};
	auto_cleanup(kconfig) c = {0}, empty = {0};

	(void)state;
	parse(sample, &c);
	parse("", &empty);
	for (size_t i = 0; i < array_len(want); i++) {
		assert_string_equal(kconfig_get(&c, want[i][0]), want[i][1]);
		assert_string_equal(kconfig_get(&empty, want[i][0]), "n");
	}
	assert_int_equal(c.n, 6);
	assert_int_equal(c.arch, ARCH_ARM64);
	assert_string_equal(c.version, "6.1.176");
	assert_string_equal(c.compiler, "gcc (Debian 12.2.0-14) 12.2.0");
	assert_int_equal(empty.arch, -1);
	assert_null(empty.version);
	assert_null(empty.compiler);
	assert_int_equal(kconfig_parse("x", hostile, strlen(hostile), &evil, NULL), 0);
	assert_string_equal(kconfig_get(&evil, "A"), "\"?]0;x?\"");
	assert_string_equal(evil.compiler, "gcc ?[31m ???[0m");
	kconfig_deinit(&evil);
}

static void test_title(void **state)
{
	static const struct {
		const char *text;
		int arch;
	} cases[] = {
		{"# Linux/x86 5.10.223 Kernel Configuration\nCONFIG_X86_64=y\n", ARCH_AMD64},
		{"# Linux/x86_64 5.10.223 Kernel Configuration\n", ARCH_AMD64},
		{"# Linux/x86 5.10.223 Kernel Configuration\nCONFIG_X86_32=y\n", -1},
		{"# Linux/riscv 6.1 Kernel Configuration\n", -1},
		{"# Linux/arm 6.1 Kernel Configuration\n", -1},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(kconfig) c = {0};

		parse(cases[i].text, &c);
		assert_int_equal(c.arch, cases[i].arch);
	}
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *said;
	} bad[] = {
		{"CONFIG_A=y\nhello\n", "c:2: not a line"},
		{"CONFIG_A\n", "c:1: "},
		{"CONFIG_=y\n", "c:1: "},
		{"CONFIG_A=\n", "c:1: "},
		{"CONFIG_A-B=y\n", "c:1: "},
	};
	struct kconfig c;

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		struct err err = {0};

		assert_int_equal(kconfig_parse("c", bad[i].text, strlen(bad[i].text), &c, &err),
				 -EINVAL);
		assert_memory_equal(err.msg, bad[i].said, strlen(bad[i].said));
	}
	assert_int_equal(kconfig_parse("c", "CONFIG_A=\0y\n", 12, &c, NULL), -EINVAL);
	assert_int_equal(kconfig_parse("c", "", KCONFIG_MAX_BYTES + 1, &c, NULL), -E2BIG);
}

static void note_diff(void *data, const char *option, const char *a, const char *b)
{
	buf_addf(data, "%s:%s:%s ", option, a, b);
}

static void test_diff(void **state)
{
	auto_cleanup(kconfig) a = {0}, b = {0}, empty = {0};
	auto_cleanup(buf) out = {0};

	(void)state;
	parse("CONFIG_A=y\nCONFIG_B=m\nCONFIG_D=1\nCONFIG_E=y\n", &a);
	parse("CONFIG_E=y\nCONFIG_D=2\nCONFIG_C=y\nCONFIG_A=y\n", &b);
	kconfig_diff(&a, &b, note_diff, &out);
	assert_string_equal(out.data, "B:m:n C:n:y D:1:2 ");
	buf_reset(&out);
	kconfig_diff(&empty, &a, note_diff, &out);
	kconfig_diff(&b, &empty, note_diff, &out);
	assert_string_equal(out.data, "A:n:y B:n:m D:n:1 E:n:y A:y:n C:y:n D:2:n E:y:n ");
	out.len = 0;
	kconfig_diff(&a, &a, note_diff, &out);
	assert_int_equal(out.len, 0);
}

static void note_miss(void *data, const struct fragment_pick *wanted, const char *is)
{
	buf_addf(data, "%s=%s:%s ", wanted->option->name, wanted->option->value, is);
}

static void test_check(void **state)
{
	static const char text[] =
		"CONFIG_A=m\nCONFIG_ZZ=m\n# CONFIG_B is not set\nCONFIG_HEX=0x01000\n"
		"CONFIG_GONE=y\n# CONFIG_AGAIN is not set\nCONFIG_LSM=\"yama\"\n";
	static const struct kver kver = {{6, 1}};
	auto_cleanup(fragment_set) set = {0};
	auto_cleanup(fragment) f = {0};
	auto_cleanup(kconfig) c = {0};
	auto_cleanup(buf) out = {0};

	(void)state;
	parse(sample, &c);
	assert_int_equal(fragment_parse("f", "f", text, strlen(text), &f, NULL), 0);
	assert_int_equal(fragment_set_build(&f, 1, &kver, ARCH_ARM64, &set, NULL), 0);
	assert_int_equal(kconfig_check(&c, &set, note_miss, &out), 4);
	assert_string_equal(out.data,
			    "ZZ=m:y GONE=y:n AGAIN=n:2 LSM=\"yama\":\"landlock,yama = x\" ");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),	 cmocka_unit_test(test_title),
		cmocka_unit_test(test_mistakes), cmocka_unit_test(test_diff),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
