/* Symbols of a kernel from its image, in every layout of their tables; and damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lab/symbols/kallsyms.h"
#include "tests/unit/kallsyms-image.h"

static int find(const struct buf *image, enum arch arch, struct ksyms *ret, struct err *err)
{
	/* of exactly that size, for a sanitizer */
	auto_free uint8_t *exact = xmalloc(image->len);

	memcpy(exact, image->data, image->len);
	return ksyms_find(exact, image->len, arch, ret, err);
}

static void test_layouts(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(made_layouts); i++) {
		const struct made_layout *l = &made_layouts[i];
		auto_cleanup(buf) image = {0};
		auto_cleanup(ksyms) s = {0};
		struct err err = {0};

		made_image(&image, l);
		if (find(&image, l->arch, &s, &err) < 0)
			fail_msg("%s: %s", l->name, err.msg);
		assert_int_equal(s.n, MADE_N);
		assert_int_equal(s.text, made_text(l));
		assert_int_equal(s.size, image.len);
		for (unsigned int k = 0; k < MADE_N; k++) {
			auto_free char *name = made_name(l, k);

			if (s.items[k].address != made_address(l, k))
				fail_msg("%s: %u is at %#lx", l->name, k,
					 (unsigned long)s.items[k].address);
			assert_string_equal(s.items[k].name, name);
			assert_int_equal(s.items[k].type, k % 2 ? 'T' : 't');
		}
		assert_ptr_equal(ksyms_lookup(&s, "sys_777"), &s.items[777]);
		assert_null(ksyms_lookup(&s, "sys_"));
	}
}

/* One byte of everything changed at a time: what is found is in order and has names, or an error.
 */
static void test_damaged(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(made_layouts); i++) {
		const struct made_layout *l = &made_layouts[i];
		auto_cleanup(buf) image = {0};
		unsigned int refused = 0;

		made_image(&image, l);
		for (size_t at = i; at < image.len; at += 61) {
			char was = image.data[at];
			auto_cleanup(ksyms) s = {0};
			struct err err = {0};

			image.data[at] ^= 0xa5;
			if (find(&image, l->arch, &s, &err) < 0) {
				assert_int_equal(err.code, EBADMSG);
				assert_true(err.msg[0]);
				refused++;
			}
			for (size_t k = 0; k < s.n; k++)
				assert_true(s.items[k].name[0] &&
					    (!k || s.items[k - 1].address <= s.items[k].address));
			image.data[at] = was;
		}
		assert_true(refused > 0);
	}
}

static void test_none(void **state)
{
	static const struct {
		const char *bytes, *says;
		size_t len;
		enum arch arch;
	} cases[] = {
		{"", "not an ELF file", 0, ARCH_AMD64},
		{"", "no pointers", 0, ARCH_ARM64},
		{"\177ELF", "not an ELF file", 4, ARCH_AMD64},
		{"0\0001\0002\0003\0004\0005\0006\0007\0008\0009\0", "no pointers", 20, ARCH_ARM64},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(ksyms) s = {0};
		struct err err = {0};

		assert_int_equal(ksyms_find((const uint8_t *)cases[i].bytes, cases[i].len,
					    cases[i].arch, &s, &err),
				 -EBADMSG);
		assert_non_null(strstr(err.msg, cases[i].says));
	}
}

/* Cut short, the tables are not there any more. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(made_layouts); i++) {
		auto_cleanup(buf) image = {0};

		made_image(&image, &made_layouts[i]);
		while (image.len > 64) {
			auto_cleanup(ksyms) s = {0};

			image.len -= image.len % 997 + 600;
			if (image.len > 1 << 20)
				break;
			assert_int_equal(find(&image, made_layouts[i].arch, &s, NULL), -EBADMSG);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
