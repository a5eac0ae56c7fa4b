#include "lab/debug/rsp.h"

#include <errno.h>
#include <string.h>

enum {
	RUN_BASE = 29, /* of a run's length: ' ' means three more */
	RUN_FIRST = ' ',
	RUN_LAST = '~',
	ESCAPE = '}',
	ESCAPE_XOR = 0x20,
	TAIL = 3,	    /* "#xx" */
	STUB_PACKET = 4096, /* QEMU's MAX_PACKET_LENGTH, which it tells gdb */
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static uint8_t checksum(const char *body, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += (uint8_t)body[i];
	return sum;
}

static ssize_t next_packet(const char *data, size_t len, struct rsp_item *ret, struct err *err)
{
	size_t most = len < RSP_MAX_PACKET + 2 ? len : RSP_MAX_PACKET + 2;
	const char *end = memchr(data + 1, '#', most - 1);
	size_t n;

	if (!end && most == len)
		return 0;
	if (!end)
		return err_set(err, EMSGSIZE, "a packet of gdb's protocol is over %d KiB",
			       RSP_MAX_PACKET >> 10);
	n = end - data - 1;
	if (len < 1 + n + TAIL)
		return 0;
	*ret = (struct rsp_item){
		.kind = data[0] == '$' ? RSP_PACKET : RSP_NOTIFY,
		.body = data + 1,
		.len = n,
		.checksum_ok = hex_digit(end[1]) >= 0 && hex_digit(end[2]) >= 0 &&
			       hex_digit(end[1]) * 16 + hex_digit(end[2]) == checksum(data + 1, n),
	};
	return 1 + n + TAIL;
}

ssize_t rsp_next(const char *data, size_t len, struct rsp_item *ret, struct err *err)
{
	static const struct {
		char byte;
		enum rsp_kind kind;
	} single[] = {{'+', RSP_ACK}, {'-', RSP_NAK}, {'\3', RSP_INTERRUPT}};

	if (!len)
		return 0;
	if (data[0] == '$' || data[0] == '%')
		return next_packet(data, len, ret, err);
	for (size_t i = 0; i < array_len(single); i++)
		if (data[0] == single[i].byte) {
			*ret = (struct rsp_item){.kind = single[i].kind, .checksum_ok = true};
			return 1;
		}
	return err_set(err, EPROTO, "byte 0x%02x is none of gdb's protocol", (uint8_t)data[0]);
}

void rsp_add_packet(struct buf *out, const char *body, size_t len)
{
	size_t start = out->len + 1;

	buf_add(out, "$", 1);
	for (size_t i = 0; i < len; i++) {
		char escaped[2] = {ESCAPE, (char)(body[i] ^ ESCAPE_XOR)};

		if (body[i] && strchr("$#}*", body[i]))
			buf_add(out, escaped, 2);
		else
			buf_add(out, body + i, 1);
	}
	buf_addf(out, "#%02x", checksum(out->data + start, out->len - start));
}

void rsp_add_failure(struct buf *out, const char *text)
{
	auto_free char *body = str_printf("E.lab: %s", text);

	for (char *c = body; (c = strpbrk(c, "$#}*\n"));)
		*c = '.';
	rsp_add_packet(out, body, strlen(body));
}

int rsp_decode(const char *body, size_t len, struct buf *out, struct err *err)
{
	size_t start = out->len;

	for (size_t i = 0; i < len; i++) {
		char c = body[i];
		size_t times = 1;

		if (c == '*' || c == ESCAPE) {
			if (++i == len)
				return err_set(err, EPROTO, "a packet ends within a character");
		}
		if (c == ESCAPE) {
			c = (char)(body[i] ^ ESCAPE_XOR);
		} else if (c == '*') {
			if (out->len == start || body[i] < RUN_FIRST || body[i] > RUN_LAST)
				return err_set(err, EPROTO, "a packet has a run of nothing");
			c = out->data[out->len - 1];
			times = body[i] - RUN_BASE;
		}
		if (out->len - start + times > RSP_MAX_PACKET)
			return err_set(err, EMSGSIZE, "a packet of gdb's protocol is over %d KiB",
				       RSP_MAX_PACKET >> 10);
		while (times--)
			buf_add(out, &c, 1);
	}
	return 0;
}

bool rsp_resumes(const char *body, size_t len)
{
	static const char vcont[] = "vCont;";

	if (!len)
		return false;
	if (len < sizeof(vcont) || memcmp(body, vcont, sizeof(vcont) - 1) != 0)
		return strchr("cCsSD", body[0]) != NULL && body[0];
	/* "vCont;ACTION[:THREAD];…": r is a step within a range, t alone stops */
	for (size_t i = sizeof(vcont) - 2; i + 1 < len; i++)
		if (body[i] == ';' && body[i + 1] && strchr("cCsSr", body[i + 1]))
			return true;
	return false;
}

bool rsp_is_plain(const struct rsp_item *item)
{
	if (item->kind == RSP_NOTIFY)
		return false;
	return item->kind != RSP_PACKET ||
	       (item->checksum_ok && item->len <= STUB_PACKET &&
		!memchr(item->body, '*', item->len) && !memchr(item->body, '$', item->len));
}

bool rsp_commands_monitor(const char *body)
{
	static const char rcmd[] = "qRcmd,", info[] = "696e666f20"; /* "info " */

	return str_starts(body, rcmd) &&
	       strncasecmp(body + sizeof(rcmd) - 1, info, sizeof(info) - 1) != 0;
}
