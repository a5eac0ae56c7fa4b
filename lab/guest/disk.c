#include "lab/guest/disk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"

bool disk_suits(const struct kernel *kernel)
{
	static const char *const drivers[] = {"VIRTIO_BLK", "SQUASHFS", "OVERLAY_FS"};

	for (size_t i = 0; i < array_len(drivers); i++) {
		char has = kernel_config_option(kernel, drivers[i]);

		if (has != 'y' && (has != 'm' || !kernel->modules_dir))
			return false;
	}
	return true;
}

/* Its last line is what went wrong. */
static int failed(int said, int code, struct err *err)
{
	auto_cleanup(buf) text = {0}, line = {0};
	const char *last;

	lseek(said, 0, SEEK_SET);
	io_read_fd(said, 64 << 10, &text, NULL);
	while (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	last = text.len ? strrchr(text.data, '\n') : NULL;
	last = last ? last + 1 : text.len ? text.data : "no reason given";
	str_printable(&line, last, strlen(last), 200, false);
	return err_set(err, EIO, "sqfstar: exit %d: %s", code, line.data);
}

static int run_sqfstar(int tar, const char *path, struct err *err)
{
	/* one thread and fixed times: the same bytes everywhere; -force: path is there, empty */
	const char *const argv[] = {
		"sqfstar",
		"-noI",
		"-noD",
		"-noF",
		"-noX",
		"-no-xattrs",
		"-mkfs-time",
		"0",
		"-all-time",
		"0",
		"-all-root",
		"-root-mode",
		"0755",
		"-root-uid",
		"0",
		"-root-gid",
		"0",
		"-processors",
		"1",
		"-quiet",
		"-no-progress",
		"-exit-on-error",
		path,
		NULL,
	};
	auto_close int said = memfd_create("sqfstar", MFD_CLOEXEC);
	int status;
	pid_t pid;

	if (said < 0)
		return err_errno(err, "memfd_create");
	pid = proc_spawn((char *const *)argv, tar, said, said, err);
	if (pid == -ENOENT)
		return err_set(err, ENOENT,
			       "these packages go on a disk, which sqfstar makes: install "
			       "squashfs-tools (4.5 or later)");
	if (pid < 0)
		return pid;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, "wait for sqfstar");
	return status ? failed(said, proc_exit_code(status), err) : 0;
}

int disk_write(struct cpio *c, const char *dir, const char *path, struct err *err)
{
	auto_free char *tar_path = str_printf("%s/tar-XXXXXX", dir);
	auto_free char *tmp_dir = str_printf("%s/tmp-XXXXXX", dir), *tmp = NULL;
	auto_close int tar = mkostemp(tar_path, O_CLOEXEC);
	int r;

	if (tar < 0)
		return err_errno(err, "create %s", tar_path);
	unlink(tar_path);
	r = cpio_write_tar(c, tar, err);
	if (r == 0 && lseek(tar, 0, SEEK_SET) < 0)
		r = err_errno(err, "%s", tar_path);
	if (r < 0)
		return r;
	/* sqfstar makes the file itself: in a folder where nobody else can have put one */
	if (!mkdtemp(tmp_dir))
		return err_errno(err, "create %s", tmp_dir);
	tmp = path_join(tmp_dir, "disk");
	r = run_sqfstar(tar, tmp, err);
	if (r == 0 && (chmod(tmp, 0644) < 0 || rename(tmp, path) < 0))
		r = err_errno(err, "%s", path);
	unlink(tmp);
	rmdir(tmp_dir);
	return r;
}
