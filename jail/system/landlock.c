#include "jail/system/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* <linux/landlock.h> of the oldest headers that we build with has neither all nor truncate */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1, RULE_NET_PORT = 2 };

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_CHANGE_DIR = 0x1ff0, /* bits 4 to 12: remove and make entries of every kind */
	FS_REFER = 1 << 13,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15,
	FS_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
	NET_BIND = 1 << 0,
	NET_CONNECT = 1 << 1,
};

struct ruleset_attr {
	uint64_t fs, net;
};
struct path_attr {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));
struct port_attr {
	uint64_t access, port;
};

/* What came after the first ABI; refer only allows more, without it moves are refused. */
static const struct {
	unsigned int what;
	uint64_t fs, net;
	int abi;
	const char *name, *since;
} additions[] = {
	{LANDLOCK_PATHS, FS_REFER, 0, 2, NULL, "5.19"},
	{LANDLOCK_PATHS, FS_TRUNCATE, 0, 3, "truncating a file", "6.2"},
	{LANDLOCK_PORTS, 0, NET_BIND | NET_CONNECT, 4, "TCP ports", "6.7"},
	{LANDLOCK_PATHS, FS_IOCTL_DEV, 0, 5, "ioctls on devices", "6.10"},
};
static const uint64_t first_fs =
	FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_CHANGE_DIR;

/* The version of the running kernel's ABI, or an error: landlock_missing(). */
static int present_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	return abi < 0 ? -errno : (int)abi;
}

static struct ruleset_attr handled(int abi, unsigned int what)
{
	struct ruleset_attr attr = {0};

	if (abi < 1)
		return attr;
	if (what & LANDLOCK_PATHS)
		attr.fs = first_fs;
	for (size_t i = 0; i < array_len(additions); i++) {
		if (!(what & additions[i].what) || abi < additions[i].abi)
			continue;
		attr.fs |= additions[i].fs;
		attr.net |= additions[i].net;
	}
	return attr;
}

/* Without Landlock at all. */
static const char *none_text(int abi)
{
	if (abi == -EOPNOTSUPP)
		return "Landlock is switched off here: 'landlock' is missing in the lsm= list of "
		       "the kernel's command line";
	if (abi == -ENOSYS)
		return "this kernel has no Landlock (it needs Linux 5.13 and "
		       "CONFIG_SECURITY_LANDLOCK)";
	return "Landlock cannot be used here (inside another sandbox that refuses it?)";
}

bool landlock_missing(int abi, unsigned int what, char text[LANDLOCK_TEXT_MAX])
{
	size_t len = 0;

	text[0] = '\0';
	if (abi < 1) {
		snprintf(text, LANDLOCK_TEXT_MAX, "%s", none_text(abi));
		return true;
	}
	for (size_t i = 0; i < array_len(additions); i++) {
		if (!additions[i].name || !(what & additions[i].what) || abi >= additions[i].abi)
			continue;
		if (!len)
			len = (size_t)snprintf(text, LANDLOCK_TEXT_MAX,
					       "Landlock of this kernel (ABI %d) cannot"
					       " refuse ",
					       abi);
		else
			len += (size_t)snprintf(text + len, LANDLOCK_TEXT_MAX - len, " and ");
		len += (size_t)snprintf(text + len, LANDLOCK_TEXT_MAX - len,
					"%s (ABI %d, Linux %s)", additions[i].name,
					additions[i].abi, additions[i].since);
	}
	return len > 0;
}

int landlock_check(const struct policy *policy, struct strv *notes, struct err *err)
{
	const struct policy_settings *s = &policy->settings;
	const struct {
		bool is_set;
		unsigned int what;
		const char *name, *file;
		struct policy_pos at;
	} parts[] = {
		{s->has_paths, LANDLOCK_PATHS, "paths", s->n_paths ? s->paths[0].file : NULL,
		 s->paths_at},
		{s->has_ports, LANDLOCK_PORTS, "ports", s->n_ports ? s->ports[0].file : NULL,
		 s->ports_at},
	};

	for (size_t i = 0; i < array_len(parts); i++) {
		const char *file = parts[i].file ? parts[i].file : policy->name;
		char text[LANDLOCK_TEXT_MAX];

		if (!parts[i].is_set || !landlock_missing(present_abi(), parts[i].what, text))
			continue;
		if (s->best_effort != TRI_YES)
			return err_set(err, EOPNOTSUPP,
				       "%s:%u:%u: %s: %s; 'best-effort: true' does without", file,
				       parts[i].at.line, parts[i].at.column, parts[i].name, text);
		strv_addf(notes, "%s:%u:%u: %s: %s: goes without", file, parts[i].at.line,
			  parts[i].at.column, parts[i].name, text);
	}
	return 0;
}

/* --- for the child --- */

int landlock_begin(unsigned int what, bool best_effort, struct err *err)
{
	int abi = present_abi();
	struct ruleset_attr attr = handled(abi, what);
	char text[LANDLOCK_TEXT_MAX];
	long fd;

	if (landlock_missing(abi, what, text) && !best_effort)
		return err_set(err, EOPNOTSUPP, "%s", text);
	if (!attr.fs && !attr.net)
		return -ENOENT;
	fd = syscall(SYS_landlock_create_ruleset, &attr, abi < 4 ? sizeof(attr.fs) : sizeof(attr),
		     0);
	return fd < 0 ? err_errno(err, "landlock_create_ruleset") : (int)fd;
}

/* The kernel takes no right that the ruleset does not handle, and of a file none of folders. */
static uint64_t fs_rights(unsigned int rights, bool is_dir)
{
	uint64_t fs = 0;

	if (rights & PATH_READ)
		fs |= FS_READ_FILE | FS_READ_DIR;
	if (rights & PATH_EXECUTE)
		fs |= FS_EXECUTE | FS_READ_FILE;
	if (rights & PATH_WRITE)
		fs |= FS_WRITE_FILE | FS_CHANGE_DIR | FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV;
	return fs & handled(present_abi(), LANDLOCK_PATHS).fs &
	       (is_dir ? ~UINT64_C(0) : FS_OF_FILES);
}

int landlock_allow_path(int ruleset, const char *path, unsigned int rights, struct err *err)
{
	auto_close int fd = open(path, O_PATH | O_CLOEXEC);
	struct path_attr attr = {.fd = fd};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, errno, "%s", strerror(errno));
	attr.access = fs_rights(rights, S_ISDIR(st.st_mode));
	if (!attr.access)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0) < 0)
		return err_errno(err, "landlock_add_rule");
	return 0;
}

int landlock_allow_port(int ruleset, uint16_t port, unsigned int rights, struct err *err)
{
	struct port_attr attr = {.port = port};

	attr.access =
		(rights & PORT_BIND ? NET_BIND : 0) | (rights & PORT_CONNECT ? NET_CONNECT : 0);
	attr.access &= handled(present_abi(), LANDLOCK_PORTS).net;
	if (!attr.access)
		return 0;
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &attr, 0) < 0)
		return err_errno(err, "landlock_add_rule");
	return 0;
}

int landlock_restrict(int ruleset, struct err *err)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_errno(err, "landlock_restrict_self");
	return 0;
}
