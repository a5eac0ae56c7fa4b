#include "vm/agent/disk.h"

#include <dirent.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "jail/base/str.h"

/* The image has this folder when there is a disk. Both end up beneath the new /usr: out of sight.
 */
#define DISK "/usr/lib/lab/disk"
#define UPPER "/usr/lib/lab/upper"

static int lay_over(const char *name, struct err *err)
{
	auto_free char *at = str_printf("/%s", name), *upper = str_printf(UPPER "/%s", name);
	auto_free char *work = str_printf(UPPER "/.%s", name);
	auto_free char *options =
		str_printf("lowerdir=" DISK "/%s:%s,upperdir=%s,workdir=%s", name, at, upper, work);
	struct stat st;

	mkdir(at, 0755);
	/* the folder that is seen has the upper one's permissions */
	if (stat(at, &st) < 0 || mkdir(upper, 0700) < 0 || chmod(upper, st.st_mode & 07777) < 0 ||
	    mkdir(work, 0700) < 0)
		return err_errno(err, "disk: prepare %s", at);
	if (mount("overlay", at, "overlay", 0, options) < 0)
		return err_errno(err, "disk: mount overlay on %s", at);
	return 0;
}

int disk_mount(struct err *err)
{
	auto_closedir DIR *d = NULL;
	struct dirent *e;
	int r = 0;

	if (access(DISK, F_OK) < 0)
		return 0;
	if (mount("/dev/vda", DISK, "squashfs", MS_RDONLY | MS_NODEV, NULL) < 0)
		return err_errno(err, "disk: mount /dev/vda");
	mkdir(UPPER, 0700);
	if (mount("tmpfs", UPPER, "tmpfs", MS_NODEV, "mode=0700") < 0)
		return err_errno(err, "disk: mount tmpfs");
	d = opendir(DISK);
	if (!d)
		return err_errno(err, "disk: read it");
	while (r == 0 && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.' && !str_eq(e->d_name, "usr"))
			r = lay_over(e->d_name, err);
	/* last: it hides the disk */
	return r < 0 ? r : lay_over("usr", err);
}
