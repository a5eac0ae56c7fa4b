/* A stream of frames as the other side of the channel may send it, and the words in each. */
#include <assert.h>
#include <string.h>

#include "vm/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	enum proto_type type;
	const uint8_t *body;
	size_t body_len;
	ssize_t n;

	while ((n = proto_next_frame(data, len, &type, &body, &body_len, NULL)) > 0) {
		const char *key, *value;
		size_t pos = 0, last = 0;

		assert((size_t)n == body_len + PROTO_HEADER && (size_t)n <= len);
		while (proto_next_word(body, body_len, &pos, &key, &value) == 1) {
			assert(pos > last && pos <= body_len);
			assert(pos - last == strlen(key) + strlen(value) + 2);
			last = pos;
		}
		data += n;
		len -= n;
	}
	return 0;
}
