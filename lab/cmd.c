#include "lab/cmd.h"

#include <stdio.h>
#include <string.h>

int cmd_fail(int code, const struct err *err)
{
	auto_cleanup(buf) text = {0};

	str_printable(&text, err->msg, strlen(err->msg), sizeof(err->msg), true);
	fflush(stdout);
	fprintf(stderr, "lab: %s\n", text.data);
	return code;
}

int cmd_options(const struct cmd_usage *usage, const struct opt *table, size_t n, int argc,
		char **argv, void *args, int *operands)
{
	struct err err = {0};
	int r = opts_parse(table, n, OPTS_ANYWHERE, argc, argv, args, operands, &err);

	if (r < 0) {
		cmd_fail(EXIT_USAGE, &err);
		fprintf(stderr, "Try 'lab %s --help'.\n", usage->name);
		return EXIT_USAGE;
	}
	if (r == 0)
		return -1;
	printf("Usage: lab %s %s\n\n%s\n\nOptions:\n", usage->name, usage->args, usage->about);
	opts_print(stdout, table, n);
	return EXIT_MET;
}
