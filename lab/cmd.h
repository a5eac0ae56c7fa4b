/*
 * cmd.h - the subcommands of lab. Each parses its argv, calls one function of floor 3, prints, and
 * returns the exit code.
 */
#ifndef LAB_CMD_H
#define LAB_CMD_H

#include "jail/base/err.h"
#include "jail/base/opts.h"
#include "lab/run/result.h"
#include "lab/scenario/scenario-load.h"

enum { EXIT_MET = 0, EXIT_UNMET = 1, EXIT_USAGE = 2, EXIT_LOST = 3, EXIT_INTERRUPTED = 130 };

int cmd_cache(int argc, char **argv);
int cmd_crash(int argc, char **argv);
int cmd_debug(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_gdb(int argc, char **argv);
int cmd_image(int argc, char **argv);
int cmd_kernel(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_shell(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_vm(int argc, char **argv);

struct cmd_usage {
	const char *name;  /* "run" */
	const char *args;  /* "[options] PATH..." */
	const char *about; /* one or more lines */
};
/*
 * Parse the options of "lab NAME". Returns -1 to go on, else the exit code to return: --help was
 * printed, or a mistake was reported on stderr.
 */
int cmd_options(const struct cmd_usage *usage, const struct opt *table, size_t n, int argc,
		char **argv, void *args, int *operands);
/* What "lab NAME" was given is wrong: "lab: text", and where help is. Returns EXIT_USAGE. */
int cmd_misused(const struct cmd_usage *usage, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * Load scenarios for "lab NAME PATH...". Returns -1 to go on, else the exit code: every mistake was
 * reported on stderr.
 */
int cmd_load_scenarios(const char *name, char *const *paths, int n, const char *filter,
		       struct scenario_set *ret);
/* A run on stdout: the table and what went wrong, fitted to the terminal; or JSON. */
void cmd_print_record(const struct run_record *record, bool json);
/* From now on signals that end a program set the flag that is returned, for functions that poll it.
 */
const volatile int *cmd_catch_signals(void);
/* What --cache-from means: the option's value, else $LAB_CACHE_FROM; NULL: none, or empty. */
const char *cmd_cache_from(const char *option);
/*
 * The exit code for what a function about kernels returned: usage for a mistake in what was asked
 * for, else what the host, the network or a disk did.
 */
int cmd_exit_code(int r);
/* Of --arch: option NULL is this machine's. A negative errno when there is no such architecture. */
int cmd_arch(const char *option, struct err *err);
/* Bit mask of several, "all" among them; none: what no --arch means. */
int cmd_archs(const struct strv *options, unsigned int none, struct err *err);
/* Another program in this process's place; returns only when that fails. */
int cmd_become(char **argv, struct err *err);
/* "lab: text" on stderr, made printable. Returns code. */
int cmd_fail(int code, const struct err *err);

#endif
