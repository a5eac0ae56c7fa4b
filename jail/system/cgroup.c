#include "jail/system/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "jail/base/io.h"

enum { FILE_MAX = 1 << 20, NAMES_MAX = 1000, END_WAIT_MS = 2000, DEPTH_MAX = 64 };

static const struct {
	unsigned int bit;
	const char *name;
} controllers[] = {{CGROUP_CPU, "cpu"}, {CGROUP_MEMORY, "memory"}, {CGROUP_PIDS, "pids"}};

/* --- files of a group --- */

static int read_text(int dir_fd, const char *file, struct buf *out)
{
	buf_reset(out);
	buf_adds(out, "");
	return io_read_file(dir_fd, file, FILE_MAX, out, NULL);
}

static int write_text(int dir_fd, const char *file, const char *text)
{
	auto_close int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : io_write_all(fd, text, strlen(text));
}

/* The CGROUP_* that a list of names such as "cpuset cpu io" holds. */
static unsigned int read_controllers(int dir_fd, const char *file)
{
	auto_cleanup(buf) text = {0};
	auto_cleanup(strv) names = {0};
	unsigned int mask = 0;

	if (read_text(dir_fd, file, &text) < 0)
		return 0;
	text.data[strcspn(text.data, "\n")] = '\0';
	strv_split(&names, text.data, ' ');
	for (size_t i = 0; i < array_len(controllers); i++)
		if (strv_has(&names, controllers[i].name))
			mask |= controllers[i].bit;
	return mask;
}

