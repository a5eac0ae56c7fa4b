/* Packets of gdb's protocol: cut, checked, decoded, made; whole or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lab/debug/rsp.h"

static void test_next(void **state)
{
	static const struct {
		const char *data;
		ssize_t want;
		enum rsp_kind kind;
		const char *body;
		bool ok;
	} cases[] = {
		{"", 0, 0, NULL, false},
		{"+$OK#9a", 1, RSP_ACK, "", true},
		{"-", 1, RSP_NAK, "", true},
		{"\3+", 1, RSP_INTERRUPT, "", true},
		{"$", 0, 0, NULL, false},
		{"$OK", 0, 0, NULL, false},
		{"$OK#", 0, 0, NULL, false},
		{"$OK#9", 0, 0, NULL, false},
		{"$OK#9a+", 6, RSP_PACKET, "OK", true},
		{"$OK#9A", 6, RSP_PACKET, "OK", true},
		{"$OK#9b", 6, RSP_PACKET, "OK", false},
		{"$OK#zz", 6, RSP_PACKET, "OK", false},
		{"$#00", 4, RSP_PACKET, "", true},
		{"$$#24", 5, RSP_PACKET, "$", true},
		{"%Stop:S05#48", 12, RSP_NOTIFY, "Stop:S05", false},
		{"x$OK#9a", -EPROTO, 0, NULL, false},
		{"GET / HTTP/1.1", -EPROTO, 0, NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct rsp_item item = {.len = 99};
		struct err err = {0};

		print_message("%s\n", cases[i].data);
		assert_int_equal(rsp_next(cases[i].data, strlen(cases[i].data), &item, &err),
				 cases[i].want);
		assert_int_equal(err.code != 0, cases[i].want < 0);
		if (cases[i].want <= 0) {
			assert_int_equal(item.len, 99);
			continue;
		}
		assert_int_equal(item.kind, cases[i].kind);
		assert_int_equal(item.len, strlen(cases[i].body));
		assert_int_equal(item.checksum_ok, cases[i].ok);
		if (item.len)
			assert_memory_equal(item.body, cases[i].body, item.len);
	}
}

/* The longest there may be is taken; a byte more is refused before its end is there. */
static void test_longest(void **state)
{
	size_t len = RSP_MAX_PACKET + 4;
	auto_free char *data = xmalloc(len + 1);
	struct rsp_item item;
	struct err err = {0};

	(void)state;
	memset(data, 'm', len + 1);
	data[0] = '$';
	assert_int_equal(rsp_next(data, RSP_MAX_PACKET + 1, &item, &err), 0);
	assert_int_equal(rsp_next(data, RSP_MAX_PACKET + 2, &item, &err), 0);
	assert_int_equal(rsp_next(data, RSP_MAX_PACKET + 3, &item, &err), -EMSGSIZE);
	data[RSP_MAX_PACKET + 1] = '#';
	assert_int_equal(rsp_next(data, len, &item, &err), len);
	assert_int_equal(item.len, RSP_MAX_PACKET);
}

static void test_decode(void **state)
{
	static const struct {
		const char *body, *want;
		size_t len;
		int r;
	} cases[] = {
		{"OK", "OK", 2, 0},
		{"0* ", "0000", 4, 0},
		{"a}\3b", "a#b", 3, 0},
		{"}\x0a* x", "****x", 5, 0},
		{"0*~", NULL, 1 + '~' - 29, 0},
		{"*!", NULL, 0, -EPROTO},
		{"0*", NULL, 0, -EPROTO},
		{"0*\x1f", NULL, 0, -EPROTO},
		{"0}", NULL, 0, -EPROTO},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(buf) out = {0};
		struct err err = {0};

		buf_adds(&out, "x");
		print_message("%s\n", cases[i].body);
		assert_int_equal(rsp_decode(cases[i].body, strlen(cases[i].body), &out, &err),
				 cases[i].r);
		if (cases[i].r == 0)
			assert_int_equal(out.len, 1 + cases[i].len);
		if (cases[i].want)
			assert_string_equal(out.data + 1, cases[i].want);
	}
}

