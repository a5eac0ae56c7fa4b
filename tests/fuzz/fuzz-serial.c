/* All that a guest may print on the console of a recorded machine. */
#include <assert.h>
#include <string.h>

#include "vm/serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	auto_cleanup(buf) bytes = {0}, text = {0}, again = {0}, same = {0}, none = {0};
	struct serial_decoder d = {0};
	struct err err = {0};
	uint16_t number = 0;
	int r = serial_decode(&d, data, len, &bytes, &text, &err);

	assert(r == 0 || (r == -EBADMSG && err.msg[0]));
	assert(bytes.len + text.len <= len);
	/* what goes out comes in */
	d = (struct serial_decoder){0};
	serial_encode(&again, &number, data, len);
	assert(serial_decode(&d, again.data, again.len, &same, &none, NULL) == 0);
	assert(same.len == len && none.len == 0);
	assert(!len || memcmp(same.data, data, len) == 0);
	return 0;
}
