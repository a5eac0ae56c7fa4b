#include "jail/system/userns.h"

#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "jail/base/cleanup.h"
#include "jail/base/io.h"

static int write_proc(pid_t pid, const char *file, const char *text)
{
	char path[64];
	auto_close int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : io_write_all(fd, text, strlen(text));
}

static int map_failed(const char *what, unsigned int own, int r, struct err *err)
{
	if (r == -EPERM && geteuid() != 0)
		return err_set(
			err, -r,
			"map %s: %s (an ordinary user can map one id, the own one: INSIDE:%u:1)",
			what, strerror(-r), own);
	if (r == -EPERM)
		return err_set(err, -r,
			       "map %s: %s (an OUTSIDE id that does not exist here, or no "
			       "CAP_SET%s or CAP_SETFCAP)",
			       what, strerror(-r), what[0] == 'u' ? "UID" : "GID");
	if (r == -ENOENT)
		return err_set(err, -r, "map %s: jail needs /proc to be mounted", what);
	return err_set(err, -r, "map %s: %s", what, strerror(-r));
}

int userns_write_maps(pid_t pid, const char *uid_map, const char *gid_map, bool deny_setgroups,
		      struct err *err)
{
	int r = write_proc(pid, "uid_map", uid_map);

	if (r < 0)
		return map_failed("user ids", geteuid(), r, err);
	r = deny_setgroups ? write_proc(pid, "setgroups", "deny") : 0;
	if (r < 0 && r != -ENOENT) /* -ENOENT: before Linux 3.19 there was nothing to deny */
		return err_set(err, -r, "deny setgroups: %s", strerror(-r));
	r = write_proc(pid, "gid_map", gid_map);
	return r < 0 ? map_failed("group ids", getegid(), r, err) : 0;
}

int userns_become(uid_t uid, gid_t gid, bool setgroups_denied, struct err *err)
{
	if (!setgroups_denied && setgroups(0, NULL) < 0)
		return err_errno(err, "drop the supplementary groups");
	if (setresgid(gid, gid, gid) < 0)
		return err_errno(err, "group %u", gid);
	if (setresuid(uid, uid, uid) < 0)
		return err_errno(err, "user %u", uid);
	/* a change of ids takes our files below /proc from us; the clocks' offsets are there */
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return err_errno(err, "PR_SET_DUMPABLE");
	return 0;
}
