/* All that a guest may say in a session: the host's side takes it in, and files stay in their
 * folder. */
#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "jail/base/io.h"
#include "lab/machine/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char dir[] = "/tmp/fuzz-channel-XXXXXX";

static void remove_dir(void)
{
	io_remove_tree(AT_FDCWD, dir, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char *argv[] = {(char *)"true", NULL};
	const struct job job = {.argv = argv};
	auto_cleanup(outcome) outcome = {0};
	auto_cleanup(channel) channel = {.fd = -1, .file = -1};
	struct evidence evidence;
	struct err err = {0};
	int fd = memfd_create("guest", MFD_CLOEXEC), r;

	if (str_ends(dir, "XXXXXX")) {
		assert(mkdtemp(dir));
		atexit(remove_dir);
	}
	assert(fd >= 0 && io_write_all(fd, data, len) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	assert(evidence_open(&evidence, dir, 4096, &outcome, NULL) == 0);
	assert(channel_init(&channel, fd, &job, &evidence, NULL) == 0);
	channel.job_sent = true;
	do
		r = channel_read(&channel, &err);
	while (r == 0 && !channel.ended && channel.state != CHANNEL_OVER);
	assert(r == 0 || (err.code && err.msg[0]));
	assert(outcome.out.kept <= 4096 && outcome.out.kept <= outcome.out.seen);
	assert(channel.in.cap < 4 << 20);
	evidence_close(&evidence);
	return 0;
}
