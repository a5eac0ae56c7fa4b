#include "lab/machine/virt-root.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "lab/cache.h"

enum {
	ROOTS_MAX = 64, /* labs of one user at a time */
	BASE_MAX = 32,	/* of the folder they are in: a monitor's socket path must stay < 108 */
	CMDLINE_MAX = 256 << 10,
	END_MS = 3000, /* until a killed machine must be gone */
};

/*
 * No daemon's help (virtlogd), no change of owners, labels, name spaces or cgroups: each of them
 * costs time or needs root. As root QEMU stays root, or it could not reach the files.
 */
static const char qemu_conf[] = "stdio_handler = \"file\"\n"
				"security_driver = \"none\"\n"
				"dynamic_ownership = 0\n"
				"remember_owner = 0\n"
				"namespaces = []\n"
				"cgroup_controllers = []\n"
				"max_core = 0\n";
static const char qemu_conf_root[] = "user = \"root\"\ngroup = \"root\"\n";

/* Our own folder that nobody else can write to? Its descriptor, or -1. */
static int open_private(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 0077))
		return -1;
	return take_fd(fd);
}

/* Below XDG_RUNTIME_DIR, or NULL when that is not there or will not do. */
static char *runtime_base(void)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	auto_close int fd = -1;

	if (run && run[0] == '/' && strlen(run) <= BASE_MAX)
		fd = open_private(run);
	return fd < 0 ? NULL : str_printf("%s/lab-", run);
}

static char *tmp_base(void)
{
	return str_printf("/tmp/lab-%u-", geteuid());
}

/* Take the first folder that is free. */
static int lock_one(struct virt_root *root, struct err *err)
{
	auto_free char *run = runtime_base(), *base = run ? take_ptr(run) : tmp_base();

	for (int i = 0; i < ROOTS_MAX; i++) {
		auto_free char *dir = str_printf("%s%d", base, i), *file = path_join(dir, "lock");
		auto_close int fd = -1;

		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return err_errno(err, "create %s", dir);
		fd = open_private(dir);
		if (fd < 0)
			continue;
		root->lock = io_lock_file(file, IO_LOCK_TRY, NULL);
		if (root->lock < 0)
			continue;
		root->dir = take_ptr(dir);
		return 0;
	}
	return err_set(err, EBUSY,
		       "no free folder among %s0 to %s%d: %d labs run, or they are not yours", base,
		       base, ROOTS_MAX - 1, ROOTS_MAX);
}

/* Is this process a QEMU with a path below dir on its command line? */
static bool is_machine_of(const char *pid, const char *dir)
{
	auto_free char *path = str_printf("/proc/%s/cmdline", pid);
	auto_cleanup(buf) text = {0};

	if (io_read_file(AT_FDCWD, path, CMDLINE_MAX, &text, NULL) < 0 || !text.len)
		return false;
	return strstr(text.data, "qemu-system-") && memmem(text.data, text.len, dir, strlen(dir));
}

/* Returns how many were there. */
static int kill_machines_of(const char *dir)
{
	auto_closedir DIR *proc = opendir("/proc");
	struct dirent *d;
	int n = 0;

	while (proc && (d = readdir(proc))) {
		if (d->d_name[0] < '1' || d->d_name[0] > '9' || !is_machine_of(d->d_name, dir))
			continue;
		if (kill(atoi(d->d_name), SIGKILL) == 0)
			n++;
	}
	return n;
}

static void clean_stale(const struct virt_root *root, const char *libvirt)
{
	auto_free char *below = str_printf("%s/", root->dir);
	int64_t limit = io_now_ms() + END_MS;

	if (!io_exists(libvirt))
		return;
	while (kill_machines_of(below) && io_now_ms() < limit)
		usleep(5000);
}

static int empty(const struct virt_root *root, struct err *err)
{
	auto_close int fd = open_private(root->dir);
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(dup(fd));
	struct dirent *d;
	int r;

	if (!dir)
		return err_set(err, EACCES, "%s is not a private folder of ours", root->dir);
	while ((d = readdir(dir))) {
		if (str_eq(d->d_name, ".") || str_eq(d->d_name, "..") || str_eq(d->d_name, "lock"))
			continue;
		r = io_remove_tree(fd, d->d_name, err);
		if (r < 0)
			return err_wrap(err, "empty %s", root->dir);
	}
	return 0;
}

