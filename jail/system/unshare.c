#include "jail/system/unshare.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "jail/base/io.h"

/* Whether a sysctl reads as this one digit. */
static bool sysctl_is(const char *path, char digit)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c;

	return fd >= 0 && read(fd, &c, 1) == 1 && c == digit;
}

static int user_forbidden(struct err *err)
{
	if (sysctl_is("/proc/sys/kernel/unprivileged_userns_clone", '0'))
		return err_set(err, EPERM,
			       "forbidden to ordinary users here: sysctl "
			       "kernel.unprivileged_userns_clone=1, or run as root");
	if (sysctl_is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1'))
		return err_set(err, EPERM,
			       "AppArmor forbids it to ordinary users here: sysctl "
			       "kernel.apparmor_restrict_unprivileged_userns=0, or run as root");
	return err_set(err, EPERM, "%s (inside a chroot or a sandbox that forbids it?)",
		       strerror(EPERM));
}

int unshare_one(const struct ns_kind *kind, struct err *err)
{
	char path[64];
	bool is_zero;

	if (unshare(kind->flag) == 0)
		return 0;
	switch (errno) {
	case EINVAL:
		return err_set(err, EINVAL, "this kernel has none (it needs Linux %s and %s)",
			       kind->since, kind->config);
	case ENOSPC:
	case EUSERS:
		snprintf(path, sizeof(path), "/proc/sys/user/%s", kind->limit);
		is_zero = sysctl_is(path, '0');
		return err_set(err, ENOSPC, "%s: raise sysctl user.%s, or nest fewer",
			       is_zero ? "forbidden here" : "no more are allowed", kind->limit);
	case EPERM:
		if (kind->bit == NS_USER)
			return user_forbidden(err);
		return err_set(err, EPERM,
			       "%s: run as root, or in a user namespace too (--namespace user,%s)",
			       strerror(EPERM), kind->name);
	default:
		return err_set(err, errno, "%s", strerror(errno));
	}
}

int unshare_set_clocks(const char *offsets, struct err *err)
{
	auto_close int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno(err, "/proc/self/timens_offsets");
	r = io_write_all(fd, offsets, strlen(offsets));
	if (r == -ERANGE)
		return err_set(err, ERANGE,
			       "a clock would be below zero or beyond what the kernel counts");
	return r < 0 ? err_set(err, -r, "%s", strerror(-r)) : 0;
}

int unshare_set_hostname(const char *name, struct err *err)
{
	if (sethostname(name, strlen(name)) < 0)
		return err_set(err, errno, "%s", strerror(errno));
	return 0;
}

int unshare_loopback_up(struct err *err)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo"};

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return err_set(err, errno, "%s", strerror(errno));
	request.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return err_set(err, errno, "%s", strerror(errno));
	return 0;
}
