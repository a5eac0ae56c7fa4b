#include "vm/agent/kmsg.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int kmsg_open(void)
{
	return open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

static void add_stamp(struct buf *out, uint64_t usec)
{
	buf_addf(out, "[%5" PRIu64 ".%06" PRIu64 "] ", usec / 1000000, usec % 1000000);
}

void kmsg_format(struct buf *out, const char *record)
{
	const char *text = strchr(record, ';');
	uint64_t usec = 0;
	unsigned int c;

	if (!text || sscanf(record, "%*u,%*u,%" SCNu64, &usec) != 1)
		return;
	add_stamp(out, usec);
	/* what follows the line (" KEY=value") describes the device; dmesg leaves it out too */
	for (text++; *text && *text != '\n'; text++) {
		if (text[0] != '\\' || text[1] != 'x' || sscanf(text + 2, "%2x", &c) != 1) {
			buf_add(out, text, 1);
			continue;
		}
		if (c == '\n') {
			buf_adds(out, "\n");
			add_stamp(out, usec);
		} else if (c == '\\' || c == '\t' || c >= 0x80) {
			buf_add(out, &(char){c}, 1);
		} else {
			buf_add(out, text, 4);
		}
		text += 3;
	}
	buf_adds(out, "\n");
}

bool kmsg_read(int fd, struct buf *out, size_t max)
{
	char record[8192 + 1]; /* CONSOLE_EXT_LOG_MAX */
	bool any = false;

	while (out->len < max) {
		ssize_t n = read(fd, record, sizeof(record) - 1);

		if (n < 0 &&
		    (errno == EPIPE || errno == EINTR)) /* EPIPE: records were overwritten */
			continue;
		if (n <= 0)
			break;
		record[n] = '\0';
		kmsg_format(out, record);
		any = true;
	}
	return any;
}
