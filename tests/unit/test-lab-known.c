/* Known crashes: what the file must say, and which crashes an entry hides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/crash/known.h"

#define REST ", reason: r, link: 'https://x', until: 2026-02-28}\n"

static void test_mistakes(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "k.yml:1:1: known crashes are a list (- title: …, reason, link, until)"},
		{"- a\n", "k.yml:1:3: a known crash must be a map"},
		{"- {titel: x" REST,
		 "k.yml:1:4: unknown key 'titel' in a known crash (did you mean "
		 "'title'?)"},
		{"- {reason: r, link: 'https://x', until: 2026-02-28}\n",
		 "k.yml:1:3: a known crash needs 'title': its title or /regex/"},
		{"- {title: x, link: 'https://x', until: 2026-02-28}\n",
		 "k.yml:1:3: a known crash needs 'reason': why it may pass"},
		{"- {title: x, reason: r, until: 2026-02-28}\n",
		 "k.yml:1:3: a known crash needs 'link': where it is worked on"},
		{"- {title: x, reason: r, link: 'https://x'}\n",
		 "k.yml:1:3: a known crash needs 'until': its last day, as 2027-01-31"},
		{"- {title: x, reason: '', link: 'https://x', until: 2026-02-28}\n",
		 "k.yml:1:22: reason is empty: why it may pass"},
		{"- {title: x, reason: r, link: bug 7, until: 2026-02-28}\n",
		 "k.yml:1:31: link: 'bug 7' does not begin with https://"},
		{"- {title: x, reason: r, link: 'https://x', until: 2026-02-30}\n",
		 "k.yml:1:51: until: '2026-02-30' is not a day, as 2027-01-31"},
		{"- {title: x, reason: r, link: 'https://x', until: soon}\n",
		 "k.yml:1:51: until: 'soon' is not a day, as 2027-01-31"},
		{"- {title: /(/" REST, "k.yml:1:11: title: "},
		{"- {title: x, kernel: new" REST, "k.yml:1:22: "},
		{"- {title: x, arch: m68k" REST, "k.yml:1:20: unknown architecture 'm68k'"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(known_list) list = {0};
		struct err err = {0};
		int r = known_parse("k.yml", cases[i].text, strlen(cases[i].text), "2026-02-28",
				    &list, &err);

		if (r != -EINVAL || !str_starts(err.msg, cases[i].message))
			fail_msg("case %zu: %d, %s", i, r, err.msg);
	}
}

static void test_find(void **state)
{
	static const char text[] =
		"- {title: WARNING in f, kernel: '>=6.1 <6.2'" REST
		"- {title: '/ in g[0-9]$/', arch: arm64" REST "- {title: stall in h" REST
		"- {title: over, reason: r, link: 'http://x', until: 2026-02-27}\n";
	static const struct {
		const char *title;
		unsigned int minor;
		enum arch arch;
		int entry; /* -1: none */
	} cases[] = {
		{"WARNING in f", 1, ARCH_AMD64, 0},
		{"WARNING in f", 2, ARCH_AMD64, -1},
		{"WARNING in f2", 1, ARCH_AMD64, -1},
		{"kernel BUG in g1", 2, ARCH_ARM64, 1},
		{"kernel BUG in g1", 2, ARCH_AMD64, -1},
		{"kernel BUG in g12", 2, ARCH_ARM64, -1},
		{"INFO: rcu detected stall in h", 9, ARCH_AMD64, 2},
		{"over", 1, ARCH_AMD64, -1},
	};
	auto_cleanup(buf) none = {0}, rest = {0};
	auto_cleanup(known_list) list = {0};
	struct err err = {0};

	(void)state;
	if (known_parse("k.yml", text, strlen(text), "2026-02-28", &list, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(list.n, 4);
	assert_true(list.items[3].over);
	known_add_unmatched(&list, &none);
	assert_int_equal(none.len, 0);
	known_concern(&list, &(struct kver){{6, 2, 0}}, ARCH_AMD64);
	known_add_unmatched(&list, &none);
	assert_string_equal(none.data, "k.yml:3, k.yml:4");
	known_concern(&list, &(struct kver){{6, 1, 0}}, ARCH_ARM64);
	for (size_t i = 0; i < array_len(cases); i++) {
		struct crash crash = {.title = xstrdup(cases[i].title)};
		const struct kver kernel = {{6, cases[i].minor, 5}};
		const struct known *k;

		strv_add(&crash.alternatives, "hang in h");
		if (str_starts(crash.title, "INFO"))
			strv_add(&crash.alternatives, "stall in h");
		k = known_find(&list, &kernel, cases[i].arch, &crash);
		if ((k ? k - list.items : -1) != cases[i].entry)
			fail_msg("case %zu: entry %d", i, k ? (int)(k - list.items) : -1);
		crash_deinit(&crash);
		if (i == 2) {
			known_add_unmatched(&list, &rest);
			assert_string_equal(rest.data, "k.yml:2, k.yml:3, k.yml:4");
		}
	}
	none.len = 0;
	known_add_unmatched(&list, &none);
	assert_int_equal(none.len, 0);
}

static void test_many_unmatched(void **state)
{
	static const char entry[] = "- {title: x" REST;
	auto_cleanup(known_list) list = {0};
	auto_cleanup(buf) text = {0}, told = {0};
	struct err err = {0};

	(void)state;
	for (int i = 0; i < 12; i++)
		buf_adds(&text, entry);
	assert_int_equal(known_parse("k.yml", text.data, text.len, "2026-02-28", &list, &err), 0);
	known_concern(&list, &(struct kver){{6, 1, 0}}, ARCH_AMD64);
	known_add_unmatched(&list, &told);
	assert_non_null(strstr(told.data, ", k.yml:10 and 2 more"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_many_unmatched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
