/*
 * serial.h - bytes over a serial console that others write to as well.
 *
 * Pure. A packet is 0xFE, six bits of its contents in each byte 0x80..0xBF, 0xFF; the contents are
 * a number that counts packets (u16), the bytes, and the CRC-32 of both, little-endian. Text of
 * others may break in anywhere and is told apart byte by byte: plain ASCII is text, and so is what
 * is UTF-8 (whose first byte is none of these). So nothing is lost when the kernel's log is printed
 * in the middle of a packet. A packet that is damaged, missing or too long is an error: the other
 * side is untrusted.
 */
#ifndef VM_SERIAL_H
#define VM_SERIAL_H

#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { SERIAL_PACKET = 1024 }; /* bytes in a packet, at most */

/* Append packets that carry data. *number: of the next packet, from 0. */
void serial_encode(struct buf *out, uint16_t *number, const void *data, size_t len);

struct serial_decoder {
	uint8_t packet[SERIAL_PACKET + 6];
	size_t len;    /* of packet */
	uint32_t bits; /* not yet a byte, and how many */
	unsigned int n_bits;
	unsigned int utf8; /* bytes that belong to a character of the text */
	bool inside;
	uint16_t number;
};

/*
 * Take in what came: what was carried is appended to bytes, all else to text. Returns 0 or -EBADMSG
 * (then nothing after it can be trusted).
 */
int serial_decode(struct serial_decoder *d, const void *data, size_t len, struct buf *bytes,
		  struct buf *text, struct err *err);

#endif
