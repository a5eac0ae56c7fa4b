#include "vm/serial.h"

#include <string.h>

enum {
	BEGIN = 0xfe, /* neither of these two is ever in UTF-8 */
	END = 0xff,
	NUMBER = 2,
	SUM = 4,
};

/* As in zlib and Ethernet. */
static uint32_t crc32(const uint8_t *data, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static void put(struct buf *out, uint8_t byte)
{
	buf_add(out, &byte, 1);
}

static void add_packet(struct buf *out, const uint8_t *data, size_t len)
{
	uint32_t bits = 0;
	unsigned int n = 0;

	put(out, BEGIN);
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | data[i];
		for (n += 8; n >= 6; n -= 6)
			put(out, 0x80 | (bits >> (n - 6) & 0x3f));
	}
	if (n)
		put(out, 0x80 | (bits << (6 - n) & 0x3f));
	put(out, END);
}

void serial_encode(struct buf *out, uint16_t *number, const void *data, size_t len)
{
	const uint8_t *from = data;

	while (len) {
		size_t n = len < SERIAL_PACKET ? len : SERIAL_PACKET;
		uint8_t packet[SERIAL_PACKET + NUMBER + SUM] = {(uint8_t)*number, *number >> 8};
		uint32_t sum;

		memcpy(packet + NUMBER, from, n);
		sum = crc32(packet, NUMBER + n);
		for (int i = 0; i < SUM; i++)
			packet[NUMBER + n + i] = sum >> 8 * i;
		add_packet(out, packet, NUMBER + n + SUM);
		++*number;
		from += n;
		len -= n;
	}
}

static int end_packet(struct serial_decoder *d, struct buf *bytes, struct err *err)
{
	const uint8_t *p = d->packet;
	size_t len = d->len - SUM;
	uint32_t sum;

	if (d->len < NUMBER + SUM)
		return err_set(err, EBADMSG, "serial console: a packet of %zu bytes", d->len);
	sum = p[len] | p[len + 1] << 8 | p[len + 2] << 16 | (uint32_t)p[len + 3] << 24;
	if (crc32(p, len) != sum)
		return err_set(err, EBADMSG, "serial console: packet %u is damaged", d->number);
	if ((p[0] | p[1] << 8) != d->number)
		return err_set(err, EBADMSG, "serial console: packet %d where %u was due",
			       p[0] | p[1] << 8, d->number);
	d->number++;
	d->inside = false;
	buf_add(bytes, p + NUMBER, len - NUMBER);
	return 0;
}

/* How many bytes follow a character's first one; 0: that byte begins none. */
static unsigned int utf8_more(uint8_t c)
{
	return c >= 0xc2 && c < 0xe0   ? 1
	       : c >= 0xe0 && c < 0xf0 ? 2
	       : c >= 0xf0 && c < 0xf5 ? 3
				       : 0;
}

static int add_bits(struct serial_decoder *d, uint8_t c, struct err *err)
{
	d->bits = d->bits << 6 | (c & 0x3f);
	d->n_bits += 6;
	if (d->n_bits < 8)
		return 0;
	if (d->len == sizeof(d->packet))
		return err_set(err, EBADMSG, "serial console: a packet over %d bytes",
			       SERIAL_PACKET);
	d->n_bits -= 8;
	d->packet[d->len++] = d->bits >> d->n_bits;
	return 0;
}

int serial_decode(struct serial_decoder *d, const void *data, size_t len, struct buf *bytes,
		  struct buf *text, struct err *err)
{
	const uint8_t *from = data;
	int r = 0;

	for (size_t i = 0; r == 0 && i < len; i++) {
		uint8_t c = from[i];
		bool more = c >= 0x80 && c < 0xc0;

		if (d->utf8 && more) {
			d->utf8--;
			put(text, c);
			continue;
		}
		d->utf8 = utf8_more(c);
		if (c == BEGIN) {
			d->inside = true;
			d->len = d->n_bits = d->bits = 0;
		} else if (d->inside && c == END) {
			r = end_packet(d, bytes, err);
		} else if (d->inside && more) {
			r = add_bits(d, c, err);
		} else {
			put(text, c);
		}
	}
	return r;
}
