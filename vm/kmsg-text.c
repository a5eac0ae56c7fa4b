#include "vm/kmsg-text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void add_stamp(struct buf *out, uint64_t usec, bool user)
{
	buf_addf(out, "[%5" PRIu64 ".%06" PRIu64 "] ", usec / 1000000, usec % 1000000);
	if (user)
		buf_adds(out, KMSG_TEXT_USER);
}

/* "\x1b", whole */
static bool is_escape(const char *s)
{
	return s[0] == '\\' && s[1] == 'x' && isxdigit((unsigned char)s[2]) &&
	       isxdigit((unsigned char)s[3]);
}

void kmsg_text_add(struct buf *out, const char *record)
{
	const char *text = strchr(record, ';');
	uint64_t usec = 0;
	unsigned int c = 0, priority = 0;

	if (!text || sscanf(record, "%u,%*u,%" SCNu64, &priority, &usec) != 2)
		return;
	add_stamp(out, usec, priority >> 3);
	/* what follows the line (" KEY=value") describes the device; dmesg leaves it out too */
	for (text++; *text && *text != '\n'; text++) {
		if (!is_escape(text)) {
			buf_add(out, text, 1);
			continue;
		}
		sscanf(text + 2, "%2x", &c);
		if (c == '\n') {
			buf_adds(out, "\n");
			add_stamp(out, usec, priority >> 3);
		} else if (c == '\\' || c == '\t' || c >= 0x80) {
			buf_add(out, &(char){c}, 1);
		} else {
			buf_add(out, text, 4);
		}
		text += 3;
	}
	buf_adds(out, "\n");
}
