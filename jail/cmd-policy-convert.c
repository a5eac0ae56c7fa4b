#include <errno.h>

#include "jail/cmd-policy.h"
#include "jail/policy/policy-backend-ai.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-oci.h"
#include "jail/policy/policy-print.h"

struct args {
	const char *to, *output;
	bool is_strict;
};

#define AT(member) offsetof(struct args, member)
static const struct opt options[] = {
	{'t', "to", "FORMAT", OPT_STRING, AT(to),
	 "jail (default), oci (Docker, Podman, OCI runtimes),\nor backend-ai"},
	{'o', "output", "FILE", OPT_STRING, AT(output), "write there and not to stdout"},
	{0, "strict", NULL, OPT_FLAG, AT(is_strict),
	 "exit 1, and write nothing, when something cannot be\nheld"},
};

static const struct cmd_policy_usage usage = {
	.verb = "convert",
	.operands = "FILE",
	.about =
		"Print a policy in another format. What that cannot hold is said on stderr: "
		"nothing is allowed\nthat was not before. oci and backend-ai know no extends: what "
		"the policy extends is put in.",
	.min = 1,
	.max = 1,
};

static int parse_format(const char *name, enum policy_format *ret, struct err *err)
{
	static const char *const names[] = {
		[FORMAT_JAIL] = "jail", [FORMAT_OCI] = "oci", [FORMAT_BACKEND_AI] = "backend-ai"};

	for (size_t i = 0; i < array_len(names); i++) {
		if (!name || str_eq(name, names[i])) {
			*ret = i;
			return 0;
		}
	}
	return err_set(err, EINVAL, "--to %.40s: jail, oci or backend-ai expected", name);
}

int cmd_policy_convert(int argc, char **argv)
{
	auto_cleanup(policy) policy = {0};
	enum policy_format to = FORMAT_JAIL;
	auto_cleanup(strv) lost = {0};
	auto_cleanup(buf) out = {0};
	struct args args = {0};
	struct err err = {0};
	int operands = 0, code;

	code = cmd_policy_options(&usage, options, array_len(options), argc, argv, &args,
				  &operands);
	if (code >= 0)
		return code;
	if (parse_format(args.to, &to, &err) < 0)
		return cmd_policy_misuse(&usage, &err);
	/* jail's own format keeps the names of what a policy extends */
	if ((to == FORMAT_JAIL ? policy_load_one : policy_load)(argv[operands], &policy, &err) < 0)
		return cmd_policy_fail(&err);
	cmd_policy_lines("", &policy.warnings);
	switch (to) {
	case FORMAT_JAIL:
		policy_print(&policy, &out);
		break;
	case FORMAT_OCI:
		policy_print_oci(&policy, &out, &lost);
		break;
	case FORMAT_BACKEND_AI:
		policy_print_backend_ai(&policy, &out, &lost);
		break;
	}
	cmd_policy_lines("not held: ", &lost);
	if (args.is_strict && lost.n)
		return EXIT_POLICY_UNMET;
	return cmd_policy_write(&out, args.output, 0);
}
