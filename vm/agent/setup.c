#include "vm/agent/setup.h"

#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "jail/base/io.h"

void klog(const char *fmt, ...)
{
	auto_close int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY);
	auto_cleanup(buf) line = {0};
	va_list ap;

	buf_adds(&line, "<3>lab-agent: ");
	va_start(ap, fmt);
	buf_vaddf(&line, fmt, ap);
	va_end(ap);
	/* not by dprintf(3): it asks for the position, and /dev/kmsg refuses to be asked */
	if (fd >= 0)
		io_write_all(fd, line.data, line.len);
}

void setup_sysrq(char key)
{
	auto_close int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		io_write_all(fd, &key, 1);
}

void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;) /* PID 1 must not return: that is a panic */
		pause();
}

struct fs {
	const char *type, *where, *data;
	unsigned long flags;
	mode_t mode;
};

static int mount_fs(const struct fs *fs, struct err *err)
{
	mkdir(fs->where, fs->mode); /* there already in the image, mostly */
	if (mount(fs->type, fs->where, fs->type, fs->flags, fs->data) < 0 && errno != EBUSY)
		return err_errno(err, "mount %s on %s", fs->type, fs->where);
	return 0;
}

/*
 * pivot_root(2) refuses to leave a root mount without a parent, and the initramfs is one. Seen
 * through a bind mount of itself that is moved over it, it has a parent; nothing is copied.
 */
static int give_root_a_parent(struct err *err)
{
	if (mount("/", "/mnt", NULL, MS_BIND, NULL) < 0)
		return err_errno(err, "bind the root");
	if (chdir("/mnt") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		return err_errno(err, "move the root");
	return chdir("/") < 0 ? err_errno(err, "enter the root") : 0;
}

int setup_root(struct err *err)
{
	static const struct fs early[] = {
		{"devtmpfs", "/dev", "mode=0755", MS_NOSUID, 0755},
		{"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0555},
		{"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0555},
	};
	int r = give_root_a_parent(err);

	chmod("/", 0755); /* the kernel makes it one for everybody */

	umask(022);
	for (size_t i = 0; r == 0 && i < array_len(early); i++)
		r = mount_fs(&early[i], err);
	return r;
}

/*
 * Nodes of devices whose module is loaded when they are opened ("fuse 10 229", a line each). With
 * the driver built in the node is there, but for root only; udev(7) opens these to everybody.
 */
static void make_nodes(void)
{
	auto_cleanup(buf) list = {0};
	char name[64], *line, *rest = NULL;
	unsigned int major, minor;

	io_read_file(AT_FDCWD, NODES_LIST, 64 << 10, &list, NULL);
	for (line = list.len ? strtok_r(list.data, "\n", &rest) : NULL; line;
	     line = strtok_r(NULL, "\n", &rest)) {
		auto_free char *path = NULL;

		if (sscanf(line, "%63s %u %u", name, &major, &minor) != 3)
			continue;
		path = str_printf("/dev/%s", name);
		io_mkdirs("/dev/net", 0755, NULL);
		if (mknod(path, S_IFCHR | 0660, makedev(major, minor)) < 0 && errno != EEXIST)
			klog("make %s: %s", path, strerror(errno));
	}
	chmod("/dev/fuse", 0666);
	chmod("/dev/net/tun", 0666);
}

static void loopback_up(void)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	if (fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		klog("loopback: %s", strerror(errno));
}

/*
 * The kernel allows threads until their stacks are an eighth of its memory (kernel/fork.c,
 * set_max_threads()): so many processes, at some 140 KiB for the smallest, take all of it. A fork
 * bomb then has the kernel end them one by one, seconds apart, and this process gets no page
 * either.
 */
static void bound_processes(void)
{
	auto_close int fd = open("/proc/sys/kernel/threads-max", O_RDWR | O_CLOEXEC);
	char text[24] = "";
	uint64_t n;
	int len;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (str_to_u64(text, 0, INT32_MAX, &n) < 0)
		return;
	len = snprintf(text, sizeof(text), "%d", (int)(n / 2));
	lseek(fd, 0, SEEK_SET);
	io_write_all(fd, text, len);
}

void setup_system(void)
{
	static const struct fs late[] = {
		{"devpts", "/dev/pts", "mode=0620,ptmxmode=0666,gid=5", MS_NOSUID | MS_NOEXEC,
		 0755},
		{"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV, 0755},
		{"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV, 0755},
		{"tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV, 0755},
		{"cgroup2", "/sys/fs/cgroup", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755},
	};
	static const char *const links[][2] = {
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
	};

	for (size_t i = 0; i < array_len(late); i++) {
		struct err err = {0};

		if (mount_fs(&late[i], &err) < 0 && err.code != ENODEV)
			klog("%s", err.msg);
	}
	for (size_t i = 0; i < array_len(links); i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			klog("link %s: %s", links[i][1], strerror(errno));
	make_nodes();
	if (sethostname("lab", 3) < 0)
		klog("set the host's name: %s", strerror(errno));
	loopback_up();
	bound_processes();
}

static void load_module(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
		klog("load %s: %s", path, strerror(errno));
}

void setup_modules(bool rest)
{
	auto_cleanup(buf) list = {0};
	bool wanted = !rest;
	char *line, *next;

	if (io_read_file(AT_FDCWD, MODULES_LIST, 64 << 10, &list, NULL) < 0 || !list.len)
		return; /* a kernel with everything built in */
	for (line = list.data; *line; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (!*line)
			wanted = rest;
		else if (wanted)
			load_module(line);
	}
}

void setup_seed(const char *hex)
{
	uint32_t raw[2 + 16] = {0};
	struct rand_pool_info *pool = (struct rand_pool_info *)raw;
	uint8_t *bytes = (uint8_t *)pool->buf;
	auto_close int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	int n = 0;

	for (; n < 64 && hex[0] && hex[1] && sscanf(hex, "%2hhx", &bytes[n]) == 1; hex += 2)
		n++;
	pool->buf_size = n;
	pool->entropy_count = n * 8;
	if (fd < 0 || ioctl(fd, RNDADDENTROPY, pool) < 0)
		klog("add entropy: %s", strerror(errno));
}

void setup_clock(int64_t realtime_ms)
{
	struct timespec ts = {.tv_sec = realtime_ms / 1000,
			      .tv_nsec = realtime_ms % 1000 * 1000000};

	if (clock_settime(CLOCK_REALTIME, &ts) < 0)
		klog("set the clock: %s", strerror(errno));
}
