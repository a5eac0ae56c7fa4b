#include "vm/proto.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void proto_put_header(uint8_t *to, enum proto_type type, size_t len)
{
	assert(len <= PROTO_MAX_BODY);
	assert(type > 0 && type < PROTO_TYPES);
	for (int i = 0; i < 4; i++)
		to[i] = len >> 8 * i;
	to[4] = type;
}

void proto_add_frame(struct buf *out, enum proto_type type, const void *body, size_t len)
{
	uint8_t header[PROTO_HEADER];

	proto_put_header(header, type, len);
	buf_reserve(out, sizeof(header) + len);
	buf_add(out, header, sizeof(header));
	buf_add(out, body, len);
}

ssize_t proto_next_frame(const uint8_t *data, size_t len, enum proto_type *type,
			 const uint8_t **body, size_t *body_len, struct err *err)
{
	uint32_t n;

	if (len < PROTO_HEADER)
		return 0;
	n = data[0] | data[1] << 8 | data[2] << 16 | (uint32_t)data[3] << 24;
	if (n > PROTO_MAX_BODY)
		return err_set(err, EMSGSIZE,
			       "a frame of %" PRIu32 " bytes, at most %d are allowed", n,
			       PROTO_MAX_BODY);
	if (data[4] == 0 || data[4] >= PROTO_TYPES)
		return err_set(err, EPROTO, "a frame of unknown type %u", data[4]);
	if (len - PROTO_HEADER < n)
		return 0;
	*type = data[4];
	*body = data + PROTO_HEADER;
	*body_len = n;
	return PROTO_HEADER + (ssize_t)n;
}

void proto_add_word(struct buf *body, const char *key, const char *value)
{
	buf_add(body, key, strlen(key) + 1);
	buf_add(body, value, strlen(value) + 1);
}

void proto_add_number(struct buf *body, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	proto_add_word(body, key, text);
}

int proto_next_word(const uint8_t *body, size_t len, size_t *pos, const char **key,
		    const char **value)
{
	const uint8_t *k, *v, *end;

	if (*pos >= len)
		return 0;
	k = body + *pos;
	v = memchr(k, '\0', len - *pos);
	if (!v || v == k)
		return -EPROTO;
	v++;
	end = memchr(v, '\0', len - (v - body));
	if (!end)
		return -EPROTO;
	*key = (const char *)k;
	*value = (const char *)v;
	*pos = end + 1 - body;
	return 1;
}
