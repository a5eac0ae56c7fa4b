/* Why an option is not what was asked for: on a small tree of Kconfig files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/kconfig/kconfig-expr.h"
#include "lab/kconfig/kconfig-history.h"
#include "lab/kconfig/kconfig-why.h"

static const char tree[] = "tests/data/kconfig-tree";

#define TITLE "# Linux/x86 6.12.5 Kernel Configuration\n"
#define FIRST TITLE "CONFIG_FIRST=y\nCONFIG_MODULES=y\n"

static void test_why(void **state)
{
	static const struct {
		const char *config, *option, *value, *said;
	} cases[] = {
		{TITLE, "SLOB", "y",
		 "no such option in 6.12 (it was removed in 6.4; now: SLUB with SLUB_TINY)"},
		{"# Linux/x86 5.10.1 Kernel Configuration\n", "SECURITY_LANDLOCK", "y",
		 "no such option in 5.10 (it is there from 5.13 on)"},
		{TITLE, "MODULE", "y", "no such option in 6.12 (did you mean MODULES?)"},
		{"", "FAKE_THAT_IS_FAR_FROM_ALL", "y", "no such option"},
		{"", "FAKE", "y", "no such option"},
		{"", "OUTDENTED", "y", "it could be set: nothing that it depends on is missing"},
		{TITLE, "ARM64_THING", "y", "no such option in 6.12 for amd64 (arm64 has it)"},
		{TITLE, "CONFIG_AFTER_HELP", "y",
		 "depends on FIRST, which is n and on SECOND, which is n (cannot be set by itself; "
		 "its value is n)"},
		/* what lies around it: if, menu */
		{TITLE, "IN_MENU", "m", "depends on FIRST, which is n and on MODULES, which is n"},
		{FIRST, "IN_MENU", "m", "can only be set with EXPERT, which is n"},
		{FIRST "CONFIG_EXPERT=y\n", "IN_MENU", "m",
		 "it could be set: nothing that it depends on is missing"},
		{FIRST, "BOTH", "y",
		 "depends on DEBUG_KERNEL || SECOND && !FIRST (DEBUG_KERNEL is n, SECOND is n, "
		 "FIRST is y)"},
		{FIRST, "NOT_FIRST", "y", "depends on FIRST=n, which is y"},
		/* what nobody can set */
		{FIRST, "HIDDEN", "y", "cannot be set by itself; selected by NEEDS_LIBRARY"},
		{FIRST, "ARCH_CAN", "y", "cannot be set by itself; nothing selects it on amd64"},
		{FIRST, "USES_ARCH", "y",
		 "depends on ARCH_CAN, which is n (cannot be set by itself; nothing selects it on "
		 "amd64) and on SUNSPARC, which amd64 does not have"},
		{FIRST, "MAGIC", "y",
		 "depends on HAS_COMPILER, which is n (a test of the compiler and its tools: "
		 "$(cc-option,-fmagic -x))"},
		{FIRST, "MAGIC_TOO", "y",
		 "depends on a test of the compiler and its tools: $(success,test -e /magic)"},
		/* turning off */
		{FIRST "CONFIG_EXPERT=y\nCONFIG_DEBUG_KERNEL=y\n", "DEBUG_KERNEL", "n",
		 "selected by EXPERT"},
		{FIRST "CONFIG_ASKED_BY_EXPERTS=y\n", "ASKED_BY_EXPERTS", "n",
		 "can only be turned off with EXPERT, which is n"},
		{FIRST "CONFIG_X86=y\nCONFIG_LIBRARY=y\n", "LIBRARY", "n", "selected by X86"},
		{FIRST "CONFIG_X86=y\nCONFIG_LIBRARY=y\n", "LIBRARY", "m", "selected by X86"},
		{FIRST "CONFIG_GZIP=y\n", "GZIP", "n",
		 "one of a choice, which took it: set another one of it"},
		/* choices */
		{FIRST "CONFIG_GZIP=y\nCONFIG_EXPERT=y\n", "LZ4", "y", "a choice: GZIP was taken"},
		{FIRST "CONFIG_GZIP=y\n", "LZ4", "y", "depends on EXPERT, which is n"},
		{TITLE, "GZIP", "y", "depends on FIRST, which is n"},
		/* values */
		{FIRST "CONFIG_NUMBER=512\n", "NUMBER", "10000", "its range is 2 512"},
		{FIRST "CONFIG_NUMBER=64\n", "NUMBER", "y", "takes a number, not y"},
		{TITLE "CONFIG_NUMBER=64\n", "NUMBER", "32",
		 "can only be set with FIRST, which is n"},
		{FIRST "CONFIG_TEXT=\"a\"\n", "TEXT", "1", "takes a text in quotes, not 1"},
		{FIRST, "BOTH", "m", "takes y or n, not m"},
		{FIRST "CONFIG_TEXT=\"b\"\nCONFIG_NUMBER=64\n", "TEXTUAL", "y",
		 "depends on NUMBER > 100 (NUMBER is 64)"},
		{FIRST "CONFIG_TEXT=\"a\"\nCONFIG_NUMBER=0x100\n", "TEXTUAL", "y",
		 "depends on TEXT = \"b\" (TEXT is \"a\")"},
		/* depends on A if B */
		{FIRST, "CONDITIONAL", "y",
		 "depends on SECOND || !FIRST (SECOND is n, FIRST is y)"},
		{TITLE, "CONDITIONAL", "y",
		 "it could be set: nothing that it depends on is missing"},
		/* the definition that lacks least, of those with a prompt */
		{FIRST, "TWICE", "y", "depends on DEBUG_KERNEL, which is n"},
	};
	struct kconfig_tree *t = NULL;
	struct err err = {0};

	(void)state;
	if (kconfig_tree_open(tree, ARCH_AMD64, &t, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(kconfig) c = {0};
		auto_cleanup(buf) out = {0};

		assert_int_equal(
			kconfig_parse("c", cases[i].config, strlen(cases[i].config), &c, NULL), 0);
		kconfig_why(t, &c, cases[i].option, cases[i].value, &out);
		if (!str_eq(out.data, cases[i].said))
			fail_msg("%s=%s: %s\n, expected: %s", cases[i].option, cases[i].value,
				 out.data, cases[i].said);
	}
	kconfig_tree_close(t);
}

