/*
 * cmd-policy.h - the subcommands of `jail policy`, and what they share. Each parses its argv, calls
 * pure code, prints, and returns the exit code.
 */
#ifndef JAIL_CMD_POLICY_H
#define JAIL_CMD_POLICY_H

#include "jail/base/err.h"
#include "jail/base/opts.h"
#include "jail/filter/model.h"

enum {
	EXIT_POLICY_UNMET = 1,	/* the answer is no: findings, a test that failed, a difference */
	EXIT_POLICY_BAD = 2,	/* usage, or a file that cannot be read */
	EXIT_POLICY_LOST = 125, /* the output could not be written */
};

int cmd_policy(int argc, char **argv); /* argv[0] is "policy" */
int cmd_policy_check(int argc, char **argv);
int cmd_policy_convert(int argc, char **argv);
int cmd_policy_diff(int argc, char **argv);
int cmd_policy_merge(int argc, char **argv);
int cmd_policy_learn(int argc, char **argv);
int cmd_policy_compile(int argc, char **argv);
int cmd_policy_explain(int argc, char **argv);
int cmd_policy_list(int argc, char **argv);
int cmd_policy_show(int argc, char **argv);
int cmd_policy_test(int argc, char **argv);

struct cmd_policy_usage {
	const char *verb;     /* "check" */
	const char *operands; /* "FILE…" */
	const char *about;    /* one or more lines */
	int min, max;	      /* operands; max -1: any number */
};
/*
 * Parse the options of "jail policy VERB". Returns -1 to go on, else the exit code to return:
 * --help was printed, or a mistake was reported on stderr.
 */
int cmd_policy_options(const struct cmd_policy_usage *usage, const struct opt *table, size_t n,
		       int argc, char **argv, void *args, int *operands);
/* "jail policy VERB: text" and the way to the help, on stderr. Returns EXIT_POLICY_BAD. */
int cmd_policy_misuse(const struct cmd_policy_usage *usage, const struct err *err);
/* The text, made printable, as a line on stderr (it names its file). Returns EXIT_POLICY_BAD. */
int cmd_policy_fail(const struct err *err);
/* Everything to stdout. Returns code, or EXIT_POLICY_LOST (said on stderr) when that fails. */
int cmd_policy_print(const struct buf *text, int code);
/* The same into path, unless it is NULL: a file is replaced as a whole, a device written to. */
int cmd_policy_write(const struct buf *text, const char *path, int code);
/* Each, made printable, on stderr: a reader's warnings, what a writer could not hold. */
void cmd_policy_lines(const char *prefix, const struct strv *lines);
/*
 * What --arch, --kernel and --caps say, each NULL when it was not given: this machine's
 * architecture and kernel, no capabilities.
 */
int cmd_policy_target(const char *arch, const char *kernel, const char *caps,
		      struct filter_target *ret, struct err *err);
/* Without --caps: what the program keeps by the policy, once that is loaded. */
void cmd_policy_target_caps(const char *caps, const struct policy *policy,
			    struct filter_target *target);

#endif
