#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jail/plan/env.h"

static char *caller[] = {"PATH=/bin",	"HOME=/root", "LC_ALL=C",    "LC_TIME=de",
			 "LD_PRELOAD=", "broken",     "LDX=a=b=c/d", NULL};

static void words(struct strv *to, const char *text)
{
	strv_split(to, text, ' ');
}

static void what_is_kept(void **state)
{
	static const struct {
		const char *preserve; /* NULL: not said; "all" */
		const char *set, *unset, *want;
	} table[] = {
		{NULL, "", "", "PATH=/bin HOME=/root LC_ALL=C LC_TIME=de LD_PRELOAD= LDX=a=b=c/d "},
		{"all", "", "LD_PRELOAD", "PATH=/bin HOME=/root LC_ALL=C LC_TIME=de LDX=a=b=c/d "},
		{NULL, "", "L*", "PATH=/bin HOME=/root "},
		{NULL, "", "*", ""},
		{"PATH LC_*", "", "", "PATH=/bin LC_ALL=C LC_TIME=de "},
		{"PATH LC_*", "", "LC_TIME", "PATH=/bin LC_ALL=C "},
		{"LD", "", "", ""}, /* no beginning of a name without its * */
		{"", "", "", ""},
		{"", "A=b=c", "", "A=b=c "},
		/* the place is lost, the value counts; the last one for a name */
		{"PATH HOME", "PATH=/usr HOME=/a HOME=/b", "", "PATH=/usr HOME=/b "},
		{"PATH", "HOME=/tmp", "HOME PATH", "HOME=/tmp "}, /* set wins over unset */
		{"PATH", "EMPTY=", "", "PATH=/bin EMPTY= "},
		{"PATH", "PA=1", "", "PATH=/bin PA=1 "},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct policy_settings s = {0};
		auto_cleanup(strv) got = {0};
		auto_cleanup(buf) text = {0};

		if (table[i].preserve) {
			s.env.has_preserve = true;
			if (str_eq(table[i].preserve, "all"))
				s.env.preserve_all = TRI_YES;
			else
				words(&s.env.preserve, table[i].preserve);
		}
		words(&s.env.set, table[i].set);
		words(&s.env.unset, table[i].unset);
		env_make(&s, caller, &got);
		for (size_t k = 0; k < got.n; k++)
			buf_addf(&text, "%s ", got.items[k]);
		assert_string_equal(text.data ? text.data : "", table[i].want);
		assert_non_null(got.items); /* an envp, even an empty one */
		assert_null(got.items[got.n]);
		strv_deinit(&s.env.preserve);
		strv_deinit(&s.env.set);
		strv_deinit(&s.env.unset);
	}
}

static void a_value(void **state)
{
	(void)state;
	assert_string_equal(env_get(caller, "PATH"), "/bin");
	assert_string_equal(env_get(caller, "LDX"), "a=b=c/d");
	assert_string_equal(env_get(caller, "LD_PRELOAD"), "");
	assert_null(env_get(caller, "LD"));
	assert_null(env_get(caller, "broken"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept),
		cmocka_unit_test(a_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
