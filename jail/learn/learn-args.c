#include "jail/learn/learn-args.h"

#include <linux/sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* CLONE_NEWTIME is no flag of clone: its bit belongs to the signal (clone(2)) */
#define NAMESPACES                                                                     \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET)

static bool is_call(const struct syscall_def *call, const char *name)
{
	return str_eq(call->name, name);
}

static uint64_t full_mask(const struct syscall_def *call, unsigned int arg)
{
	return call_arg_is_32bit(call, arg) ? UINT32_MAX : UINT64_MAX;
}

/* The bits of an argument that matter. */
static uint64_t mask_of(const struct syscall_def *call, unsigned int i, const uint64_t args[6])
{
	const struct arg_def *arg = &call_args(call)[i];

	if (!arg->is_learned)
		return 0;
	if (is_call(call, "clone"))
		return NAMESPACES;
	if (str_eq(arg->name, "prot"))
		return args[i] & PROT_EXEC ? PROT_EXEC | PROT_WRITE : PROT_EXEC;
	if (is_call(call, "mmap")) /* its flags say where memory lies, not what is done with it */
		return 0;
	if (is_call(call, "socket") || is_call(call, "socketpair")) {
		if (i == 2 && (uint32_t)args[0] == AF_NETLINK)
			return UINT32_MAX;
		return i ? 0 : UINT32_MAX;
	}
	return full_mask(call, i);
}

bool kept_args_of(const struct syscall_def *call, const uint64_t args[6], struct kept_args *ret)
{
	bool any = false;

	for (unsigned int i = 0; i < 6; i++) {
		ret->mask[i] = mask_of(call, i, args);
		ret->value[i] = args[i] & ret->mask[i];
		any = any || ret->mask[i];
	}
	return any;
}

bool kept_args_unseen(const struct syscall_def *call, struct kept_args *ret)
{
	static const uint64_t none[6];

	return is_call(call, "clone") && kept_args_of(call, none, ret);
}

bool kept_args_of_rule(const struct policy_rule *rule, struct kept_args *ret)
{
	*ret = (struct kept_args){0};
	for (size_t i = 0; i < rule->n_conds; i++) {
		const struct policy_cond *cond = &rule->conds[i];
		uint64_t full = cond->is_32bit ? UINT32_MAX : UINT64_MAX;

		if (ret->mask[cond->arg] || cond->value[ARCH_AMD64] != cond->value[ARCH_ARM64] ||
		    cond->mask[ARCH_AMD64] != cond->mask[ARCH_ARM64] ||
		    cond->is_32bit != call_arg_is_32bit(rule->call, cond->arg))
			return false;
		if (cond->op == POLICY_MASKED_EQ)
			ret->mask[cond->arg] = cond->mask[0] & full;
		else if (cond->op == POLICY_EQ)
			ret->mask[cond->arg] = full;
		else
			return false;
		ret->value[cond->arg] = cond->value[0] & ret->mask[cond->arg];
	}
	return true;
}

/* The name of a value, NULL when it has none. */
static char *name_of(const struct arg_def *arg, enum arch arch, uint64_t value)
{
	struct buf text = {0};

	return value && constant_print(arg, arch, value, &text) ? text.data : NULL;
}

void kept_args_to_rule(const struct kept_args *kept, enum arch arch, struct policy_rule *rule)
{
	for (unsigned int i = 0; i < 6; i++) {
		const struct arg_def *arg = &call_args(rule->call)[i];
		struct policy_cond *cond = kept->mask[i] ? policy_add_cond(rule) : NULL;

		if (!cond)
			continue;
		cond->arg = (unsigned char)i;
		cond->is_32bit = call_arg_is_32bit(rule->call, i);
		cond->op = kept->mask[i] == full_mask(rule->call, i) ? POLICY_EQ : POLICY_MASKED_EQ;
		cond->text = name_of(arg, arch, kept->value[i]);
		for (size_t a = 0; a < ARCH_COUNT; a++)
			cond->value[a] = kept->value[i];
		if (cond->op == POLICY_EQ && cond->text)
			constant_find(cond->text, cond->value);
		if (cond->op == POLICY_EQ)
			continue;
		cond->mask_text = name_of(arg, arch, kept->mask[i]);
		for (size_t a = 0; a < ARCH_COUNT; a++)
			cond->mask[a] = kept->mask[i];
	}
}
