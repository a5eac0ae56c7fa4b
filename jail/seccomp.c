#include "jail/seccomp.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/base/arch.h"
#include "jail/base/io.h"

struct context {
	scmp_filter_ctx scmp;
};

static void context_deinit(struct context *context)
{
	if (context->scmp)
		seccomp_release(context->scmp);
}
DEFINE_CLEANUP(context, context_deinit)

void seccomp_filter_deinit(struct seccomp_filter *filter)
{
	free(filter->insns);
	*filter = (struct seccomp_filter){0};
}

static uint32_t scmp_action(const struct policy_action *action)
{
	switch (action->kind) {
	case POLICY_ALLOW:
		return SCMP_ACT_ALLOW;
	case POLICY_LOG:
		return SCMP_ACT_LOG;
	case POLICY_ERRNO:
		return SCMP_ACT_ERRNO((uint32_t)action->error);
	default:
		break;
	}
	return SCMP_ACT_KILL_PROCESS;
}

static int add_rule(scmp_filter_ctx scmp, uint32_t fallback, const struct policy_rule *rule,
		    const struct policy *policy, struct err *err)
{
	uint32_t action = scmp_action(&rule->action);
	int nr = rule->call->nr[arch_native()];
	int r;

	/* libseccomp refuses a rule that does what happens anyway */
	if (nr < 0 || action == fallback)
		return 0;
	r = seccomp_rule_add(scmp, action, nr, 0);
	if (r < 0 && r != -EEXIST)
		return err_set(err, -r, "%s:%u:%u: %s: %s", policy->name, rule->at.line,
			       rule->at.column, rule->call->name, strerror(-r));
	return 0;
}

static int add_rules(scmp_filter_ctx scmp, const struct policy *policy, struct err *err)
{
	const struct policy_rule start = {.call = syscall_find("execve"),
					  .action = {POLICY_ALLOW, 0}};
	uint32_t fallback = scmp_action(&policy->fallback);
	int r;

	for (size_t i = 0; i < policy->n; i++) {
		r = add_rule(scmp, fallback, &policy->rules[i], policy, err);
		if (r < 0)
			return r;
	}
	return add_rule(scmp, fallback, &start, policy, err);
}

static int export_filter(scmp_filter_ctx scmp, struct seccomp_filter *ret, struct err *err)
{
	auto_close int fd = memfd_create("jail-filter", MFD_CLOEXEC);
	auto_cleanup(buf) code = {0};
	int r;

	if (fd < 0)
		return err_errno(err, "memfd_create");
	r = seccomp_export_bpf(scmp, fd);
	if (r < 0)
		return err_set(err, -r, "compile the filter: %s", strerror(-r));
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(err, "lseek");
	r = io_read_fd(fd, BPF_MAXINSNS * sizeof(struct sock_filter), &code, err);
	if (r < 0)
		return r;
	ret->n = code.len / sizeof(struct sock_filter);
	ret->insns = (struct sock_filter *)take_ptr(code.data);
	return 0;
}

int seccomp_filter_compile(const struct policy *policy, struct seccomp_filter *ret, struct err *err)
{
	auto_cleanup(context) context = {seccomp_init(scmp_action(&policy->fallback))};
	int r;

	if (!context.scmp)
		return err_set(err, EINVAL, "libseccomp knows no filters for this machine");
	r = seccomp_attr_set(context.scmp, SCMP_FLTATR_ACT_BADARCH, scmp_action(&policy->fallback));
	if (r < 0)
		return err_set(err, -r, "filter of other ABIs: %s", strerror(-r));
	r = add_rules(context.scmp, policy, err);
	return r < 0 ? r : export_filter(context.scmp, ret, err);
}

static int explain(int code, struct err *err)
{
	/* without filters PR_GET_SECCOMP fails too: none in the kernel, or an emulator */
	if (code == ENOSYS || (code == EINVAL && prctl(PR_GET_SECCOMP) < 0))
		return err_set(
			err, code,
			"no seccomp filters here: a kernel without CONFIG_SECCOMP_FILTER, or an "
			"emulator that cannot load them (qemu-user): try a whole machine, lab run");
	if (code == EINVAL)
		return err_set(
			err, code,
			"refused (EINVAL): a kernel before 4.14, or an emulator that cannot load "
			"filters (qemu-user): try a whole machine, lab run");
	return err_set(err, code, "%s", strerror(code));
}

int seccomp_filter_load(const struct seccomp_filter *filter, struct err *err)
{
	struct sock_fprog program = {.len = (unsigned short)filter->n, .filter = filter->insns};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return explain(errno, err);
	return 0;
}
