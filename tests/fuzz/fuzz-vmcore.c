/*
 * Dumps of any guest: ELF, kdump plain and flattened, and the vmcoreinfo in them. Whatever is in
 * one, reading stays within it and ends, an error has a text, what is written can be read.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/vmcore/vmcore-elf.h"
#include "lab/vmcore/vmcore-log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LOG_MAX = 1 << 16, READ_MAX = 256, WRITE_MAX = 1 << 20 };

static void check(int r, const struct err *err)
{
	assert(r >= 0 || (err->code == -r && err->msg[0]));
}

static void read_all(struct vmcore *v)
{
	static const char *const names[] = {"SYMBOL(_stext)", "SYMBOL(swapper_pg_dir)",
					    "SYMBOL(prb)"};
	uint8_t bytes[5000];
	char text[64];
	uint64_t address;
	size_t n;
	const struct vmcore_range *r = vmcore_ranges(v, &n);

	assert(n > 0);
	for (size_t i = 0; i < n && i < READ_MAX; i++) {
		assert(r[i].len && r[i].address + r[i].len - 1 >= r[i].address);
		assert(i == 0 || r[i].address > r[i - 1].address + r[i - 1].len - 1);
		vmcore_read_physical(v, r[i].address, bytes, sizeof(bytes));
		vmcore_read_physical(v, r[i].address + r[i].len - 1, bytes, 1);
	}
	for (size_t i = 0; i < array_len(names); i++)
		if (vmcoreinfo_number(vmcore_info(v), names[i], &address)) {
			vmcore_read(v, address, bytes, sizeof(bytes));
			if (vmcore_read_string(v, address, text, sizeof(text)) == 0)
				assert(strlen(text) < sizeof(text));
		}
	for (size_t i = 0; i < vmcore_cpus(v); i++) {
		assert(vmcore_cpu(v, i)->n <= VMCORE_MAX_REGS);
		vmcore_read(v, vmcore_cpu(v, i)->sp, bytes, 64);
	}
}

/* Memory of this dump is not more than what may be written for each input. */
static bool is_small(const struct vmcore *v)
{
	size_t n;
	uint64_t sum = 0;
	const struct vmcore_range *r = vmcore_ranges(v, &n);

	for (size_t i = 0; i < n && sum <= WRITE_MAX; i++)
		sum += r[i].len;
	return sum <= WRITE_MAX;
}

static void write_again(struct vmcore *v)
{
	static char file[64];
	auto_vmcore again = NULL;
	struct err err = {0};

	if (!*file) {
		snprintf(file, sizeof(file), "/dev/shm/fuzz-vmcore.%d", (int)getpid());
	}
	if (vmcore_write_elf(v, file, &err) == 0) {
		int r = vmcore_open(file, &again, &err);

		unlink(file);
		assert(r == 0 && vmcore_cpus(again) == vmcore_cpus(v));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int fd = memfd_create("vmcore", MFD_CLOEXEC);
	auto_free char *path = str_printf("/proc/self/fd/%d", fd);
	auto_cleanup(buf) log = {0};
	struct vmcore *v = NULL;
	struct err err = {0};
	size_t lost = 0;
	int r;

	assert(fd >= 0 && io_write_all(fd, data, len) == 0);
	r = vmcore_open(path, &v, &err);
	check(r, &err);
	if (r == 0) {
		read_all(v);
		check(vmcore_log(v, LOG_MAX, &log, &lost, &err), &err);
		assert(log.len <= LOG_MAX);
		if (is_small(v))
			write_again(v);
		vmcore_close(v);
		check(vmcore_map_elf(path, &err), &err);
	}
	close(fd);
	return 0;
}
