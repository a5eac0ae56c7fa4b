#include <errno.h>
#include <string.h>

#include "jail/base/json.h"
#include "jail/cmd-policy.h"
#include "jail/policy/policy-diff.h"
#include "jail/policy/policy-load.h"

struct args {
	const char *arch, *kernel, *caps;
	bool is_json, calls_only;
};

#define AT(member) offsetof(struct args, member)
static const struct opt options[] = {
	{'a', "arch", "ARCH", OPT_STRING, AT(arch), "amd64 or arm64 (default: both)"},
	{'k', "kernel", "VERSION", OPT_STRING, AT(kernel),
	 "for rules that depend on it (default: this one)"},
	{0, "caps", "LIST", OPT_STRING, AT(caps),
	 "capabilities that the program keeps (default: what\neach policy says)"},
	{0, "calls", NULL, OPT_FLAG, AT(calls_only), "the calls alone, not the settings"},
	{0, "json", NULL, OPT_FLAG, AT(is_json), "as JSON"},
};

static const struct cmd_policy_usage usage = {
	.verb = "diff",
	.operands = "A B",
	.about =
		"Compare what two policies do, in any of the accepted formats, however they are "
		"written: each call\nfor all its arguments, and the settings. The exit status is 0 "
		"when there is no difference, else 1.",
	.min = 2,
	.max = 2,
};

static int compare(const struct args *args, const struct policy policies[2],
		   struct policy_differences *ret, struct err *err)
{
	struct filter_target target;

	if (cmd_policy_target(args->arch, args->kernel, args->caps, &target, err) < 0)
		return -EINVAL;
	for (int arch = 0; arch < ARCH_COUNT; arch++) {
		auto_cleanup(filter_model) a = {0}, b = {0};
		struct filter_target of_a = target, of_b;

		if (args->arch && arch != (int)target.arch)
			continue;
		of_a.arch = arch;
		of_b = of_a;
		cmd_policy_target_caps(args->caps, &policies[0], &of_a);
		cmd_policy_target_caps(args->caps, &policies[1], &of_b);
		if (filter_model_make(&policies[0], &of_a, &a, err) < 0 ||
		    filter_model_make(&policies[1], &of_b, &b, err) < 0)
			return -EINVAL;
		policy_diff_calls(&a, &b, ret);
	}
	if (!args->calls_only)
		policy_diff_settings(&policies[0], &policies[1], ret);
	return 0;
}

/* "-limits:" and "-  exec: 3", as in a patch */
static void print_lines(struct buf *out, char sign, const char *text)
{
	for (const char *end; *text; text = *end ? end + 1 : end) {
		end = strchrnul(text, '\n');
		buf_addf(out, "%c%.*s\n", sign, (int)(end - text), text);
	}
}

static void print_text(const struct policy_differences *list, unsigned int arches,
		       char *const *names, struct buf *out)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct policy_difference *diff = &list->items[i];

		if (diff->is_setting) {
			print_lines(out, '-', diff->a);
			print_lines(out, '+', diff->b);
			continue;
		}
		buf_adds(out, diff->what);
		for (int arch = 0; arch < ARCH_COUNT && diff->arches != arches; arch++)
			if (diff->arches >> arch & 1)
				buf_addf(out, " (%s)", arch_name(arch));
		if (diff->example)
			buf_addf(out, ", such as %s", diff->example);
		buf_addf(out, "\n  A: %s\n  B: %s\n", diff->a, diff->b);
	}
	if (list->n)
		buf_addf(out, "%zu difference%s: A is %s, B is %s\n", list->n,
			 list->n == 1 ? "" : "s", names[0], names[1]);
	else
		buf_adds(out, "no difference\n");
}

static void print_json(const struct policy_differences *list, struct buf *out)
{
	buf_adds(out, "{\"differences\": [");
	for (size_t i = 0; i < list->n; i++) {
		const struct policy_difference *diff = &list->items[i];
		const char *before = "";

		buf_adds(out, i ? ", {" : "{");
		json_add_text(out, diff->is_setting ? "setting" : "call", diff->what);
		json_add_key(out, "arches");
		buf_adds(out, "[");
		for (int arch = 0; arch < ARCH_COUNT; arch++) {
			if (!(diff->arches >> arch & 1))
				continue;
			buf_addf(out, "%s\"%s\"", before, arch_name(arch));
			before = ", ";
		}
		buf_adds(out, "]");
		json_add_text(out, "a", diff->a);
		json_add_text(out, "b", diff->b);
		json_add_text(out, "example", diff->example);
		buf_adds(out, "}");
	}
	buf_adds(out, "]");
	json_add_u64(out, "count", list->n);
	buf_adds(out, "}\n");
}

int cmd_policy_diff(int argc, char **argv)
{
	auto_cleanup(policy_differences) list = {0};
	struct policy policies[2] = {0};
	auto_cleanup(buf) out = {0};
	struct args args = {0};
	struct err err = {0};
	int operands = 0, code, r = 0;

	code = cmd_policy_options(&usage, options, array_len(options), argc, argv, &args,
				  &operands);
	if (code >= 0)
		return code;
	for (int i = 0; i < 2 && r == 0; i++)
		r = policy_load(argv[operands + i], &policies[i], &err);
	if (r == 0)
		r = compare(&args, policies, &list, &err);
	policy_deinit(&policies[0]);
	policy_deinit(&policies[1]);
	if (r < 0)
		return cmd_policy_fail(&err);
	if (args.is_json)
		print_json(&list, &out);
	else
		print_text(&list, args.arch ? 1U << arch_parse(args.arch) : (1U << ARCH_COUNT) - 1,
			   argv + operands, &out);
	return cmd_policy_print(&out, list.n ? EXIT_POLICY_UNMET : 0);
}
