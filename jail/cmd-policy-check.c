#include "jail/cmd-policy.h"
#include "jail/policy/policy-load.h"

static const struct cmd_policy_usage usage = {
	.verb = "check",
	.operands = "[options] FILE…",
	.about = "Read policies and say what is wrong with them.",
	.min = 1,
	.max = -1,
};

int cmd_policy_check(int argc, char **argv)
{
	int operands = 0,
	    exit_code = cmd_policy_options(&usage, NULL, 0, argc, argv, NULL, &operands);

	if (exit_code >= 0)
		return exit_code;
	exit_code = 0;
	for (int i = operands; i < argc; i++) {
		auto_cleanup(policy) policy = {0};
		struct err err = {0};

		if (policy_load(argv[i], &policy, &err) < 0)
			exit_code = cmd_policy_fail(&err);
	}
	return exit_code;
}
