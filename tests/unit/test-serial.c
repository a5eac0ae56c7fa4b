/* Bytes over a console that others write to: nothing is lost, whatever breaks in, wherever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "vm/serial.h"

static void fill(uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = i * 7 + i / 256;
}

static void test_lengths(void **state)
{
	uint8_t data[3 * SERIAL_PACKET];
	struct serial_decoder d = {0};
	uint16_t number = 0;

	(void)state;
	fill(data, sizeof(data));
	for (size_t len = 1; len <= sizeof(data); len += len < 20 ? 1 : 517) {
		auto_cleanup(buf) out = {0}, bytes = {0}, text = {0};

		serial_encode(&out, &number, data, len);
		assert_int_equal(serial_decode(&d, out.data, out.len, &bytes, &text, NULL), 0);
		assert_int_equal(bytes.len, len);
		assert_memory_equal(bytes.data, data, len);
		assert_int_equal(text.len, 0);
	}
	assert_true(number > 20);
	assert_int_equal(d.number, number);
}

/* The kernel prints in the middle of a packet; it prints what UTF-8 it was given. */
static void test_broken_into(void **state)
{
	static const char line[] =
		"[    1.5] \xe2\x80\x9cWARNING\xe2\x80\x9d \xf0\x9f\x98\x80 \xc2\x80\r\n";
	uint8_t data[200];
	auto_cleanup(buf) out = {0};
	uint16_t number = 0;

	(void)state;
	fill(data, sizeof(data));
	serial_encode(&out, &number, data, sizeof(data));
	for (size_t at = 0; at <= out.len; at++) {
		auto_cleanup(buf) all = {0}, bytes = {0}, text = {0};
		struct serial_decoder d = {0};

		buf_add(&all, out.data, at);
		buf_adds(&all, line);
		buf_add(&all, out.data + at, out.len - at);
		for (size_t i = 0; i < all.len; i++)
			assert_int_equal(serial_decode(&d, all.data + i, 1, &bytes, &text, NULL),
					 0);
		assert_int_equal(bytes.len, sizeof(data));
		assert_memory_equal(bytes.data, data, sizeof(data));
		assert_string_equal(text.data, line);
	}
}

static void test_damaged(void **state)
{
	auto_cleanup(buf) out = {0}, bytes = {0}, text = {0}, twice = {0}, endless = {0};
	struct serial_decoder d = {0};
	struct err err = {0};
	uint16_t number = 0;

	(void)state;
	serial_encode(&out, &number, "some bytes", 10);
	for (size_t i = 1; i + 1 < out.len; i++) {
		d = (struct serial_decoder){0};
		out.data[i] ^= 1;
		/* the filling of the last byte says nothing */
		if (i + 2 < out.len)
			assert_int_equal(serial_decode(&d, out.data, out.len, &bytes, &text, &err),
					 -EBADMSG);
		out.data[i] ^= 1;
	}
	buf_add(&twice, out.data, out.len);
	buf_add(&twice, out.data, out.len);
	d = (struct serial_decoder){0};
	assert_int_equal(serial_decode(&d, twice.data, twice.len, &bytes, &text, &err), -EBADMSG);
	assert_string_equal(err.msg, "serial console: packet 0 where 1 was due");
	buf_adds(&endless, "\xfe");
	for (int i = 0; i < 2 * SERIAL_PACKET; i++)
		buf_adds(&endless, "\x80");
	d = (struct serial_decoder){0};
	assert_int_equal(serial_decode(&d, endless.data, endless.len, &bytes, &text, &err),
			 -EBADMSG);
	d = (struct serial_decoder){0};
	assert_int_equal(serial_decode(&d, "\xfe\xff", 2, &bytes, &text, &err), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_broken_into),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
