#include <errno.h>
#include <fcntl.h>

#include "jail/base/io.h"
#include "jail/cmd-policy.h"
#include "jail/inspect/policy-test.h"
#include "jail/policy/policy-load.h"

enum { TABLE_MAX = 16 << 20 };

static const struct cmd_policy_usage usage = {
	.verb = "test",
	.operands = "FILE TABLE…",
	.about =
		"Run tables of calls and expected actions on the filter that FILE makes, and print "
		"TAP. A row:\n\n"
		"  any    socket(AF_INET, SOCK_STREAM)  -> allow\n"
		"  amd64  ioctl 0 TIOCSTI               -> errno EPERM\n\n"
		"The exit status is 1 when a row fails.",
	.min = 2,
	.max = -1,
};

static int run_table(const char *path, const struct policy *policy, unsigned int *number,
		     struct buf *out, struct err *err)
{
	auto_cleanup(policy_tests) tests = {0};
	auto_cleanup(buf) text = {0};
	int r = io_read_file(AT_FDCWD, path, TABLE_MAX, &text, err);

	if (r == 0)
		r = policy_tests_parse(path, text.len ? text.data : "", text.len, &tests, err);
	return r < 0 ? r : policy_tests_run(&tests, policy, number, out, err);
}

int cmd_policy_test(int argc, char **argv)
{
	auto_cleanup(policy) policy = {0};
	auto_cleanup(buf) out = {0};
	struct err err = {0};
	unsigned int number = 0;
	int operands = 0, failed = 0, code;

	code = cmd_policy_options(&usage, NULL, 0, argc, argv, NULL, &operands);
	if (code >= 0)
		return code;
	if (policy_load(argv[operands], &policy, &err) < 0)
		return cmd_policy_fail(&err);
	for (int i = operands + 1; i < argc; i++) {
		int r = run_table(argv[i], &policy, &number, &out, &err);

		if (r < 0)
			return cmd_policy_fail(&err);
		failed += r;
	}
	buf_addf(&out, "1..%u\n", number);
	return cmd_policy_print(&out, failed ? EXIT_POLICY_UNMET : 0);
}
