#include "lab/vmcore/vmcoreinfo.h"

#include <string.h>

#include "jail/base/str.h"

enum { VMCOREINFO_MAX = 64 << 10, NUMBER_MAX = 32 };

void vmcoreinfo_init(struct vmcoreinfo *v, const char *text, size_t len)
{
	if (len > VMCOREINFO_MAX)
		len = VMCOREINFO_MAX;
	v->text = xstrndup(text, strnlen(text, len));
	v->len = strlen(v->text);
}

void vmcoreinfo_deinit(struct vmcoreinfo *v)
{
	free(v->text);
	*v = (struct vmcoreinfo){0};
}

/* What is behind "KEY=" at the start of a line, to the line's end; NULL: it does not say. */
static const char *find(const struct vmcoreinfo *v, const char *key, size_t *len)
{
	size_t key_len = strlen(key);

	for (const char *line = v->text; line && *line;) {
		const char *end = strchrnul(line, '\n');

		if ((size_t)(end - line) > key_len && line[key_len] == '=' &&
		    memcmp(line, key, key_len) == 0) {
			*len = (size_t)(end - line) - key_len - 1;
			return line + key_len + 1;
		}
		line = *end ? end + 1 : end;
	}
	return NULL;
}

char *vmcoreinfo_string(const struct vmcoreinfo *v, const char *key)
{
	size_t len;
	const char *value = find(v, key, &len);

	return value ? xstrndup(value, len) : NULL;
}

bool vmcoreinfo_number(const struct vmcoreinfo *v, const char *key, uint64_t *ret)
{
	bool hex = str_starts(key, "SYMBOL(") || str_eq(key, "KERNELOFFSET");
	char text[NUMBER_MAX], *end;
	uint64_t number;
	size_t len;
	const char *value = find(v, key, &len);

	if (!value || len == 0 || len >= sizeof(text) || strchr(" \t+", *value))
		return false;
	memcpy(text, value, len);
	text[len] = '\0';
	hex = hex || str_starts(text, "0x");
	errno = 0;
	/* phys_base may be negative: two's complement, as the kernel adds it */
	number = strtoull(text, &end, hex ? 16 : 10);
	if (errno || *end)
		return false;
	*ret = number;
	return true;
}
