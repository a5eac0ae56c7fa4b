#include "jail/system/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "jail/base/io.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

static const struct {
	const char *name, *since;
} features_known[SECCOMP_FEATURES] = {
	[SECCOMP_HAS_KILL_PROCESS] = {"killing a process by a filter", "4.14"},
	[SECCOMP_HAS_LOG] = {"logging by a filter", "4.14"},
	[SECCOMP_HAS_LISTENER] = {"seccomp user notification", "5.0"},
	[SECCOMP_HAS_CONTINUE] = {"letting a notified call go on", "5.5"},
	[SECCOMP_HAS_ADDFD] = {"descriptors in answers to notified calls", "5.9"},
	[SECCOMP_HAS_KILLABLE] = {"notified calls that only death interrupts", "5.19"},
};

static long seccomp(unsigned int operation, unsigned int flags, const void *args)
{
	return syscall(SYS_seccomp, operation, flags, args);
}

/* --- what the kernel can do ------------------------------------------------------------------- */

static struct kver running_kernel(void)
{
	struct utsname name;
	struct kver kernel = {{0}};

	if (uname(&name) == 0)
		kver_parse(name.release, &kernel, NULL);
	return kernel;
}

/* Whether the kernel that /proc shows has filters, whatever the calls say. */
static bool proc_knows_seccomp(void)
{
	auto_cleanup(buf) status = {0};

	return io_read_file(AT_FDCWD, "/proc/self/status", 65536, &status, NULL) == 0 &&
	       status.data && strstr(status.data, "\nSeccomp:");
}

/*
 * Why no filter can be loaded. An emulator of single programs has a kernel below it that knows
 * filters, and itself refuses even to tell the mode.
 */
static int explain_none(int code, struct err *err)
{
	int mode = prctl(PR_GET_SECCOMP);

	if (mode > 0)
		return err_set(
			err, code,
			"seccomp(2) is refused (%s) by a filter that is loaded already (by a "
			"container or another sandbox): allow seccomp there, or use a whole "
			"machine: lab run",
			strerrorname_np(code));
	if (mode < 0 && proc_knows_seccomp())
		return err_set(err, code,
			       "no system-call filters: this is an emulator of single programs "
			       "(qemu-user) that cannot load them: use a whole machine: lab run "
			       "--arch %s",
			       arch_name(arch_native()));
	return err_set(err, code,
		       "no system-call filters: this kernel was built without "
		       "CONFIG_SECCOMP_FILTER: use another one, as in lab run --kernel 6.1");
}

/* A filter at no address: EFAULT from a kernel that would have looked at it. */
static bool takes_flags(unsigned int flags)
{
	return seccomp(SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}

static bool has_action(uint32_t action)
{
	return seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static bool is_since(const struct kver *kernel, enum seccomp_feature feature)
{
	struct kver since = {{0}};

	kver_parse(features_known[feature].since, &since, NULL);
	return kver_compare(kernel, &since) >= 0;
}

int seccomp_probe(struct seccomp_features *ret, struct err *err)
{
	struct seccomp_features found = {.kernel = running_kernel()};
	unsigned int listener = SECCOMP_FILTER_FLAG_NEW_LISTENER;

	if (!takes_flags(0))
		return explain_none(errno, err);
	found.is_filtered = prctl(PR_GET_SECCOMP) > 0;
	found.has[SECCOMP_HAS_KILL_PROCESS] = has_action(SECCOMP_RET_KILL_PROCESS);
	found.has[SECCOMP_HAS_LOG] = has_action(SECCOMP_RET_LOG);
	found.has[SECCOMP_HAS_LISTENER] =
		takes_flags(listener) && has_action(SECCOMP_RET_USER_NOTIF);
	/* these two can only be tried on a listener: by version */
	found.has[SECCOMP_HAS_CONTINUE] =
		found.has[SECCOMP_HAS_LISTENER] && is_since(&found.kernel, SECCOMP_HAS_CONTINUE);
	found.has[SECCOMP_HAS_ADDFD] =
		found.has[SECCOMP_HAS_LISTENER] && is_since(&found.kernel, SECCOMP_HAS_ADDFD);
	found.has[SECCOMP_HAS_KILLABLE] =
		takes_flags(listener | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	*ret = found;
	return 0;
}

int seccomp_require(const struct seccomp_features *features, enum seccomp_feature feature,
		    const char *what_for, struct err *err)
{
	const unsigned int *v = features->kernel.part;

	if (features->has[feature])
		return 0;
	if (is_since(&features->kernel, feature))
		return err_set(err, ENOSYS,
			       "%s needs %s, which this kernel (%u.%u) was built without, or a "
			       "filter hides: use another one, as in lab run --kernel 6.1",
			       what_for, features_known[feature].name, v[0], v[1]);
	return err_set(err, ENOSYS,
		       "%s needs %s, which Linux %s brought; this is %u.%u: use a newer one, as in "
		       "lab run --kernel 6.1",
		       what_for, features_known[feature].name, features_known[feature].since, v[0],
		       v[1]);
}

int seccomp_check_actions(const struct seccomp_features *features, const struct filter *filter,
			  struct err *err)
{
	static const struct {
		uint32_t action;
		enum seccomp_feature feature;
	} needs[] = {{SECCOMP_RET_KILL_PROCESS, SECCOMP_HAS_KILL_PROCESS},
		     {SECCOMP_RET_LOG, SECCOMP_HAS_LOG},
		     {SECCOMP_RET_USER_NOTIF, SECCOMP_HAS_LISTENER}};
	int r = 0;

	for (size_t i = 0; i < filter->n && r >= 0; i++)
		for (size_t k = 0; k < array_len(needs) && r >= 0; k++)
			if (filter->insns[i].code == (BPF_RET | BPF_K) &&
			    (filter->insns[i].k & SECCOMP_RET_ACTION_FULL) == needs[k].action)
				r = seccomp_require(features, needs[k].feature, "the policy", err);
	return r;
}

struct filter_target seccomp_target(uint64_t caps)
{
	return (struct filter_target){
		.arch = arch_native(), .kernel = running_kernel(), .caps = caps};
}

int seccomp_make_cookie(uint64_t *ret, struct err *err)
{
	uint64_t cookie;

	do {
		if (getrandom(&cookie, sizeof(cookie), 0) != sizeof(cookie))
			return err_errno(err, "getrandom");
	} while (!cookie);
	*ret = cookie;
	return 0;
}

/* --- loading ---------------------------------------------------------------------------------- */

int seccomp_filter_load(const struct filter *filter, unsigned int flags, struct err *err)
{
	const struct sock_fprog program = {.len = (unsigned short)filter->n,
					   .filter = filter->insns};
	long r = seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);

	if (r >= 0)
		return (int)r;
	if (errno == EBUSY)
		return err_set(
			err, EBUSY,
			"another filter has a listener already, and there can be one only: "
			"jail cannot supervise under another sandbox that does: use --quiet");
	if (errno == ENOMEM)
		return err_set(err, ENOMEM,
			       "too many filters are loaded already, one below the other");
	return err_set(err, errno, "refused: %s", strerror(errno));
}
