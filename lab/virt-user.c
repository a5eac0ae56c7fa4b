/*
 * virt-user.c - lets root use libvirt's embedded driver where nobody made libvirt's account.
 *
 * As root the driver looks up the account it was compiled with before it reads qemu.conf, which
 * says "root" (virt-root.c), and fails when there is none: on Debian it comes with the system
 * daemon, which the embedded driver does not need. This program's definitions of the two look-ups
 * come before libc's; they answer for that one name when nobody else can.
 */
#include <dlfcn.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

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