/* The number after "key " in a file of such lines; with key NULL the only one. */
static uint64_t read_number(int dir_fd, const char *file, const char *key)
{
	auto_cleanup(buf) text = {0};
	size_t len = key ? strlen(key) : 0;

	if (dir_fd < 0 || read_text(dir_fd, file, &text) < 0)
		return UINT64_MAX;
	for (const char *p = text.data; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (!key || (strncmp(p, key, len) == 0 && p[len] == ' '))
			return strtoull(p + len, NULL, 10);
	return UINT64_MAX;
}

/* --- finding a place --- */

/* The first mount of cgroup2: where, and which group its root is. */
static int find_mount(char **point, char **root, struct err *err)
{
	auto_cleanup(buf) text = {0};
	auto_cleanup(strv) lines = {0};

	if (io_read_file(AT_FDCWD, "/proc/self/mountinfo", FILE_MAX, &text, err) < 0)
		return err_wrap(err, "look for the cgroups");
	strv_split(&lines, text.data, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		auto_cleanup(strv) fields = {0};

		if (!strstr(lines.items[i], " - cgroup2 "))
			continue;
		strv_split(&fields, lines.items[i], ' ');
		if (fields.n < 5)
			continue;
		*root = xstrdup(fields.items[3]);
		*point = xstrdup(fields.items[4]);
		return 0;
	}
	return err_set(
		err, ENOENT,
		"cgroup version 2 is not mounted here (mount -t cgroup2 none /sys/fs/cgroup)");
}

/* The folder of jail's own group, and the mount that it is below. */
static int find_own(char **ret, char **mount, struct err *err)
{
	auto_free char *point = NULL, *root = NULL;
	auto_cleanup(buf) text = {0};
	auto_cleanup(strv) lines = {0};
	const char *path = NULL;
	int r = find_mount(&point, &root, err);

	if (r < 0)
		return r;
	if (io_read_file(AT_FDCWD, "/proc/self/cgroup", FILE_MAX, &text, err) < 0)
		return err_wrap(err, "look for the own cgroup");
	strv_split(&lines, text.data ? text.data : "", '\n');
	for (size_t i = 0; i < lines.n && !path; i++)
		if (str_starts(lines.items[i], "0::"))
			path = lines.items[i] + 3;
	if (!path)
		return err_set(err, ENOENT, "this kernel has no cgroup version 2");
	if (strncmp(path, "/..", 3) == 0 ||
	    (!str_eq(root, "/") && strncmp(path, root, strlen(root)) != 0))
		return err_set(err, ENOENT, "jail's own cgroup is not visible at %s", point);
	path += str_eq(root, "/") ? 0 : strlen(root);
	*ret = str_printf("%s%s", point, path);
	for (size_t len = strlen(*ret); len > 1 && (*ret)[len - 1] == '/'; len--)
		(*ret)[len - 1] = '\0';
	*mount = take_ptr(point);
	return 0;
}

static bool is_alone(int dir_fd)
{
	auto_cleanup(buf) text = {0};

	return read_text(dir_fd, "cgroup.procs", &text) == 0 &&
	       strtol(text.data, NULL, 10) == getpid() && strcspn(text.data, "\n") + 1 == text.len;
}

/* Make a folder of a name that is free. */
static char *make_group(int dir_fd, const char *kind)
{
	for (int i = 0; i < NAMES_MAX; i++) {
		auto_free char *name = i ? str_printf("jail-%d%s-%d", (int)getpid(), kind, i)
					 : str_printf("jail-%d%s", (int)getpid(), kind);

		if (mkdirat(dir_fd, name, 0755) == 0)
			return take_ptr(name);
		if (errno != EEXIST)
			break;
	}
	return NULL;
}

/* jail goes into a group of its own, so that the present one may have controllers for others. */
static int step_aside(int dir_fd, struct cgroup *cgroup)
{
	auto_free char *procs = NULL;
	int r;

	cgroup->own = make_group(dir_fd, ".self");
	if (!cgroup->own)
		return -errno;
	procs = path_join(cgroup->own, "cgroup.procs");
	r = write_text(dir_fd, procs, "0");
	if (r < 0) {
		unlinkat(dir_fd, cgroup->own, AT_REMOVEDIR);
		free(take_ptr(cgroup->own));
	}
	return r;
}

/*
 * Switch controllers on for the children of a group. Returns those that now are. Only the machine's
 * first group may have processes besides; cpu and pids could be switched on in another that has
 * some, but no process may enter its children then (cgroups(7), "Thread mode").
 */
static unsigned int turn_on(int dir_fd, unsigned int wanted, struct cgroup *cgroup)
{
	unsigned int on = read_controllers(dir_fd, "cgroup.subtree_control");
	unsigned int there = read_controllers(dir_fd, "cgroup.controllers");
	bool is_first = faccessat(dir_fd, "cgroup.type", F_OK, 0) < 0;

	if (!(wanted & ~on & there) ||
	    (!is_first && (!is_alone(dir_fd) || step_aside(dir_fd, cgroup) < 0)))
		return on & wanted;
	for (size_t i = 0; i < array_len(controllers); i++) {
		auto_free char *text = str_printf("+%s", controllers[i].name);

		if (!(wanted & there & ~on & controllers[i].bit) ||
		    write_text(dir_fd, "cgroup.subtree_control", text) < 0)
			continue;
		on |= controllers[i].bit;
		cgroup->turned_on |= controllers[i].bit;
	}
	return on & wanted;
}

static void remove_folder(const struct cgroup *cgroup)
{
	auto_close int parent = open(cgroup->parent, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	auto_free char *controller = NULL;

	if (parent < 0)
		return;
	unlinkat(parent, cgroup->name, AT_REMOVEDIR);
	if (!cgroup->own)
		return;
	for (size_t i = 0; i < array_len(controllers); i++) {
		auto_free char *text = str_printf("-%s", controllers[i].name);

		if (cgroup->turned_on & controllers[i].bit)
			write_text(parent, "cgroup.subtree_control", text);
	}
	write_text(parent, "cgroup.procs", "0");
	unlinkat(parent, cgroup->own, AT_REMOVEDIR);
}

static void forget(struct cgroup *cgroup)
{
	cleanup_close(&cgroup->dir_fd);
	cleanup_close(&cgroup->procs_fd);
	cleanup_close(&cgroup->pids_fd);
	free(cgroup->parent);
	free(cgroup->name);
	free(cgroup->own);
	*cgroup = (struct cgroup)CGROUP_INIT;
}

/* Not so below a group that has both processes and controllers for its children. */
static bool takes_processes(int dir_fd)
{
	auto_cleanup(buf) type = {0};

	errno = 0;
	return read_text(dir_fd, "cgroup.type", &type) < 0 || str_eq(type.data, "domain\n");
}

/* Try one folder. Returns 0 with a group in it, whatever controllers it has. */
static int make_in(const char *folder, unsigned int wanted, bool may_turn_on, struct cgroup *ret)
{
	auto_close int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct cgroup cgroup = CGROUP_INIT;
	auto_free char *name = NULL;

	/* to move a process the common ancestor must be writable: this one, as jail is below it */
	if (dir < 0 || faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) < 0)
		return -errno;
	name = make_group(dir, "");
	if (!name)
		return -errno;
	cgroup.parent = xstrdup(folder);
	cgroup.name = take_ptr(name);
	cgroup.has = may_turn_on ? turn_on(dir, wanted, &cgroup)
				 : read_controllers(dir, "cgroup.subtree_control") & wanted;
	cgroup.dir_fd = openat(dir, cgroup.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cgroup.procs_fd = openat(cgroup.dir_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (cgroup.has & CGROUP_PIDS)
		cgroup.pids_fd = openat(cgroup.dir_fd, "pids.max", O_WRONLY | O_CLOEXEC);
	if (cgroup.procs_fd < 0 || (cgroup.has & CGROUP_PIDS && cgroup.pids_fd < 0) ||
	    !takes_processes(cgroup.dir_fd)) {
		int code = errno ? errno : EOPNOTSUPP;

		remove_folder(&cgroup);
		forget(&cgroup);
		return -code;
	}
	*ret = cgroup;
	return 0;
}

void cgroup_print_missing(unsigned int missing, bool with_advice, struct buf *out)
{
	auto_free char *own = NULL, *mount = NULL;
	const char *reason, *advice;
	auto_close int top = -1;
	unsigned int there;

	if (find_own(&own, &mount, NULL) == 0)
		top = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	there = top < 0 ? 0 : read_controllers(top, "cgroup.controllers");
	if (missing & ~there) {
		reason = "is not in cgroup version 2 on this machine";
		advice = "boot it with cgroup_no_v1=all, or use a guest: lab run";
	} else if (geteuid() != 0) {
		reason = "is not given to this user";
		advice = "run as root, or by systemd-run --user --scope -p Delegate=yes";
	} else {
		reason = "cannot be switched on, as other processes are in jail's cgroup";
		advice = "start jail in one of its own";
	}
	for (size_t i = 0; i < array_len(controllers); i++)
		if (missing & controllers[i].bit)
			buf_addf(out, "controller %s ", controllers[i].name);
	buf_adds(out, reason);
	if (with_advice)
		buf_addf(out, " (%s)", advice);
}

int cgroup_create(unsigned int wanted, struct cgroup *ret, struct err *err)
{
	auto_free char *folder = NULL, *mount = NULL;
	struct cgroup best = CGROUP_INIT;
	int r = find_own(&folder, &mount, err), code = EACCES;
	bool is_own = true;

	if (r < 0)
		return r;
	for (int depth = 0; depth < DEPTH_MAX; depth++, is_own = false) {
		bool is_top = strlen(folder) <= strlen(mount);
		struct cgroup found = CGROUP_INIT;

		/* of the groups between, others are in charge */
		r = make_in(folder, wanted, is_own || is_top, &found);
		if (r < 0 && r != -EACCES)
			code = -r;
		if (r == 0 && (best.dir_fd < 0 ||
			       __builtin_popcount(found.has) > __builtin_popcount(best.has))) {
			cgroup_deinit(&best);
			best = found;
		} else if (r == 0) {
			cgroup_deinit(&found);
		}
		if (is_top || (best.dir_fd >= 0 && best.has == wanted))
			break;
		*strrchr(folder, '/') = '\0';
	}
	if (best.dir_fd < 0)
		return err_set(
			err, code,
			"no cgroup can be made below %s (%s): run as root, or by systemd-run "
			"--user --scope -p Delegate=yes",
			mount, strerror(code));
	*ret = best;
	return 0;
}

/* --- the end --- */

void cgroup_kill(const struct cgroup *cgroup)
{
	auto_cleanup(buf) pids = {0};
	auto_cleanup(strv) lines = {0};

	if (cgroup->dir_fd < 0 || write_text(cgroup->dir_fd, "cgroup.kill", "1") != -ENOENT)
		return;
	/* before Linux 5.14 one by one; who calls waits until none is left */
	if (read_text(cgroup->dir_fd, "cgroup.procs", &pids) < 0)
		return;
	strv_split(&lines, pids.data, '\n');
	for (size_t i = 0; i < lines.n; i++)
		if (strtol(lines.items[i], NULL, 10) > 0)
			kill((pid_t)strtol(lines.items[i], NULL, 10), SIGKILL);
}

void cgroup_deinit(struct cgroup *cgroup)
{
	const struct timespec pause = {.tv_nsec = 2000000};

	if (cgroup->dir_fd < 0)
		return;
	for (int64_t start = io_now_ms(); io_now_ms() - start < END_WAIT_MS;) {
		if (read_number(cgroup->dir_fd, "cgroup.events", "populated") != 1)
			break;
		cgroup_kill(cgroup);
		nanosleep(&pause, NULL);
	}
	remove_folder(cgroup);
	forget(cgroup);
}

/* --- use --- */

int cgroup_set(const struct cgroup *cgroup, const char *file, const char *value, struct err *err)
{
	int r = write_text(cgroup->dir_fd, file, value);

	return r < 0 ? err_set(err, -r, "cgroup: %s=%s: %s", file, value, strerror(-r)) : 0;
}

int cgroup_enter(const struct cgroup *cgroup, struct err *err)
{
	int r = io_write_all(cgroup->procs_fd, "0", 1);

	return r < 0 ? err_set(err, -r, "%s", strerror(-r)) : 0;
}

int cgroup_limit_pids(const struct cgroup *cgroup, const char *text, struct err *err)
{
	int r = cgroup->pids_fd < 0 ? 0 : io_write_all(cgroup->pids_fd, text, strlen(text));

	return r < 0 ? err_set(err, -r, "%s", strerror(-r)) : 0;
}

uint64_t cgroup_cpu_us(const struct cgroup *cgroup)
{
	return read_number(cgroup->dir_fd, "cpu.stat", "usage_usec");
}

struct cgroup_usage cgroup_usage(const struct cgroup *cgroup)
{
	int fd = cgroup->dir_fd;

	return (struct cgroup_usage){
		.cpu_us = cgroup_cpu_us(cgroup),
		.user_us = read_number(fd, "cpu.stat", "user_usec"),
		.system_us = read_number(fd, "cpu.stat", "system_usec"),
		.memory_peak = read_number(fd, "memory.peak", NULL),
		.pids_peak = read_number(fd, "pids.peak", NULL),
		.oom_kills = read_number(fd, "memory.events", "oom_kill"),
		.forks_refused = read_number(fd, "pids.events", "max"),
	};
}
