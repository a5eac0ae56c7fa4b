#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "jail/cmd-policy.h"
#include "jail/learn/learn-text.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-print.h"
#include "jail/run/learn-file.h"

enum { TEXT_MAX = 256 << 20 };

struct args {
	const char *output, *extends;
};

#define AT(member) offsetof(struct args, member)
static const struct opt options[] = {
	{'o', "output", "FILE", OPT_STRING, AT(output), "write the policy there (default: stdout)"},
	{0, "extends", "P", OPT_STRING, AT(extends),
	 "only what the policy or profile P does not allow"},
};
static const struct cmd_policy_usage usage = {
	.verb = "learn",
	.operands = "FILE…",
	.about = "Make the smallest policy that would have sufficed for what the files saw. A "
		 "file is a policy\n"
		 "learned earlier, a list of calls (one on a line, with a count before or after "
		 "it), "
		 "a log of\n"
		 "strace -f, or a table of strace -c; - is stdin. Several are merged.",
	.min = 1,
	.max = -1,
};

static void learn_deinit(struct learn **learn)
{
	learn_destroy(*learn);
}

/* A policy begins with a key of its own; no line of a list or of strace ends its first word so. */
static bool is_policy(const struct buf *text)
{
	const char *s = text->data;

	for (size_t len; *s; s += len + (s[len] == '\n')) {
		len = strcspn(s, "\n");
		if (!len || *s == '#' || str_starts(s, "---") || str_starts(s, "\xef\xbb\xbf"))
			continue;
		s += strspn(s, " \t");
		return *s == '{' || s[strcspn(s, ": \t\n")] == ':';
	}
	return false;
}

static int read_file(const char *file, struct learn *learn, struct strv *notes, struct err *err)
{
	bool is_stdin = str_eq(file, "-");
	auto_cleanup(policy) policy = {0};
	auto_cleanup(buf) text = {0};
	auto_free char *path = NULL;
	int r;

	if (is_stdin)
		r = io_read_fd(STDIN_FILENO, TEXT_MAX, &text, err);
	else
		r = io_read_file(AT_FDCWD, file, TEXT_MAX, &text, err);
	if (r < 0)
		return r;
	if (!text.len || !is_policy(&text))
		return learn_add_text(learn, is_stdin ? "stdin" : file, text.data, text.len, notes,
				      err);
	if (policy_builtin_text(file)) /* it is a file of that name that was read */
		path = str_printf("./%s", file);
	if (is_stdin)
		r = policy_load_text("stdin", text.data, text.len, &policy, err);
	else
		r = policy_load_one(path ? path : file, &policy, err);
	if (r == 0)
		learn_add_policy(learn, &policy);
	return r;
}

int cmd_policy_learn(int argc, char **argv)
{
	__attribute__((cleanup(learn_deinit))) struct learn *learn = learn_create();
	auto_cleanup(policy) base = {0};
	auto_cleanup(policy) learned = {0};
	auto_cleanup(buf) out = {0};
	auto_cleanup(strv) notes = {0};
	struct args args = {0};
	struct err err = {0};
	int operands = 0, code;

	code = cmd_policy_options(&usage, options, array_len(options), argc, argv, &args,
				  &operands);
	if (code >= 0)
		return code;
	for (int i = operands; i < argc; i++)
		if (read_file(argv[i], learn, &notes, &err) < 0)
			return cmd_policy_fail(&err);
	if (args.extends && policy_load(args.extends, &base, &err) < 0)
		return cmd_policy_fail(&err);
	learn_finish(learn, args.extends ? &base : NULL, &learned, &notes);
	if (args.extends && args.output)
		learn_file_name_base(&learned, &base, args.output);
	cmd_policy_lines("jail policy learn: ", &notes);
	policy_print(&learned, &out);
	return cmd_policy_write(&out, args.output, 0);
}
