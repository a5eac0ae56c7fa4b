#include <errno.h>

#include "jail/cmd-policy.h"
#include "jail/inspect/explain.h"
#include "jail/inspect/policy-test.h"
#include "jail/policy/policy-load.h"

struct args {
	const char *arch, *kernel, *caps;
	bool is_json;
};

#define AT(member) offsetof(struct args, member)
static const struct opt options[] = {
	{0, "arch", "A", OPT_STRING, AT(arch), "amd64 or arm64 (default: this machine's)"},
	{0, "kernel", "K", OPT_STRING, AT(kernel), "the kernel it runs on (default: this one)"},
	{0, "caps", "LIST", OPT_STRING, AT(caps),
	 "capabilities that the program keeps\n(default: the policy's)"},
	{0, "json", NULL, OPT_FLAG, AT(is_json), "as JSON"},
};
static const struct cmd_policy_usage usage = {
	.verb = "explain",
	.operands = "FILE CALL [ARGUMENT…]",
	.about = "Say what happens to a system call, which rule says so, and what else speaks of "
		 "it.\n"
		 "CALL is a name or a number. An argument is a number, a constant, several joined\n"
		 "by '|', or _ for any.",
	.min = 2,
	.max = 8,
};

/* By name, or by number as logs of the kernel have it. */
static int find_call(const char *text, enum arch arch, const struct syscall_def **ret,
		     struct err *err)
{
	const struct syscall_def *call = syscall_find(text);
	const char *near = syscall_suggest(text);
	uint64_t nr;

	if (*text == '@')
		return err_set(err, EINVAL,
			       "%.60s is a group: give one of its calls, which 'jail policy show' "
			       "lists",
			       text);
	if (!call && str_to_u64(text, 0, INT32_MAX, &nr) == 0) {
		call = syscall_by_nr(arch, (int)nr);
		if (!call)
			return err_set(err, EINVAL,
				       "no system call %.60s of %s is known: it gets the policy's "
				       "'unknown'",
				       text, arch_name(arch));
	}
	if (!call)
		return err_set(err, EINVAL, "unknown system call '%.60s'%s%s%s", text,
			       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
	*ret = call;
	return 0;
}

static int parse_query(char **operands, int n, enum arch arch, struct explain_query *ret,
		       struct err *err)
{
	uint64_t value[ARCH_COUNT];

	if (find_call(operands[0], arch, &ret->call, err) < 0)
		return -err->code;
	for (int i = 1; i < n; i++) {
		if (str_eq(operands[i], "_"))
			continue;
		if (call_value_parse(operands[i], value, err) < 0)
			return err_wrap(err, "argument %d", i);
		ret->args[i - 1] = value[arch];
		ret->given |= 1U << (i - 1);
	}
	return 0;
}

int cmd_policy_explain(int argc, char **argv)
{
	auto_cleanup(filter_model) model = {0};
	auto_cleanup(policy) policy = {0};
	struct explain_query query = {0};
	auto_cleanup(buf) out = {0};
	struct filter_target target;
	struct args args = {0};
	struct err err = {0};
	int operands = 0, code;

	code = cmd_policy_options(&usage, options, array_len(options), argc, argv, &args,
				  &operands);
	if (code >= 0)
		return code;
	if (cmd_policy_target(args.arch, args.kernel, args.caps, &target, &err) < 0 ||
	    parse_query(argv + operands + 1, argc - operands - 1, target.arch, &query, &err) < 0)
		return cmd_policy_misuse(&usage, &err);
	if (policy_load(argv[operands], &policy, &err) < 0)
		return cmd_policy_fail(&err);
	cmd_policy_target_caps(args.caps, &policy, &target);
	if (filter_model_make(&policy, &target, &model, &err) < 0)
		return cmd_policy_fail(&err);
	if (args.is_json)
		explain_print_json(&model, &query, &out);
	else
		explain_print(&model, &query, &out);
	return cmd_policy_print(&out, 0);
}
