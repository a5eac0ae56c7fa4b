/* Flavours: which fragments a text means, and what the kernel is called then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lab/kconfig/flavour.h"

static void join(struct buf *out, const struct strv *v)
{
	buf_adds(out, "");
	for (size_t i = 0; i < v->n; i++)
		buf_addf(out, "%s%s", i ? " " : "", v->items[i]);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text, *own, *fragments, *word;
	} cases[] = {
		{NULL, NULL, "minimal guest", "guest"},
		{"default", NULL, "minimal guest", "guest"},
		{"default", "guest,debug", "minimal guest debug", "debug"},
		{"default", "minimal", "minimal", "minimal"},
		{"guest", NULL, "minimal guest", "guest"},
		{"minimal", NULL, "minimal", "minimal"},
		{"minimal", "guest", "minimal", "minimal"},
		{"minimal+guest", NULL, "minimal guest", "guest"},
		{"guest", "minimal", "minimal guest", "guest"},
		{"kasan", NULL, "minimal guest kasan", "kasan"},
		{"kasan+debug", NULL, "minimal guest debug kasan", "debug+kasan"},
		{"guest,kasan,debug", NULL, "minimal guest debug kasan", "debug+kasan"},
		{"debug+debug", NULL, "minimal guest debug", "debug"},
		{"kasan", "guest,debug", "minimal guest debug kasan", "debug+kasan"},
		{"kasan+debug", "guest,debug", "minimal guest debug kasan", "debug+kasan"},
		{"minimal+debug", NULL, "minimal debug", "minimal+debug"},
		{"minimal", "guest,debug", "minimal debug", "minimal+debug"},
		{"./my-own.config", NULL, "minimal guest ./my-own.config", "my-own"},
		{"kasan+/a/b c/x.config", NULL, "minimal guest /a/b c/x.config kasan", "x+kasan"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(strv) own = {0};
		auto_cleanup(flavour) f = {0};
		auto_cleanup(buf) got = {0};
		struct err err = {0};

		if (cases[i].own)
			strv_split(&own, cases[i].own, ',');
		if (flavour_parse(cases[i].text, cases[i].own ? &own : NULL, &f, &err) < 0)
			fail_msg("'%s': %s", cases[i].text, err.msg);
		join(&got, &f.fragments);
		assert_string_equal(got.data, cases[i].fragments);
		assert_string_equal(f.word, cases[i].word);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{"", "names joined by '+'"},
		{"+", "names joined by '+'"},
		{"debug+", "names joined by '+'"},
		{"debug++kasan", "names joined by '+'"},
		{"default+kasan", "'default' stands alone"},
		{"../x", "'../x' cannot name a fragment"},
		{"a b", "cannot name a fragment"},
		{"\033[m", "'?[m' cannot name a fragment"},
		{".config", "cannot name a fragment"},
		{"./.config", "cannot name a fragment"},
		{"-x", "cannot name a fragment"},
		{"guest.config", "two fragments are called 'guest'"},
		{"a/x.config+b/x.config", "two fragments are called 'x'"},
		{"a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q", "at most 16 fragments: 'q'"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "cannot name a fragment"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct flavour f = {0};
		struct err err = {0};

		assert_int_equal(flavour_parse(cases[i].text, NULL, &f, &err), -EINVAL);
		if (!strstr(err.msg, cases[i].said))
			fail_msg("'%s' lacks '%s'", err.msg, cases[i].said);
		assert_null(f.word);
	}
}

static void test_split(void **state)
{
	static const struct {
		const char *spec, *pin, *text;
	} cases[] = {
		{"6.1", "6.1", NULL},
		{"6.1+kasan", "6.1", "kasan"},
		{"6.1+debug+kasan", "6.1", "debug+kasan"},
		{"6.1+", "6.1", ""},
		{"6.1+./x.config", "6.1", "./x.config"},
		{"./a+b", "./a+b", NULL},
		{"/c++/linux", "/c++/linux", NULL},
		{"linux-image-6.12+deb13.deb", "linux-image-6.12+deb13.deb", NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_free char *pin = NULL, *text = NULL;

		flavour_split(cases[i].spec, &pin, &text);
		assert_string_equal(pin, cases[i].pin);
		assert_int_equal(!text, !cases[i].text);
		if (text)
			assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
