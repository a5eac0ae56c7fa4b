#include "jail/system/caps.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/base/str.h"

enum { WORD_BITS = 32, CAPS_MAX = 64 };

static int name_to_cap(const char *name, cap_value_t *ret)
{
	auto_free char *full =
		str_printf("%s%s", strncasecmp(name, "cap_", 4) == 0 ? "" : "cap_", name);

	return cap_from_name(full, ret) < 0 || *ret >= CAPS_MAX ? -EINVAL : 0;
}

int caps_parse(const char *list, uint64_t *mask, bool *all, struct err *err)
{
	auto_cleanup(strv) names = {0};
	uint64_t wanted = 0;
	cap_value_t cap;

	strv_split(&names, list, ',');
	if (!names.n)
		return err_set(err, EINVAL,
			       "--caps: all, none, or names such as net_admin,sys_admin expected");
	if (names.n == 1 && (str_eq(names.items[0], "all") || str_eq(names.items[0], "none"))) {
		*all = str_eq(names.items[0], "all");
		*mask = 0;
		return 0;
	}
	for (size_t i = 0; i < names.n; i++) {
		if (name_to_cap(names.items[i], &cap) < 0)
			return err_set(
				err, EINVAL,
				"--caps: unknown capability '%.40s' (all, none, or names such as "
				"net_admin,sys_admin)",
				names.items[i]);
		wanted |= UINT64_C(1) << cap;
	}
	*all = false;
	*mask = wanted;
	return 0;
}

struct sets {
	uint64_t effective, permitted, inheritable;
};

static int get_sets(struct sets *sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	sets->effective = data[0].effective | (uint64_t)data[1].effective << WORD_BITS;
	sets->permitted = data[0].permitted | (uint64_t)data[1].permitted << WORD_BITS;
	sets->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << WORD_BITS;
	return 0;
}

static int set_sets(const struct sets *sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)sets->effective, (uint32_t)sets->permitted, (uint32_t)sets->inheritable},
		{(uint32_t)(sets->effective >> WORD_BITS), (uint32_t)(sets->permitted >> WORD_BITS),
		 (uint32_t)(sets->inheritable >> WORD_BITS)},
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

uint64_t caps_held(void)
{
	struct sets sets;

	return get_sets(&sets) < 0 ? 0 : sets.effective;
}

int caps_check_held(uint64_t mask, struct err *err)
{
	uint64_t missing = mask & ~caps_held();
	char *name;

	if (!missing)
		return 0;
	name = cap_to_name(__builtin_ctzll(missing));
	err_set(err, EPERM, "capability %s is not held here: run as root, or add a user namespace",
		name ? name : "one of them");
	cap_free(name);
	return -EPERM;
}

static int drop_bounding(uint64_t keep, bool may_drop, struct err *err)
{
	for (int cap = 0; cap < CAPS_MAX; cap++) {
		if (!may_drop || keep & UINT64_C(1) << cap ||
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL) /* the kernel knows no more */
			return 0;
		return err_errno(err, "drop capability %d from the bounding set", cap);
	}
	return 0;
}

/* Ambient capabilities are what keeps a process that is not root its own across execve. */
static int raise_ambient(uint64_t keep, struct err *err)
{
	for (int cap = 0; cap < CAPS_MAX; cap++)
		if (keep & UINT64_C(1) << cap &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return err_errno(err, "raise ambient capability %d", cap);
	return 0;
}

int caps_apply(uint64_t mask, bool all, struct err *err)
{
	bool is_root = geteuid() == 0;
	struct sets sets;
	int r = get_sets(&sets);

	if (r < 0)
		return err_set(err, -r, "capget: %s", strerror(-r));
	if (all)
		mask = sets.permitted;
	if (mask & ~sets.permitted)
		return err_set(err, EPERM, "not all of them are held here");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_errno(err, "clear the ambient capabilities");
	if (!all) {
		r = drop_bounding(mask, sets.effective & UINT64_C(1) << CAP_SETPCAP, err);
		if (r < 0)
			return r;
	}
	sets = (struct sets){mask, mask, is_root ? 0 : mask};
	r = set_sets(&sets);
	if (r < 0)
		return err_set(err, -r, "capset: %s", strerror(-r));
	return is_root ? 0 : raise_ambient(mask, err);
}

int caps_reduce(uint64_t mask, struct err *err)
{
	struct sets sets;
	int r = get_sets(&sets);

	if (r == 0) {
		sets = (struct sets){sets.effective & mask, sets.permitted & mask, 0};
		r = set_sets(&sets);
	}
	return r < 0 ? err_set(err, -r, "capset: %s", strerror(-r)) : 0;
}
