#include "lab/cmd.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lab/run/report.h"

static volatile int signalled;

static void on_signal(int sig)
{
	(void)sig;
	signalled = 1;
}

const volatile int *cmd_catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	return &signalled;
}

int cmd_fail(int code, const struct err *err)
{
	auto_cleanup(buf) text = {0};

	str_printable(&text, err->msg, strlen(err->msg), sizeof(err->msg), true);
	fflush(stdout);
	fprintf(stderr, "lab: %s\n", text.data);
	return code;
}

int cmd_become(char **argv, struct err *err)
{
	signal(SIGPIPE, SIG_DFL);
	execv(argv[0], argv);
	return err_errno(err, "start %s", argv[0]);
}

int cmd_exit_code(int r)
{
	switch (r) {
	case -EINVAL:
	case -ENOENT:
	case -ENOTSUP:
	case -ENOEXEC:
	case -E2BIG:
		return EXIT_USAGE;
	case -EINTR:
		return EXIT_INTERRUPTED;
	default:
		return EXIT_LOST;
	}
}

int cmd_arch(const char *option, struct err *err)
{
	int arch = option ? arch_parse(option) : (int)arch_native();

	return arch >= 0
		       ? arch
		       : err_set(err, EINVAL,
				 "unknown architecture '%.60s': there are amd64 and arm64", option);
}

int cmd_archs(const struct strv *options, unsigned int none, struct err *err)
{
	unsigned int mask = options->n ? 0 : none;

	for (size_t i = 0; i < options->n; i++) {
		bool all = str_eq(options->items[i], "all");
		int arch = all ? 0 : cmd_arch(options->items[i], err);

		if (arch < 0)
			return arch;
		mask |= all ? (1u << ARCH_COUNT) - 1 : 1u << arch;
	}
	return (int)mask;
}

const char *cmd_cache_from(const char *option)
{
	const char *place = option ? option : getenv("LAB_CACHE_FROM");

	return place && *place ? place : NULL;
}

int cmd_misused(const struct cmd_usage *usage, const char *format, ...)
{
	struct err err = {.code = EINVAL};
	va_list args;

	va_start(args, format);
	vsnprintf(err.msg, sizeof(err.msg), format, args);
	va_end(args);
	cmd_fail(EXIT_USAGE, &err);
	fprintf(stderr, "Try 'lab %s --help'.\n", usage->name);
	return EXIT_USAGE;
}

int cmd_options(const struct cmd_usage *usage, const struct opt *table, size_t n, int argc,
		char **argv, void *args, int *operands)
{
	struct err err = {0};
	int r = opts_parse(table, n, OPTS_ANYWHERE, argc, argv, args, operands, &err);

	if (r < 0)
		return cmd_misused(usage, "%s", err.msg);
	if (r == 0)
		return -1;
	printf("Usage: lab %s %s\n\n%s\n\nOptions:\n", usage->name, usage->args, usage->about);
	opts_print(stdout, table, n);
	return EXIT_MET;
}

int cmd_load_scenarios(const char *name, char *const *paths, int n, const char *filter,
		       struct scenario_set *ret)
{
	auto_cleanup(strv) mistakes = {0};
	struct err err = {0};

	if (n < 1) {
		fprintf(stderr,
			"lab: no scenario given: name a file or a folder\nTry 'lab %s --help'.\n",
			name);
		return EXIT_USAGE;
	}
	if (scenario_load(paths, n, filter, ret, &mistakes, &err) == 0)
		return -1;
	if (!mistakes.n)
		return cmd_fail(EXIT_USAGE, &err);
	for (size_t i = 0; i < mistakes.n; i++) {
		auto_cleanup(buf) line = {0};

		str_printable(&line, mistakes.items[i], strlen(mistakes.items[i]), 600, false);
		fprintf(stderr, "%s\n", line.data);
	}
	return EXIT_USAGE;
}

void cmd_print_record(const struct run_record *record, bool json)
{
	struct report_style style = {.width = 110};
	auto_cleanup(buf) text = {0};
	struct winsize ws;

	if (json) {
		json_t *j = report_json(record);

		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
		return;
	}
	if (isatty(STDOUT_FILENO)) {
		style.colour = !getenv("NO_COLOR");
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col >= 40)
			style.width = ws.ws_col;
	}
	report_text(&text, record, &style);
	fputs(text.data, stdout);
}
