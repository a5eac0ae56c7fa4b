#include "lab/open/tools.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/str.h"

/* the assembler knows no dependencies: the Makefile has the rule */
__asm__(".pushsection .rodata\n"
	"crash_tools_table:\n"
	".incbin \"lab/data/crash-tools.tab\"\n"
	".byte 0\n"
	".popsection\n");
extern const char crash_tools_table[];

enum { COLUMNS = 8 };
enum { TOOL, FROM, OLDEST, NEWEST, FORMS, ARCHS, OPTIONS, WHERE };

struct row {
	struct kver from, oldest, newest;
	bool ends;
	const char *const *column; /* of options and where: in the table's copy */
};

/* The table, split once into words; rows end in a NULL. */
static const char *const *words(void)
{
	static const char **all;
	char *save = NULL, *line_save = NULL;
	size_t n = 0;

	if (all)
		return all;
	all = xcalloc(64 * COLUMNS + 1, sizeof(*all));
	for (char *line = strtok_r(xstrdup(crash_tools_table), "\n", &line_save); line;
	     line = strtok_r(NULL, "\n", &line_save)) {
		if (*line == '#')
			continue;
		assert(n < 63 * COLUMNS);
		for (char *word = strtok_r(line, " \t", &save); word;
		     word = strtok_r(NULL, " \t", &save))
			all[n++] = word;
		assert(n % COLUMNS == 0);
	}
	return all;
}

static struct row row_of(const char *const *column)
{
	struct row row = {.ends = !str_eq(column[NEWEST], "-"), .column = column};
	int r = kver_parse(column[FROM], &row.from, NULL);

	if (r == 0)
		r = kver_parse(column[OLDEST], &row.oldest, NULL);
	if (r == 0 && row.ends)
		r = kver_parse(column[NEWEST], &row.newest, NULL);
	assert(r == 0);
	return row;
}

/* Series alone count: 6.1.176 is 6.1. */
static int compare_series(const struct kver *kernel, const struct kver *series)
{
	struct kver k = {.part = {kernel->part[0], kernel->part[1], 0}};

	return kver_compare(&k, series);
}

static bool covers(const struct row *row, const struct kver *kernel)
{
	return compare_series(kernel, &row->oldest) >= 0 &&
	       (!row->ends || compare_series(kernel, &row->newest) <= 0);
}

static bool is_for(const char *archs, enum arch arch)
{
	return str_eq(archs, "any") || str_eq(archs, "own") || str_eq(archs, arch_name(arch));
}

void tools_version_print(const struct kver *version, char ret[16])
{
	snprintf(ret, 16, "%u.%u.%u", version->part[0] % 1000, version->part[1] % 1000,
		 version->part[2] % 1000);
}

void tools_fit(const char *tool, const struct kver *version, const struct kver *kernel,
	       enum arch arch, struct tool_fit *ret)
{
	struct kver best = {0}, newest = {0}, needs = {0};

	*ret = (struct tool_fit){0};
	for (const char *const *column = words(); *column; column += COLUMNS) {
		struct row row = row_of(column);
		bool has = kver_compare(&row.from, version) <= 0;

		if (!str_eq(column[TOOL], tool) || !is_for(column[ARCHS], arch))
			continue;
		if (has && covers(&row, kernel) && kver_compare(&row.from, &best) > 0) {
			best = row.from;
			ret->reads = true;
			ret->kdump = strstr(column[FORMS], "kdump");
			ret->one_arch = str_eq(column[ARCHS], "own");
			ret->options = str_eq(column[OPTIONS], "-") ? NULL : column[OPTIONS];
		}
		if (has && row.ends && kver_compare(&row.newest, &newest) > 0) {
			newest = row.newest;
			snprintf(ret->newest, sizeof(ret->newest), "%s", column[NEWEST]);
		}
		if (!has && covers(&row, kernel) &&
		    (!ret->needs[0] || kver_compare(&row.from, &needs) < 0)) {
			needs = row.from;
			ret->where = str_eq(column[WHERE], "-") ? NULL : column[WHERE];
			snprintf(ret->needs, sizeof(ret->needs), "%s", column[FROM]);
		}
	}
}

int tools_version(const char *tool, const char *said, struct kver *ret)
{
	size_t len = strlen(tool);

	for (const char *line = said; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, tool, len) == 0 && line[len] == ' ') {
			auto_free char *word =
				xstrndup(line + len + 1, strcspn(line + len + 1, " \n(,"));

			if (kver_parse(word, ret, NULL) == 0)
				return 0;
		}
	}
	return -ENOENT;
}
