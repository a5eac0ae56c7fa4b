#include "jail/system/command.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/base/cleanup.h"

/* 0, or the errno that execve(2) would give. */
static int check(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? EISDIR : EACCES;
	return access(path, X_OK) < 0 ? errno : 0;
}

static int search(const char *name, const char *search_path, char *ret, size_t size,
		  struct err *err)
{
	int denied = 0;

	for (const char *p = search_path;; p++) {
		int len = (int)strcspn(p, ":");
		int code;

		if (snprintf(ret, size, "%.*s%s%s", len, p, len ? "/" : "./", name) < (int)size) {
			code = check(ret);
			if (!code)
				return 0;
			/* a folder of PATH that cannot be entered is no reason, as for a shell */
			if (code == EACCES && access(ret, F_OK) == 0)
				denied = code;
		}
		p += len;
		if (!*p)
			break;
	}
	if (denied)
		return err_set(err, denied, "%s", strerror(denied));
	return err_set(err, ENOENT, "command not found");
}

int command_find(const char *name, const char *search_path, char *ret, size_t size, struct err *err)
{
	int code;

	if (!strchr(name, '/'))
		return search(*name ? name : "/", search_path, ret, size, err);
	if (snprintf(ret, size, "%s", name) >= (int)size)
		return err_set(err, ENAMETOOLONG, "%s", strerror(ENAMETOOLONG));
	code = check(ret);
	return code ? err_set(err, code == EISDIR ? EACCES : code, "%s", strerror(code)) : 0;
}

int command_exec(const char *path, char *const argv[], char *const envp[], uint64_t cookie,
		 struct err *err)
{
	syscall(SYS_execve, path, argv, envp, 0, 0, cookie);
	/* the file was there a moment ago: what is missing is what it asks for */
	if (errno == ENOENT)
		return err_set(err, EACCES, "its interpreter or loader is not there");
	if (errno == ENOEXEC)
		return err_set(err, ENOEXEC,
			       "%s (a program of another architecture, or a script without #!)",
			       strerror(ENOEXEC));
	return err_set(err, errno, "%s", strerror(errno));
}
