#include "jail/supervise/procmem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PAGE = 4096, STATUS_MAX = 512 };

struct request {
	pid_t thread;
	uint64_t address;
	size_t size;
};

struct reply {
	ssize_t n;
	char bytes[PROCMEM_READ_MAX];
};

static ssize_t read_memory(const struct request *request, void *to)
{
	size_t first = PAGE - request->address % PAGE, size = request->size;
	struct iovec local = {to, size}, remote[2];
	ssize_t n;

	if (first > size)
		first = size;
	/* what cannot be read of a part is no reason to have nothing of the parts before it */
	remote[0] = (struct iovec){(void *)(uintptr_t)request->address, first};
	remote[1] = (struct iovec){(void *)(uintptr_t)(request->address + first), size - first};
	n = process_vm_readv(request->thread, &local, 1, remote, size > first ? 2 : 1, 0);
	return n < 0 ? -errno : n;
}

/* The reader's life: it ends with us. */
static void serve(int fd)
{
	struct request request;
	struct reply reply;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (recv(fd, &request, sizeof(request), 0) == sizeof(request)) {
		reply.n = read_memory(&request, reply.bytes);
		if (send(fd, &reply, offsetof(struct reply, bytes) + (reply.n > 0 ? reply.n : 0),
			 MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

static int start(struct procmem *procmem)
{
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		serve(fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return -EAGAIN;
	}
	procmem->fd = fds[0];
	return 0;
}

void procmem_deinit(struct procmem *procmem)
{
	if (procmem->fd >= 0)
		close(procmem->fd);
	procmem->fd = -1;
}

ssize_t procmem_read(struct procmem *procmem, pid_t thread, uint64_t address, void *to, size_t size)
{
	struct request request = {thread, address,
				  size < PROCMEM_READ_MAX ? size : PROCMEM_READ_MAX};
	struct pollfd answer = {.events = POLLIN};
	struct reply reply;

	if (procmem->is_lost)
		return -ETIMEDOUT;
	if (procmem->fd < 0 && start(procmem) < 0)
		return -EAGAIN;
	answer.fd = procmem->fd;
	if (send(procmem->fd, &request, sizeof(request), MSG_NOSIGNAL) < 0 ||
	    poll(&answer, 1, PROCMEM_WAIT_MS) <= 0 ||
	    recv(procmem->fd, &reply, sizeof(reply), 0) < (ssize_t)offsetof(struct reply, bytes)) {
		procmem->is_lost = true;
		procmem_deinit(procmem);
		return -ETIMEDOUT;
	}
	if (reply.n > 0)
		memcpy(to, reply.bytes, (size_t)reply.n);
	return reply.n;
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

/* A number of /proc/PID/status by its "\nkey:", 0 when there is none. */
static pid_t read_status(pid_t thread, const char *key)
{
	char text[STATUS_MAX];
	const char *at;

	read_start(thread, "status", text, sizeof(text));
	at = strstr(text, key);
	return at ? atoi(at + strlen(key)) : 0;
}

pid_t procmem_process(pid_t thread)
{
	pid_t pid = read_status(thread, "\nTgid:");

	return pid > 0 ? pid : thread;
}

pid_t procmem_parent(pid_t process)
{
	return read_status(process, "\nPPid:");
}
