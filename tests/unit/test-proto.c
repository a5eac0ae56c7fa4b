/* Frames and words: what is built is read back; what is broken is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "vm/proto.h"

static void test_round_trip(void **state)
{
	auto_cleanup(buf) out = {0};
	enum proto_type type;
	const uint8_t *body;
	size_t len, pos = 0;

	(void)state;
	proto_add_frame(&out, PROTO_TICK, NULL, 0);
	proto_add_frame(&out, PROTO_STDOUT, "a\0b", 3);
	assert_int_equal(out.len, 5 + 5 + 3);
	assert_memory_equal(out.data, "\0\0\0\0\x07\3\0\0\0\3a\0b", 13);
	assert_int_equal(proto_next_frame((uint8_t *)out.data, out.len, &type, &body, &len, NULL),
			 5);
	assert_int_equal(type, PROTO_TICK);
	assert_int_equal(len, 0);
	pos += 5;
	assert_int_equal(proto_next_frame((uint8_t *)out.data + pos, out.len - pos, &type, &body,
					  &len, NULL),
			 8);
	assert_int_equal(type, PROTO_STDOUT);
	assert_int_equal(len, 3);
	assert_ptr_equal(body, out.data + 10);
}

/* However a stream is cut, nothing is read before the frame is whole. */
static void test_partial(void **state)
{
	auto_cleanup(buf) out = {0};
	enum proto_type type;
	const uint8_t *body;
	size_t len;

	(void)state;
	proto_add_frame(&out, PROTO_KMSG, "0123456789", 10);
	for (size_t n = 0; n < out.len; n++)
		assert_int_equal(proto_next_frame((uint8_t *)out.data, n, &type, &body, &len, NULL),
				 0);
	assert_int_equal(proto_next_frame((uint8_t *)out.data, out.len, &type, &body, &len, NULL),
			 15);
}

static void test_largest(void **state)
{
	auto_cleanup(buf) out = {0};
	auto_free char *body_in = xcalloc(1, PROTO_MAX_BODY);
	enum proto_type type;
	const uint8_t *body;
	size_t len;

	(void)state;
	proto_add_frame(&out, PROTO_DATA, body_in, PROTO_MAX_BODY);
	assert_int_equal(proto_next_frame((uint8_t *)out.data, out.len, &type, &body, &len, NULL),
			 PROTO_MAX_BODY + PROTO_HEADER);
}

static void test_refused(void **state)
{
	static const struct {
		uint8_t header[PROTO_HEADER];
		int want;
		const char *says;
	} cases[] = {
		{{0xff, 0xff, 0xff, 0xff, PROTO_STDOUT}, -EMSGSIZE, "4294967295 bytes"},
		{{0, 0, 0, 0x80, PROTO_STDOUT}, -EMSGSIZE, "2147483648 bytes"},
		{{1, 0, 0x10, 0, PROTO_STDOUT}, -EMSGSIZE, "1048577 bytes"},
		{{0, 0, 0, 0, 0}, -EPROTO, "unknown type 0"},
		{{0, 0, 0, 0, PROTO_TYPES}, -EPROTO, "unknown type"},
		{{3, 0, 0, 0, 0xff}, -EPROTO, "unknown type 255"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		enum proto_type type = 99;
		const uint8_t *body = NULL;
		struct err err = {0};
		size_t len = 99;

		assert_int_equal(
			proto_next_frame(cases[i].header, PROTO_HEADER, &type, &body, &len, &err),
			cases[i].want);
		assert_non_null(strstr(err.msg, cases[i].says));
		assert_null(body);
		assert_int_equal(len, 99);
	}
}

static void test_words(void **state)
{
	auto_cleanup(buf) b = {0};
	const char *key, *value;
	size_t pos = 0;

	(void)state;
	proto_add_word(&b, "argv", "sh");
	proto_add_word(&b, "argv", "");
	proto_add_number(&b, "timeout_ms", -9223372036854775807 - 1);
	assert_int_equal(proto_next_word((uint8_t *)b.data, b.len, &pos, &key, &value), 1);
	assert_string_equal(key, "argv");
	assert_string_equal(value, "sh");
	assert_int_equal(proto_next_word((uint8_t *)b.data, b.len, &pos, &key, &value), 1);
	assert_string_equal(value, "");
	assert_int_equal(proto_next_word((uint8_t *)b.data, b.len, &pos, &key, &value), 1);
	assert_string_equal(key, "timeout_ms");
	assert_string_equal(value, "-9223372036854775808");
	assert_int_equal(proto_next_word((uint8_t *)b.data, b.len, &pos, &key, &value), 0);
	assert_int_equal(proto_next_word((uint8_t *)b.data, b.len, &pos, &key, &value), 0);
}

static void test_words_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{"argv", 4},	 /* no end */
		{"argv\0", 5},	 /* no value */
		{"argv\0sh", 7}, /* value without end */
		{"\0sh\0", 4},	 /* empty key */
		{"\0", 1},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		/* a copy of the exact size, so that a sanitizer sees a read beyond it */
		auto_free uint8_t *copy = xmalloc(cases[i].len);
		const char *key, *value;
		size_t pos = 0;

		memcpy(copy, cases[i].bytes, cases[i].len);
		assert_int_equal(proto_next_word(copy, cases[i].len, &pos, &key, &value), -EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_partial),
		cmocka_unit_test(test_largest),	   cmocka_unit_test(test_refused),
		cmocka_unit_test(test_words),	   cmocka_unit_test(test_words_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
