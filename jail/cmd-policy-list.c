#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/json.h"
#include "jail/cmd-policy.h"
#include "jail/policy/groups.h"
#include "jail/policy/policy-load.h"

struct list_args {
	bool is_json, wants_groups;
};

static const struct opt list_options[] = {
	{0, "groups", NULL, OPT_FLAG, offsetof(struct list_args, wants_groups),
	 "the groups of calls instead: @file-read, …"},
	{0, "json", NULL, OPT_FLAG, offsetof(struct list_args, is_json), "as JSON"},
};
static const struct cmd_policy_usage list_usage = {
	.verb = "list",
	.operands = "",
	.about = "The built-in profiles: name, summary, source and date.",
};
static const struct cmd_policy_usage show_usage = {
	.verb = "show",
	.operands = "NAME",
	.about = "The text of a built-in profile, or the calls of a group.",
	.min = 1,
	.max = 1,
};

static int list_profile(const char *name, bool is_json, struct buf *out, struct err *err)
{
	const char *text = policy_builtin_text(name);
	auto_cleanup(policy) policy = {0};

	if (policy_load_text(name, text, strlen(text), &policy, err) < 0)
		return -err->code;
	if (is_json) {
		buf_addf(out, "%s{", out->len > 1 ? ", " : "");
		json_add_text(out, "name", name);
		json_add_text(out, "summary", policy.summary);
		json_add_text(out, "source", policy.source);
		json_add_text(out, "date", policy.date);
		buf_adds(out, "}");
		return 0;
	}
	buf_addf(out, "%-12s%s\n", name, policy.summary ? policy.summary : "");
	if (policy.source)
		buf_addf(out, "%-12sfrom %s%s%s\n", "", policy.source, policy.date ? ", " : "",
			 policy.date ? policy.date : "");
	return 0;
}

static void list_group(const struct call_group *group, bool is_json, struct buf *out)
{
	if (!is_json) {
		buf_addf(out, "%-20s%s\n", group->name, group->summary);
		return;
	}
	buf_addf(out, "%s{", out->len > 1 ? ", " : "");
	json_add_text(out, "name", group->name);
	json_add_text(out, "summary", group->summary);
	json_add_key(out, "calls");
	for (size_t i = 0; group->calls[i]; i++)
		buf_addf(out, "%s\"%s\"", i ? ", " : "[", group->calls[i]);
	buf_adds(out, "]}");
}

int cmd_policy_list(int argc, char **argv)
{
	struct list_args args = {0};
	auto_cleanup(buf) out = {0};
	struct err err = {0};
	int operands = 0, code;

	code = cmd_policy_options(&list_usage, list_options, array_len(list_options), argc, argv,
				  &args, &operands);
	if (code >= 0)
		return code;
	if (args.is_json)
		buf_adds(&out, "[");
	for (size_t i = 0; args.wants_groups && i < call_group_count; i++)
		list_group(&call_groups[i], args.is_json, &out);
	for (size_t i = 0; !args.wants_groups && i < policy_builtin_count; i++)
		if (list_profile(policy_builtin_names[i], args.is_json, &out, &err) < 0)
			return cmd_policy_fail(&err);
	if (args.is_json)
		buf_adds(&out, "]\n");
	return cmd_policy_print(&out, 0);
}

int cmd_policy_show(int argc, char **argv)
{
	auto_cleanup(buf) out = {0};
	const struct call_group *group;
	auto_free char *as_group = NULL;
	const char *name, *text, *near;
	struct err err = {0};
	int operands = 0, code;

	code = cmd_policy_options(&show_usage, NULL, 0, argc, argv, NULL, &operands);
	if (code >= 0)
		return code;
	name = argv[operands];
	group = group_find(name);
	for (size_t i = 0; group && group->calls[i]; i++)
		buf_addf(&out, "%s\n", group->calls[i]);
	text = policy_builtin_text(name);
	if (text)
		buf_adds(&out, text);
	if (group || text)
		return cmd_policy_print(&out, 0);
	as_group = str_printf("@%s", name);
	near = *name == '@' ? group_suggest(name)
			    : str_nearest(name, policy_builtin_names, policy_builtin_count);
	if (group_find(as_group))
		near = as_group;
	err_set(&err, ENOENT,
		"no built-in profile or group '%.60s'%s%s%s; see 'jail policy list%s'", name,
		near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "",
		*name == '@' ? " --groups" : "");
	return cmd_policy_misuse(&show_usage, &err);
}
