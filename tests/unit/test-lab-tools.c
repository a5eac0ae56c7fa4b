/* tools.c: which version of which tool reads which kernel's dumps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "jail/base/cleanup.h"
#include "lab/open/tools.h"

static struct kver kver(const char *text)
{
	struct kver v;

	assert_int_equal(kver_parse(text, &v, NULL), 0);
	return v;
}

static void fits(void **state)
{
	static const struct {
		const char *tool, *version, *kernel;
		enum arch arch;
		bool reads, kdump, one_arch;
		const char *options, *newest, *needs, *where;
	} cases[] = {
		/* clang-format off */
		{"crash", "8.0.2", "5.10.223", ARCH_AMD64, true, true, true, NULL, "6.1", "8.0.6", "trixie"},
		{"crash", "8.0.2", "6.1.176", ARCH_ARM64, true, true, true, NULL, "6.1", "8.0.6", "trixie"},
		{"crash", "8.0.2", "6.2", ARCH_AMD64, false, false, false, NULL, "6.1", "8.0.6", "trixie"},
		{"crash", "8.0.2", "6.12.107", ARCH_AMD64, false, false, false, NULL, "6.1", "8.0.6", "trixie"},
		{"crash", "8.0.2", "7.2.12", ARCH_AMD64, false, false, false, NULL, "6.1", "9.0.2", "sid"},
		{"crash", "8.0.6", "6.12.107", ARCH_AMD64, true, true, true, NULL, "6.12", "", NULL},
		{"crash", "8.0.6", "7.2", ARCH_AMD64, false, false, false, NULL, "6.12", "9.0.2", "sid"},
		{"crash", "9.0.2", "6.1", ARCH_AMD64, true, true, true, NULL, "7.2", "", NULL},
		{"crash", "9.0.2", "7.2", ARCH_AMD64, true, true, true, "--no_modules", "7.2", "", NULL},
		{"crash", "10.0", "7.3", ARCH_AMD64, false, false, false, NULL, "7.2", "", NULL},
		{"crash", "7.3.0", "6.1", ARCH_AMD64, false, false, false, NULL, "", "8.0.2", "bookworm"},
		{"crash", "8.0.2", "4.19", ARCH_AMD64, false, false, false, NULL, "6.1", "", NULL},
		{"drgn", "0.0.22", "6.1", ARCH_AMD64, true, false, false, NULL, "6.2", "0.0.31", "trixie"},
		{"drgn", "0.0.22", "6.12", ARCH_AMD64, false, false, false, NULL, "6.2", "0.0.31", "trixie"},
		{"drgn", "0.0.22", "6.12", ARCH_ARM64, true, false, false, NULL, "7.2", "0.0.31", "trixie"},
		{"drgn", "0.0.31", "6.12", ARCH_AMD64, true, false, false, NULL, "6.15", "0.3.0", NULL},
		{"drgn", "0.0.31", "7.2", ARCH_AMD64, false, false, false, NULL, "6.15", "0.3.0", NULL},
		{"drgn", "0.3.0", "7.2", ARCH_AMD64, true, false, false, NULL, "7.3", "", NULL},
		{"drgn", "0.0.13", "6.1", ARCH_AMD64, false, false, false, NULL, "", "0.0.22", "bookworm"},
		{"kgdb", "1.0", "6.1", ARCH_AMD64, false, false, false, NULL, "", "", NULL},
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct kver version = kver(cases[i].version), kernel = kver(cases[i].kernel);
		struct tool_fit fit;

		print_message("# %s %s on %s\n", cases[i].tool, cases[i].version, cases[i].kernel);
		tools_fit(cases[i].tool, &version, &kernel, cases[i].arch, &fit);
		assert_int_equal(fit.reads, cases[i].reads);
		assert_int_equal(fit.kdump, cases[i].kdump);
		assert_int_equal(fit.one_arch, cases[i].one_arch);
		assert_int_equal(!fit.options, !cases[i].options);
		if (fit.options)
			assert_string_equal(fit.options, cases[i].options);
		assert_string_equal(fit.newest, cases[i].newest);
		assert_string_equal(fit.needs, cases[i].needs);
		assert_int_equal(!fit.where, !cases[i].where);
		if (fit.where)
			assert_string_equal(fit.where, cases[i].where);
	}
}

static void versions(void **state)
{
	static const struct {
		const char *tool, *said, *is;
	} cases[] = {
		{"crash", "\ncrash 8.0.2\nCopyright (C) 2002-2022\n", "8.0.2"},
		{"crash", "crash 8.0.6++\n", "8.0.6"},
		{"crash", "crash 9.0.2", "9.0.2"},
		{"drgn", "drgn 0.0.22 (using Python 3.11.2, elfutils 0.188)\n", "0.0.22"},
		{"drgn", "drgn 0.0.31+deb13u1 (using …)\n", "0.0.31"},
		{"crash", "crash: cannot find booted kernel\n", NULL},
		{"crash", "a crash 8.0.2\n", NULL},
		{"crash", "crashes 8.0.2\n", NULL},
		{"crash", "crash \n", NULL},
		{"drgn", "", NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct kver version;
		char text[16];
		int r = tools_version(cases[i].tool, cases[i].said, &version);

		assert_int_equal(r, cases[i].is ? 0 : -ENOENT);
		if (r == 0) {
			tools_version_print(&version, text);
			assert_string_equal(text, cases[i].is);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fits),
		cmocka_unit_test(versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