static void test_bomb(void **state)
{
	auto_cleanup(buf) body = {0}, out = {0};
	struct err err = {0};

	(void)state;
	buf_adds(&body, "0");
	for (int i = 0; i < 20000; i++)
		buf_adds(&body, "*~");
	assert_int_equal(rsp_decode(body.data, body.len, &out, &err), -EMSGSIZE);
	assert_true(out.len <= RSP_MAX_PACKET);
}

static void test_round_trip(void **state)
{
	char all[256];
	auto_cleanup(buf) packet = {0}, out = {0};
	struct rsp_item item;

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	rsp_add_packet(&packet, "OK", 2);
	assert_string_equal(packet.data, "$OK#9a");
	buf_reset(&packet);
	rsp_add_failure(&packet, "a#b\n");
	assert_string_equal(packet.data, "$E.lab: a.b.#1b");
	buf_reset(&packet);
	rsp_add_packet(&packet, all, sizeof(all));
	assert_int_equal(rsp_next(packet.data, packet.len, &item, NULL), packet.len);
	assert_true(item.checksum_ok);
	assert_int_equal(rsp_decode(item.body, item.len, &out, NULL), 0);
	assert_int_equal(out.len, sizeof(all));
	assert_memory_equal(out.data, all, sizeof(all));
}

static void test_resumes(void **state)
{
	static const char *const yes[] = {"c",		 "c80",		"C05",
					  "s",		 "S05;80",	"D",
					  "D;1",	 "vCont;c",	"vCont;s:p1.1;c",
					  "vCont;t:1;c", "vCont;r1,2:1"};
	static const char *const no[] = {"",	     "?",	"g",	  "vCont?",
					 "vCont;",   "vCont;t", "vCtrlC", "Z0,1,1",
					 "qOffsets", "k",	"vKill;1"};

	(void)state;
	for (size_t i = 0; i < array_len(yes); i++)
		assert_true(rsp_resumes(yes[i], strlen(yes[i])));
	for (size_t i = 0; i < array_len(no); i++)
		assert_false(rsp_resumes(no[i], strlen(no[i])));
}

/* What QEMU's stub would take otherwise than rsp_next() does. */
static void test_plain(void **state)
{
	static const struct {
		const char *data;
		bool plain;
	} cases[] = {
		{"+", true},	    {"\3", true},	 {"$g#67", true},
		{"$}]#da", true},   {"%Stop#92", false}, {"$m* #b7", false},
		{"$m$g#f8", false}, {"$g#zz", false},	 {"$g#00", false},
	};
	auto_cleanup(buf) longest = {0}, body = {0};
	struct rsp_item item;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_true(rsp_next(cases[i].data, strlen(cases[i].data), &item, NULL) > 0);
		assert_int_equal(rsp_is_plain(&item), cases[i].plain);
	}
	for (int i = 0; i < 4097; i++)
		buf_adds(&body, "m");
	rsp_add_packet(&longest, body.data, 4096);
	assert_true(rsp_next(longest.data, longest.len, &item, NULL) > 0);
	assert_true(rsp_is_plain(&item));
	buf_reset(&longest);
	rsp_add_packet(&longest, body.data, 4097);
	assert_true(rsp_next(longest.data, longest.len, &item, NULL) > 0);
	assert_false(rsp_is_plain(&item));
}

static void test_monitor(void **state)
{
	static const char *const tells[] = {"qRcmd,696e666f20726567697374657273",
					    "qRcmd,696E666F20736D70", "qOffsets", "g", ""};
	static const char *const acts[] = {"qRcmd,", "qRcmd,71756974", "qRcmd,696e666f",
					   "qRcmd,69 6e666f20"};

	(void)state;
	for (size_t i = 0; i < array_len(tells); i++)
		assert_false(rsp_commands_monitor(tells[i]));
	for (size_t i = 0; i < array_len(acts); i++)
		assert_true(rsp_commands_monitor(acts[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),	   cmocka_unit_test(test_longest),
		cmocka_unit_test(test_decode),	   cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_resumes),
		cmocka_unit_test(test_plain),	   cmocka_unit_test(test_monitor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
