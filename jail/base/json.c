#include "jail/base/json.h"

#include <string.h>

enum { TEXT_MAX = 4096 };

void json_add_string(struct buf *out, const char *text, size_t len, size_t max)
{
	auto_cleanup(buf) safe = {0};

	str_printable(&safe, text, len, max, true);
	buf_adds(out, "\"");
	for (size_t i = 0; i < safe.len; i++) {
		if (safe.data[i] == '\n')
			buf_adds(out, "\\n");
		else
			buf_addf(out, "%s%c", strchr("\"\\", safe.data[i]) ? "\\" : "",
				 safe.data[i]);
	}
	buf_adds(out, "\"");
}

void json_add_key(struct buf *out, const char *key)
{
	if (out->len && out->data[out->len - 1] != '{')
		buf_adds(out, ", ");
	buf_addf(out, "\"%s\": ", key);
}

void json_add_text(struct buf *out, const char *key, const char *text)
{
	if (!text)
		return;
	json_add_key(out, key);
	json_add_string(out, text, strlen(text), TEXT_MAX);
}

void json_add_u64(struct buf *out, const char *key, uint64_t number)
{
	json_add_key(out, key);
	buf_addf(out, "%llu", (unsigned long long)number);
}
