#include "jail/supervise/procmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "jail/base/cleanup.h"

enum { PAGE = 4096, STATUS_MAX = 512 };

ssize_t procmem_read(pid_t thread, uint64_t address, void *to, size_t size)
{
	size_t first = PAGE - address % PAGE;
	struct iovec local = {to, size}, remote[2];
	ssize_t n;

	if (first > size)
		first = size;
	/* what cannot be read of a part is no reason to have nothing of the parts before it */
	remote[0] = (struct iovec){(void *)(uintptr_t)address, first};
	remote[1] = (struct iovec){(void *)(uintptr_t)(address + first), size - first};
	n = process_vm_readv(thread, &local, 1, remote, size > first ? 2 : 1, 0);
	return n < 0 ? -errno : n;
}

/* The beginning of a small file below /proc/PID, NUL-terminated. Returns its length, 0 if none. */
static size_t read_start(pid_t thread, const char *name, char *to, size_t size)
{
	char path[64];
	auto_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)thread, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, to, size - 1);
	n = n < 0 ? 0 : n;
	to[n] = '\0';
	return (size_t)n;
}

void procmem_program(pid_t thread, char ret[PROGRAM_MAX])
{
	char text[PROGRAM_MAX + 1];
	size_t n = read_start(thread, "comm", text, sizeof(text));

	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (n == 0 || n >= PROGRAM_MAX)
		n = (size_t)snprintf(text, sizeof(text), "?");
	memcpy(ret, text, n);
	ret[n] = '\0';
}

pid_t procmem_process(pid_t thread)
{
	char text[STATUS_MAX];
	const char *at;
	int pid;

	read_start(thread, "status", text, sizeof(text));
	at = strstr(text, "\nTgid:");
	pid = at ? atoi(at + strlen("\nTgid:")) : 0;
	return pid > 0 ? pid : thread;
}
