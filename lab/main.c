/*
 * lab - boots pinned kernels, runs scenarios inside, and shows what differs.
 */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/version.h"
#include "lab/cmd.h"
#include "lab/machine/guardian.h"

static const struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	bool guarded; /* may start machines: runs under the guardian */
	const char *help;
} commands[] = {
	{"run", cmd_run, true, "run scenarios on kernels and architectures, and judge them"},
	{"debug", cmd_debug, true, "run a scenario with gdb attached to its guest's kernel"},
	{"gdb", cmd_gdb, false, "attach gdb to a machine that runs"},
	{"crash", cmd_crash, false, "open the dump of a guest that crashed, in crash, drgn or gdb"},
	{"list", cmd_list, false, "the scenarios below a path, and what each is about"},
	{"show", cmd_show, false, "print a run again, or one cell of it with its evidence"},
	{"replay", cmd_replay, true, "run what was recorded again, backwards too, under gdb"},
	{"shell", cmd_shell, true, "a guest to work in, or a command in one"},
	{"record", cmd_record, true, "run a scenario so that it can be run again, exactly"},
	{"vm", cmd_vm, false, "the machines that run: list, stop, dump"},
	{"kernel", cmd_kernel, false,
	 "kernels, pinned or built: list, pin, pull, build, config, export, import, ..."},
	{"image", cmd_image, false, "the guest's packages and images"},
	{"cache", cmd_cache, false, "what the cache holds; prune it"},
	{"doctor", cmd_doctor, true, "what this host can do, and what to do about the rest"},
};

static void usage(FILE *to)
{
	fputs("Usage: lab COMMAND [options] ...\n\n"
	      "The same scenario, on every kernel and both architectures, with the evidence "
	      "kept.\n\n",
	      to);
	for (size_t i = 0; i < array_len(commands); i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\n'lab COMMAND --help' has the options; 'man lab' the rest.\n", to);
}

static int unknown_command(const char *name)
{
	const char *names[array_len(commands)];
	auto_cleanup(buf) shown = {0};
	const char *near;

	for (size_t i = 0; i < array_len(commands); i++)
		names[i] = commands[i].name;
	near = str_nearest(name, names, array_len(names));
	str_printable(&shown, name, strlen(name), 60, false);
	fprintf(stderr, "lab: unknown command '%s'", shown.data);
	if (near)
		fprintf(stderr, " (did you mean '%s'?)", near);
	fputs("\nTry 'lab --help'.\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct err err = {0};

	guardian_exec_qemu(argc, argv);
	setlocale(LC_CTYPE, "C.UTF-8");
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (str_eq(argv[1], "--help") || str_eq(argv[1], "-h") || str_eq(argv[1], "help")) {
		usage(stdout);
		return EXIT_MET;
	}
	if (str_eq(argv[1], "--version")) {
		puts("lab " PROJECT_VERSION);
		return EXIT_MET;
	}
	for (size_t i = 0; i < array_len(commands); i++) {
		if (!str_eq(argv[1], commands[i].name))
			continue;
		if (commands[i].guarded && guardian_start(&err) < 0)
			return cmd_fail(EXIT_LOST, &err);
		return commands[i].fn(argc - 1, argv + 1);
	}
	return unknown_command(argv[1]);
}
