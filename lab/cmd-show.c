#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/cmd.h"
#include "lab/run/report.h"

enum { TAIL_BYTES = 1500 };

struct show_args {
	bool json;
};

static const struct opt options[] = {
	{0, "json", NULL, OPT_FLAG, offsetof(struct show_args, json), "machine-readable"},
};

static const struct cmd_usage usage = {"show", "[options] RUN [CELL]",
				       "Print a run again: 'latest', an id below " RESULTS_DIR
				       "/, or its folder. With CELL (as\n"
				       "6.1-amd64/userns/overlay): its verdict and the ends of its "
				       "evidence. Exit code: the run's."};

/* The last lines of a file of evidence, made printable, each indented. */
static void print_tail(const char *dir, const char *name)
{
	auto_free char *path = path_join(dir, name);
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	auto_cleanup(buf) shown = {0}, lines = {0}; /* a console's end with CR LF */
	char text[TAIL_BYTES];
	struct stat st;
	ssize_t n;
	char *line, *start = text;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !st.st_size)
		return;
	n = pread(fd, text, sizeof(text), st.st_size > TAIL_BYTES ? st.st_size - TAIL_BYTES : 0);
	if (n <= 0)
		return;
	if (st.st_size > TAIL_BYTES && (line = memchr(text, '\n', n - 1)))
		start = line + 1;
	printf("\n%s (%lld bytes)%s\n", path, (long long)st.st_size,
	       st.st_size > TAIL_BYTES ? ", its end:" : ":");
	for (const char *c = start; c < text + n; c++)
		if (*c != '\r' || c + 1 == text + n || c[1] != '\n')
			buf_add(&lines, c, 1);
	str_printable(&shown, lines.data, lines.len, sizeof(text) * 2, true);
	for (line = strtok(shown.data, "\n"); line; line = strtok(NULL, "\n"))
		printf("    %s\n", line);
}

/* Whether there is a dump, and what to type next. */
static void print_dump(const struct dump_done *dump, const char *dir)
{
	auto_free char *text = path_join(dir, "vmcore.txt");

	if (dump->skipped)
		printf("    dump: none: %s\n", dump->skipped);
	if (!dump->there)
		return;
	printf("    dump: %s, %.1f MiB", dump_form_name(dump->form), dump->bytes / 0x1p20);
	if (io_exists(text))
		printf("; what it says: %s", text);
	printf("\n    open: lab crash %s\n", dir);
}

static int show_cell(const struct run_record *record, const char *name, bool json)
{
	const struct result *x = NULL;
	auto_free char *dir = NULL;
	auto_cleanup(buf) verdict = {0};
	struct err err = {0};

	for (size_t i = 0; !x && i < record->n; i++)
		if (str_eq(record->results[i].dir, name))
			x = &record->results[i];
	if (!x) {
		err_set(&err, ENOENT, "%s has no cell '%.100s' (cells are named like %s)",
			record->dir, name,
			record->n ? record->results[0].dir : "6.1-amd64/userns/overlay");
		return cmd_fail(EXIT_USAGE, &err);
	}
	if (json) {
		json_t *j = result_json(x);

		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
		return EXIT_MET;
	}
	report_verdict(&verdict, x->verdict, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	printf("%s  %s on %s %s  (%s)\n", verdict.data, x->scenario, x->version, arch_name(x->arch),
	       x->accelerator);
	for (size_t i = 0; i < x->reasons.n; i++)
		printf("    %s\n", x->reasons.items[i]);
	for (size_t i = 0; i < x->notes.n; i++)
		printf("    note: %s\n", x->notes.items[i]);
	printf("    ended: %s", x->ending);
	if (x->exit_code >= 0)
		printf(", exit %d", x->exit_code);
	if (x->signal)
		printf(", signal %d", x->signal);
	if (x->boot_ms >= 0)
		printf("; boot %.2f s", x->boot_ms / 1e3);
	if (x->run_ms >= 0)
		printf("; run %.2f s", x->run_ms / 1e3);
	if (x->total_ms >= 0)
		printf("; in all %.2f s", x->total_ms / 1e3);
	if (x->crash.title)
		printf("\n    crash: %s%s\n    %s, signature %s", x->crash.title,
		       x->crash.corrupted ? " (its report is not whole)" : "", x->crash.type,
		       x->crash.signature);
	putchar('\n');
	dir = path_join(record->dir, x->dir);
	print_dump(&x->dump, dir);
	print_tail(dir, "stdout");
	print_tail(dir, "stderr");
	print_tail(dir, "strace.log");
	print_tail(dir, "console.log");
	print_tail(dir, "registers.txt");
	return EXIT_MET;
}

int cmd_show(int argc, char **argv)
{
	auto_cleanup(run_record) record = {0};
	struct show_args a = {0};
	struct totals totals;
	struct err err = {0};
	int operands,
		code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &operands);

	if (code >= 0)
		return code;
	if (argc - operands < 1 || argc - operands > 2)
		return cmd_misused(&usage, "name a run ('latest'), and perhaps one cell of it");
	if (run_record_load(argv[operands], &record, &err) < 0)
		return cmd_fail(EXIT_USAGE, &err);
	if (argc - operands == 2)
		return show_cell(&record, argv[operands + 1], a.json);
	cmd_print_record(&record, a.json);
	report_count(&record, &totals);
	return report_exit_code(&totals);
}
