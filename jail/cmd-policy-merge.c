#include "jail/cmd-policy.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-merge.h"
#include "jail/policy/policy-print.h"

struct args {
	const char *output;
	bool is_strict;
};

#define AT(member) offsetof(struct args, member)
static const struct opt options[] = {
	{'o', "output", "FILE", OPT_STRING, AT(output), "write there and not to stdout"},
	{0, "strict", NULL, OPT_FLAG, AT(is_strict),
	 "exit 1, and write nothing, when they contradict each\nother"},
};

static const struct cmd_policy_usage usage = {
	.verb = "merge",
	.operands = "FILE FILE…",
	.about = "Print one policy that allows what any of several allows: learned on two "
		 "architectures, say. Counts\nadd up, refusals stay where all refuse, limits are "
		 "the largest. Contradictions are said on stderr.",
	.min = 2,
	.max = -1,
};

static void summarise(char **files, size_t n, struct policy *merged)
{
	auto_cleanup(buf) text = {0};

	buf_adds(&text, "merged from ");
	for (size_t i = 0; i < n; i++)
		buf_addf(&text, "%s%s", i ? ", " : "", files[i]);
	free(merged->summary);
	merged->summary = xstrdup(text.data);
}

static int merge(char **files, size_t n, const struct args *args)
{
	auto_free struct policy *policies = xcalloc(n, sizeof(*policies));
	auto_cleanup(policy) merged = {0};
	auto_cleanup(strv) notes = {0};
	auto_cleanup(buf) out = {0};
	struct err err = {0};
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		r = policy_load(files[i], &policies[i], &err);
		cmd_policy_lines("", &policies[i].warnings);
	}
	if (r == 0) {
		policy_merge(policies, n, &merged, &notes);
		summarise(files, n, &merged);
		policy_print(&merged, &out);
	}
	for (size_t i = 0; i < n; i++)
		policy_deinit(&policies[i]);
	if (r < 0)
		return cmd_policy_fail(&err);
	cmd_policy_lines("", &notes);
	if (args->is_strict && notes.n)
		return EXIT_POLICY_UNMET;
	return cmd_policy_write(&out, args->output, 0);
}

int cmd_policy_merge(int argc, char **argv)
{
	struct args args = {0};
	int operands = 0, code;

	code = cmd_policy_options(&usage, options, array_len(options), argc, argv, &args,
				  &operands);
	return code >= 0 ? code : merge(argv + operands, argc - operands, &args);
}
