#include "jail/supervise/notify.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "jail/base/str.h"
#include "jail/supervise/procmem.h"

/* Linux 6.6: the waiting thread is woken on this processor, as we are about to wait ourselves. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS _IOW('!', 4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

int notify_init(struct notify *n, int listener, struct err *err)
{
	struct seccomp_notif_sizes sizes;

	*n = (struct notify){.fd = listener};
	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0) {
		int r = err_errno(err, "SECCOMP_GET_NOTIF_SIZES");

		notify_deinit(n);
		return r;
	}
	n->request_size = sizeof(*n->request);
	if (sizes.seccomp_notif > n->request_size)
		n->request_size = sizes.seccomp_notif;
	n->response_size = sizeof(*n->response);
	if (sizes.seccomp_notif_resp > n->response_size)
		n->response_size = sizes.seccomp_notif_resp;
	n->request = xcalloc(1, n->request_size);
	n->response = xcalloc(1, n->response_size);
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	return 0;
}

void notify_deinit(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	free(n->request);
	free(n->response);
	*n = (struct notify){.fd = -1};
}

int notify_next(struct notify *n)
{
	memset(n->request, 0, n->request_size); /* the kernel wants it so */
	if (ioctl(n->fd, SECCOMP_IOCTL_NOTIF_RECV, n->request) == 0)
		return 1;
	return errno == ENOENT || errno == EINTR ? 0 : -errno;
}

bool notify_is_waiting(const struct notify *n)
{
	return ioctl(n->fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &n->request->id) == 0;
}

static bool answer(struct notify *n, int error, int64_t result, uint32_t flags)
{
	n->response->id = n->request->id;
	n->response->error = -error;
	n->response->val = result;
	n->response->flags = flags;
	return ioctl(n->fd, SECCOMP_IOCTL_NOTIF_SEND, n->response) == 0;
}

bool notify_continue(struct notify *n)
{
	return answer(n, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

/* It fails with this (positive) errno. */
static bool refuse(struct notify *n, int error)
{
	return answer(n, error, 0, 0);
}

bool notify_return(struct notify *n, int64_t result)
{
	return answer(n, 0, result, 0);
}

bool notify_kill(struct notify *n, pid_t *process)
{
	pid_t pid = procmem_process((pid_t)n->request->pid);
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	*process = pid;
	/* only if it waits now was the pid its own when it was opened */
	if (!notify_is_waiting(n))
		return false;
	if (pidfd >= 0)
		return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
	return kill((pid_t)n->request->pid, SIGKILL) == 0; /* no /proc: the thread's id does too */
}

bool notify_answer_fd(struct notify *n, int fd)
{
	int number, flags = fcntl(fd, F_GETFD);
	struct seccomp_notif_addfd add = {
		.id = n->request->id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)fd,
		.newfd_flags = flags >= 0 && flags & FD_CLOEXEC ? O_CLOEXEC : 0,
	};

	if (flags < 0)
		return refuse(n, EBADF);
	if (ioctl(n->fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0)
		return true;
	if (errno != EINVAL) /* gone, or it may have no more descriptors */
		return refuse(n, errno);
	add.flags = 0;
	number = ioctl(n->fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	return number < 0 ? refuse(n, errno) : notify_return(n, number);
}

union control {
	char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

int notify_send_listener(int socket, int listener, uint64_t cookie)
{
	char c = 'l';
	struct iovec iov = {&c, 1};
	union control control = {0};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = CMSG_SPACE(sizeof(int))};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &listener, sizeof(int));
	return syscall(SYS_sendmsg, socket, &msg, MSG_NOSIGNAL, 0, 0, cookie) == 1 ? 0 : -errno;
}

int notify_receive(int socket, int *listener, pid_t *sender)
{
	unsigned char c;
	struct iovec iov = {&c, 1};
	union control control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	struct ucred ucred;

	*listener = *sender = -1;
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	for (struct cmsghdr *m = CMSG_FIRSTHDR(&msg); m; m = CMSG_NXTHDR(&msg, m)) {
		if (m->cmsg_level != SOL_SOCKET)
			continue;
		if (m->cmsg_type == SCM_RIGHTS)
			memcpy(listener, CMSG_DATA(m), sizeof(int));
		if (m->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&ucred, CMSG_DATA(m), sizeof(ucred));
			*sender = ucred.pid;
		}
	}
	return c;
}