static void test_arch(void **state)
{
	auto_cleanup(kconfig) c = {0};
	auto_cleanup(buf) out = {0};
	struct kconfig_tree *t = NULL;

	(void)state;
	assert_int_equal(kconfig_tree_open(tree, ARCH_ARM64, &t, NULL), 0);
	kconfig_why(t, &c, "ARCH_CAN", "y", &out);
	buf_adds(&out, "; ");
	kconfig_why(t, &c, "X86_THING", "y", &out);
	kconfig_tree_close(t);
	assert_string_equal(out.data, "cannot be set by itself; selected by ARM64; no such option "
				      "for arm64 (amd64 has it)");
}

static void test_no_tree(void **state)
{
	struct kconfig_tree *t = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(kconfig_tree_open("tests/data/none", ARCH_AMD64, &t, &err), -ENOENT);
	assert_int_equal(kconfig_tree_open("tests/data", ARCH_AMD64, &t, &err), -ENOENT);
	assert_null(t);
}

static bool known(const void *data, const char *name)
{
	(void)data;
	return name[0] >= 'A' && name[0] <= 'F';
}

static void test_expressions(void **state)
{
	static const struct {
		const char *text, *printed; /* NULL: the same */
		enum tristate value;
	} cases[] = {
		{"A", NULL, TRI_Y},
		{"B", NULL, TRI_M},
		{"C", NULL, TRI_N},
		{"y", NULL, TRI_Y},
		{"m", NULL, TRI_M},
		{"X", NULL, TRI_N},
		{"!B", NULL, TRI_M},
		{"!!C", NULL, TRI_N},
		{"A && B", NULL, TRI_M},
		{"A&&B||C", "A && B || C", TRI_M},
		{"A && (B || C)", NULL, TRI_M},
		{"A && (B||A)", "A && (B || A)", TRI_Y},
		{"!(A || C)", NULL, TRI_N},
		{"C || A && B", NULL, TRI_M},
		{"((A))", "A", TRI_Y},
		{"A = y", NULL, TRI_Y},
		{"A!=y", "A != y", TRI_N},
		{"C = n", NULL, TRI_Y},
		{"B = m && !(A = n)", NULL, TRI_Y},
		{"D >= 12", NULL, TRI_Y},
		{"D < 0x0c", NULL, TRI_N},
		{"D > 9", NULL, TRI_Y},
		{"E = \"text\"", NULL, TRI_Y},
		{"E != 'text'", "E != \"text\"", TRI_N},
		{"$(cc-option, -f(x)) && C", NULL, TRI_N},
		{"\"$(CROSS)\" != \"\"", "$(CROSS) != \"\"", TRI_Y},
		{"A # && C", "A", TRI_Y},
	};
	static const char *const bad[] = {"", "&& A", "(A", "A &&", "!", "A =", "$(A", "\"A", ")"};
	static const char config[] = "CONFIG_A=y\nCONFIG_B=m\nCONFIG_D=12\nCONFIG_E=\"text\"\n";
	auto_cleanup(kconfig) c = {0};
	const struct kexpr_values v = {&c, known, NULL};

	(void)state;
	assert_int_equal(kconfig_parse("c", config, strlen(config), &c, NULL), 0);
	for (size_t i = 0; i < array_len(cases); i++) {
		const char *at = cases[i].text;
		struct kexpr *e = kexpr_parse(&at);
		auto_cleanup(buf) out = {0};

		assert_non_null(e);
		kexpr_print(e, &out);
		assert_string_equal(out.data, cases[i].printed ? cases[i].printed : cases[i].text);
		if (kexpr_eval(e, &v) != cases[i].value)
			fail_msg("%s is %d", cases[i].text, kexpr_eval(e, &v));
		kexpr_free(e);
	}
	for (size_t i = 0; i < array_len(bad); i++) {
		const char *at = bad[i];

		assert_null(kexpr_parse(&at));
	}
}

static void test_history(void **state)
{
	static const struct {
		const char *option;
		struct kver kver;
		const char *said; /* NULL: nothing */
	} cases[] = {
		{"SLOB", {{6, 3}}, NULL},
		{"SLOB", {{6, 4}}, "it was removed in 6.4; now: SLUB with SLUB_TINY"},
		{"VMCORE_INFO", {{6, 1}}, "it is there from 6.9 on; before: CRASH_CORE"},
		{"VMCORE_INFO", {{6, 9}}, NULL},
		{"SET_FS", {{6, 1}}, "it was removed between 5.10 and 6.1"},
		{"BCACHEFS_FS", {{6, 6, 99}}, "it is there from 6.7 on"},
		{"NET", {{6, 1}}, NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(buf) out = {0};

		assert_int_equal(kconfig_history(cases[i].option, &cases[i].kver, &out),
				 cases[i].said != NULL);
		if (cases[i].said)
			assert_string_equal(out.data, cases[i].said);
		else
			assert_int_equal(out.len, 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_why),	cmocka_unit_test(test_arch),
		cmocka_unit_test(test_no_tree), cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_history),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