static int prepare(const char *libvirt, struct err *err)
{
	auto_free char *etc = path_join(libvirt, "etc"), *conf = path_join(etc, "qemu.conf");
	auto_free char *cache = path_join(libvirt, "cache"), *kept = cache_dir("virt/cache", err);
	auto_cleanup(buf) text = {0};
	int r;

	if (!kept)
		return err ? -err->code : -EIO;
	r = io_mkdirs(etc, 0700, err);
	if (r < 0)
		return r;
	buf_adds(&text, qemu_conf);
	if (geteuid() == 0)
		buf_adds(&text, qemu_conf_root);
	r = io_write_atomic(AT_FDCWD, conf, text.data, text.len, 0600, err);
	if (r < 0)
		return r;
	if (symlink(kept, cache) < 0)
		return err_errno(err, "link %s", cache);
	return 0;
}

int virt_root_open(struct virt_root *ret, struct err *err)
{
	auto_free char *libvirt = NULL;
	int r = lock_one(ret, err);

	if (r < 0)
		return r;
	libvirt = path_join(ret->dir, "v");
	clean_stale(ret, libvirt);
	r = empty(ret, err);
	if (r == 0)
		r = prepare(libvirt, err);
	if (r < 0) {
		virt_root_close(ret);
		return r;
	}
	ret->uri = str_printf("qemu:///embed?root=%s", libvirt);
	return 0;
}

static bool is_held(const char *dir)
{
	auto_free char *file = path_join(dir, "lock");
	auto_close int fd = open_private(dir), lock = -1;

	if (fd < 0 || !io_exists(file))
		return false;
	lock = io_lock_file(file, IO_LOCK_SHARED, NULL);
	return lock == -EWOULDBLOCK;
}

void virt_roots_held(struct strv *ret)
{
	/* a lab may have been started where XDG_RUNTIME_DIR was not set */
	char *bases[] = {runtime_base(), tmp_base()};

	for (size_t b = 0; b < array_len(bases); b++) {
		for (int i = 0; bases[b] && i < ROOTS_MAX; i++) {
			auto_free char *dir = str_printf("%s%d", bases[b], i);

			if (is_held(dir))
				strv_take(ret, take_ptr(dir));
		}
		free(bases[b]);
	}
}

pid_t virt_root_pid(const struct virt_root *root, const char *machine)
{
	auto_free char *path = str_printf("%s/v/run/qemu/%s.pid", root->dir, machine);
	auto_cleanup(buf) text = {0};
	uint64_t pid;

	if (io_read_file(AT_FDCWD, path, 64, &text, NULL) < 0 || !text.data)
		return -1;
	text.data[strcspn(text.data, "\n")] = '\0';
	return str_to_u64(text.data, 2, INT_MAX, &pid) == 0 ? (pid_t)pid : -1;
}

void virt_root_close(struct virt_root *root)
{
	if (root->dir) {
		/* The lock file stays: two labs must never hold two files of one name. */
		empty(root, NULL);
		free(root->dir);
	}
	if (root->lock >= 0)
		close(root->lock);
	free(root->uri);
	*root = (struct virt_root){.lock = -1};
}

/*
 * As root the driver looks up the account it was compiled with before it reads qemu.conf, which
 * says "root", and fails when there is none: on Debian it comes with the system daemon, which the
 * embedded driver does not need. This program's definitions of the two look-ups come before libc's;
 * they answer for that one name when nobody else can.
 */
#define ACCOUNT "libvirt-qemu"

typedef int (*passwd_fn)(const char *, struct passwd *, char *, size_t, struct passwd **);
typedef int (*group_fn)(const char *, struct group *, char *, size_t, struct group **);

int getpwnam_r(const char *name, struct passwd *pwd, char *buf, size_t len, struct passwd **ret)
{
	passwd_fn next = (passwd_fn)dlsym(RTLD_NEXT, "getpwnam_r");
	int r = next(name, pwd, buf, len, ret);

	if (r == 0 && !*ret && strcmp(name, ACCOUNT) == 0)
		return next("root", pwd, buf, len, ret);
	return r;
}

int getgrnam_r(const char *name, struct group *grp, char *buf, size_t len, struct group **ret)
{
	group_fn next = (group_fn)dlsym(RTLD_NEXT, "getgrnam_r");
	int r = next(name, grp, buf, len, ret);

	if (r == 0 && !*ret && strcmp(name, ACCOUNT) == 0)
		return next("root", grp, buf, len, ret);
	return r;
}
