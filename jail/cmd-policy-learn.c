#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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
	int r;

	if (is_stdin)
		r = io_read_fd(STDIN_FILENO, TEXT_MAX, &text, err);
	else
		r = io_read_file(AT_FDCWD, file, TEXT_MAX, &text, err);
	if (r < 0 || !text.len)
		return r;
	if (is_stdin || !is_policy(&text))
		return learn_add_text(learn, is_stdin ? "stdin" : file, text.data, text.len, notes,
				      err);
	r = policy_load_one(file, &policy, err);
	if (r == 0)
		learn_add_policy(learn, &policy);
	return r;
}

static int write_policy(const char *output, const struct policy *policy)
{
	auto_cleanup(buf) text = {0};
	struct err err = {0};

	policy_print(policy, &text);
	if (!output)
		return cmd_policy_print(&text, 0);
	if (io_write_atomic(AT_FDCWD, output, text.data, text.len, 0644, &err) == 0)
		return 0;
	cmd_policy_fail(&err);
	return EXIT_POLICY_LOST;
}

static void print_notes(const struct strv *notes)
{
	for (size_t i = 0; i < notes->n; i++) {
		auto_cleanup(buf) line = {0};

		str_printable(&line, notes->items[i], strlen(notes->items[i]), SIZE_MAX, false);
		fprintf(stderr, "jail policy learn: %s\n", line.data);
	}
}

int cmd_policy_learn(int argc, char **argv)
{
	__attribute__((cleanup(learn_deinit))) struct learn *learn = learn_create();
	auto_cleanup(policy) base = {0};
	auto_cleanup(policy) learned = {0};
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
	print_notes(&notes);
	return write_policy(args.output, &learned);
}
