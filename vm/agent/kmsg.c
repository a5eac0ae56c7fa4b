#include "vm/agent/kmsg.h"

#include <fcntl.h>

#include "vm/kmsg-text.h"

int kmsg_open(void)
{
	return open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
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
		kmsg_text_add(out, record);
		any = true;
	}
	return any;
}
