/* What a debugger, or a debug stub, may send: items cut one by one, decoded, and made again. */
#include <assert.h>
#include <string.h>

#include "lab/debug/rsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *at = (const char *)data;
	struct rsp_item item;
	ssize_t n;

	while ((n = rsp_next(at, len, &item, NULL)) > 0) {
		auto_cleanup(buf) text = {0}, again = {0}, back = {0};

		assert((size_t)n <= len && item.len < (size_t)n);
		rsp_resumes(item.body, item.len);
		if (item.len && rsp_decode(item.body, item.len, &text, NULL) == 0) {
			struct rsp_item made;

			rsp_add_packet(&again, text.data, text.len);
			assert(rsp_next(again.data, again.len, &made, NULL) == (ssize_t)again.len);
			assert(made.checksum_ok);
			assert(rsp_decode(made.body, made.len, &back, NULL) == 0);
			assert(back.len == text.len && memcmp(back.data, text.data, text.len) == 0);
		}
		at += n;
		len -= n;
	}
	return 0;
}
