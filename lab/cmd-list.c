#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lab/cmd.h"

struct list_args {
	const char *filter;
	bool json;
};

static const struct opt options[] = {
	{'f', "filter", "GLOB", OPT_STRING, offsetof(struct list_args, filter),
	 "only scenarios whose name matches ('userns/*')"},
	{0, "json", NULL, OPT_FLAG, offsetof(struct list_args, json), "machine-readable"},
};

static const struct cmd_usage usage = {
	"list", "[options] PATH...",
	"The scenarios at or below PATH: their names, and what each is about."};

static void print_text(const struct scenario_set *set)
{
	size_t width = 0;

	for (size_t i = 0; i < set->n; i++)
		if (strlen(set->items[i].name) > width)
			width = strlen(set->items[i].name);
	for (size_t i = 0; i < set->n; i++) {
		const struct scenario *s = &set->items[i];
		auto_cleanup(buf) summary = {0};

		str_printable(&summary, s->summary ? s->summary : "",
			      s->summary ? strlen(s->summary) : 0, 200, false);
		printf("%-*s  %s\n", (int)width, s->name, summary.data);
	}
}

static void print_json(const struct scenario_set *set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < set->n; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s?}", "name", set->items[i].name, "path",
					set->items[i].path, "summary", set->items[i].summary));
	json_dumpf(list, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(list);
}

int cmd_list(int argc, char **argv)
{
	auto_cleanup(scenario_set) set = {0};
	struct list_args a = {0};
	int operands,
		code = cmd_options(&usage, options, array_len(options), argc, argv, &a, &operands);

	if (code < 0)
		code = cmd_load_scenarios("list", argv + operands, argc - operands, a.filter, &set);
	if (code >= 0)
		return code;
	if (a.json)
		print_json(&set);
	else
		print_text(&set);
	return EXIT_MET;
}
