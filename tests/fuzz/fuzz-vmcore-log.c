/*
 * The kernel's log buffer in a guest's memory of any bytes: what is read ends, stays within max,
 * and is whole lines.
 */
#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/vmcore/vmcore-log.h"
#include "tests/unit/vmcore-make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LOG_MAX = 1 << 16 };

/* The image from MK_RING on is the input; where the ring's parts are stays as it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int fd = memfd_create("vmcore", MFD_CLOEXEC);
	auto_free char *path = str_printf("/proc/self/fd/%d", fd);
	auto_cleanup(buf) log = {0}, file = {0};
	size_t room = MK_IMAGE * MK_PAGE - MK_RING, lost = 0;
	auto_cleanup(mk) m = {0};
	auto_vmcore v = NULL;
	struct err err = {0};
	int r;

	mk_init(&m, ARCH_AMD64);
	mk_ring(&m);
	memcpy(m.memory + MK_IMAGE_AT + MK_RING, data, len < room ? len : room);
	mk_set(&m, MK_RING + 8, m.image + MK_DESCS, 8);
	mk_set(&m, MK_RING + 16, m.image + MK_INFOS, 8);
	mk_set(&m, MK_SIZE_BITS + 8, m.image + MK_DATA, 8);
	mk_elf(&m, &file);
	assert(fd >= 0 && io_write_all(fd, file.data, file.len) == 0);
	assert(vmcore_open(path, &v, &err) == 0);
	r = vmcore_log(v, LOG_MAX, &log, &lost, &err);
	assert(r >= 0 || (err.code == -r && err.msg[0] && log.len == 0));
	assert(log.len <= LOG_MAX && (log.len == 0 || log.data[log.len - 1] == '\n'));
	close(fd);
	return 0;
}
