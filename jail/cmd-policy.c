#include "jail/cmd-policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "jail/base/io.h"
#include "jail/system/caps.h"

static const struct verb {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *help;
} verbs[] = {
	{"check", cmd_policy_check, "mistakes, rules without effect, dangerous allowances"},
	{"explain", cmd_policy_explain, "what happens to a call, and the rule that says so"},
	{"test", cmd_policy_test, "hold tables of calls and expected actions against a policy"},
	{"compile", cmd_policy_compile, "the filter as text, bytes or C, and what it costs"},
	{"convert", cmd_policy_convert, "from any accepted format to another"},
	{"diff", cmd_policy_diff, "what two policies do differently"},
	{"merge", cmd_policy_merge, "one policy that allows what any of several allows"},
	{"list", cmd_policy_list, "the built-in profiles, or the groups of calls"},
	{"show", cmd_policy_show, "the text of a built-in profile, the calls of a group"},
	{"learn", cmd_policy_learn,
	 "the smallest policy for what was seen: lists, strace, earlier runs"},
};

static void print_usage(FILE *to)
{
	fputs("Usage: jail policy VERB [options] …\n\n"
	      "Look at policies, test them, change them: jail-policy(5). None of it needs "
	      "privileges.\n\n",
	      to);
	for (size_t i = 0; i < array_len(verbs); i++)
		fprintf(to, "  %-8s  %s\n", verbs[i].name, verbs[i].help);
	fputs("\n'jail policy VERB --help' has the options; jail-policy(1) the rest.\n", to);
}

static int unknown_verb(const char *given)
{
	const char *names[array_len(verbs)];
	auto_cleanup(buf) shown = {0};
	const char *near;

	for (size_t i = 0; i < array_len(verbs); i++)
		names[i] = verbs[i].name;
	near = str_nearest(given, names, array_len(names));
	str_printable(&shown, given, strlen(given), 60, false);
	fprintf(stderr, "jail policy: unknown verb '%s'", shown.data ? shown.data : "");
	if (near)
		fprintf(stderr, " (did you mean '%s'?)", near);
	fputs("\nTry 'jail policy --help' for more information.\n", stderr);
	return EXIT_POLICY_BAD;
}

int cmd_policy(int argc, char **argv)
{
	if (argc < 2) {
		fputs("jail policy: no verb given\n"
		      "Try 'jail policy --help' for more information.\n",
		      stderr);
		return EXIT_POLICY_BAD;
	}
	if (str_eq(argv[1], "--help") || str_eq(argv[1], "-h") || str_eq(argv[1], "help")) {
		print_usage(stdout);
		return fflush(stdout) < 0 ? EXIT_POLICY_LOST : 0;
	}
	for (size_t i = 0; i < array_len(verbs); i++)
		if (str_eq(argv[1], verbs[i].name))
			return verbs[i].fn(argc - 1, argv + 1);
	return unknown_verb(argv[1]);
}

int cmd_policy_misuse(const struct cmd_policy_usage *usage, const struct err *err)
{
	auto_cleanup(buf) text = {0};

	str_printable(&text, err->msg, strlen(err->msg), sizeof(err->msg), false);
	fprintf(stderr, "jail policy %s: %s\nTry 'jail policy %s --help' for more information.\n",
		usage->verb, text.data, usage->verb);
	return EXIT_POLICY_BAD;
}

int cmd_policy_fail(const struct err *err)
{
	auto_cleanup(buf) text = {0};

	str_printable(&text, err->msg, strlen(err->msg), sizeof(err->msg), true);
	fflush(stdout);
	fprintf(stderr, "%s\n", text.data);
	return EXIT_POLICY_BAD;
}

int cmd_policy_print(const struct buf *text, int code)
{
	int r = io_write_all(STDOUT_FILENO, text->data, text->len);

	if (r == 0)
		return code;
	fprintf(stderr, "jail policy: stdout: %s\n", strerror(-r));
	return EXIT_POLICY_LOST;
}

/* A file is replaced as a whole; a device, a pipe or what a link leads to is written to. */
static int write_file(const char *path, const struct buf *text, struct err *err)
{
	auto_close int fd = -1;
	struct stat st;
	int r;

	if (lstat(path, &st) < 0 || S_ISREG(st.st_mode))
		return io_write_atomic(AT_FDCWD, path, text->data, text->len, 0666, err);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (fd < 0)
		return err_errno(err, "write %s", path);
	r = io_write_all(fd, text->data, text->len);
	return r < 0 ? err_set(err, -r, "write %s: %s", path, strerror(-r)) : 0;
}

int cmd_policy_write(const struct buf *text, const char *path, int code)
{
	struct err err = {0};

	if (!path)
		return cmd_policy_print(text, code);
	if (write_file(path, text, &err) == 0)
		return code;
	cmd_policy_fail(&err);
	return EXIT_POLICY_LOST;
}

void cmd_policy_lines(const char *prefix, const struct strv *lines)
{
	for (size_t i = 0; i < lines->n; i++) {
		auto_cleanup(buf) text = {0};

		str_printable(&text, lines->items[i], strlen(lines->items[i]), SIZE_MAX, false);
		fprintf(stderr, "%s%s\n", prefix, text.data);
	}
}

int cmd_policy_options(const struct cmd_policy_usage *usage, const struct opt *table, size_t n,
		       int argc, char **argv, void *args, int *operands)
{
	struct err err = {0};
	int r = opts_parse(table, n, OPTS_ANYWHERE, argc, argv, args, operands, &err);

	if (r > 0) {
		printf("Usage: jail policy %s [options]%s%s\n\n%s\n\n", usage->verb,
		       *usage->operands ? " " : "", usage->operands, usage->about);
		opts_print(stdout, table, n);
		return fflush(stdout) < 0 ? EXIT_POLICY_LOST : 0;
	}
	if (r == 0 && argc - *operands < usage->min)
		r = err_set(&err, EINVAL, "%s expected", usage->operands);
	if (r == 0 && usage->max >= 0 && argc - *operands > usage->max)
		r = err_set(&err, EINVAL, "'%.60s' is one too many: %s expected",
			    argv[*operands + usage->max],
			    usage->max ? usage->operands : "only options");
	return r < 0 ? cmd_policy_misuse(usage, &err) : -1;
}

int cmd_policy_target(const char *arch, const char *kernel, const char *caps,
		      struct filter_target *ret, struct err *err)
{
	struct filter_target target = {.arch = arch_native()};
	struct utsname host;
	bool all = false;
	int r = 0;

	if (arch) {
		r = arch_parse(arch);
		if (r < 0)
			return err_set(err, EINVAL, "--arch %.40s: amd64 or arm64 expected", arch);
		target.arch = r;
	}
	if (kernel && kver_parse(kernel, &target.kernel, err) < 0)
		return err_wrap(err, "--kernel");
	if (!kernel && (uname(&host) < 0 || kver_parse(host.release, &target.kernel, err) < 0))
		target.kernel = FILTER_NEWEST_KERNEL;
	if (caps && caps_parse(caps, &target.caps, &all, err) < 0)
		return err_wrap(err, "--caps");
	if (all)
		target.caps = UINT64_MAX;
	*ret = target;
	return 0;
}

void cmd_policy_target_caps(const char *caps, const struct policy *policy,
			    struct filter_target *target)
{
	if (!caps)
		target->caps = policy_caps(policy);
}
