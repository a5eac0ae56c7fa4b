#include "lab/run/report.h"

#include <string.h>

enum { CELL_WIDTH = 13 }; /* at least */

static const struct {
	const char *word, *past, *colour;
} words[VERDICT_COUNT] = {
	[VERDICT_PASS] = {"pass", "passed", "32"},	[VERDICT_FAIL] = {"FAIL", "failed", "1;31"},
	[VERDICT_CRASH] = {"CRASH", "crashed", "1;31"}, [VERDICT_HANG] = {"HANG", "hung", "1;31"},
	[VERDICT_LOST] = {"LOST", "lost", "1;35"},	[VERDICT_SKIP] = {"skip", "skipped", "2"},
};

void report_verdict(struct buf *out, enum verdict v, bool colour)
{
	if (colour)
		buf_addf(out, "\033[%sm%s\033[0m", words[v].colour, words[v].word);
	else
		buf_adds(out, words[v].word);
}

void report_count(const struct run_record *r, struct totals *ret)
{
	*ret = (struct totals){.missing = r->missing};
	for (size_t i = 0; i < r->n; i++)
		ret->verdict[r->results[i].verdict]++;
}

/* "7 passed, 1 failed, 2 skipped" */
static void print_totals(struct buf *out, const struct totals *t)
{
	buf_addf(out, "%u passed, %u failed", t->verdict[VERDICT_PASS], t->verdict[VERDICT_FAIL]);
	for (int v = VERDICT_FAIL + 1; v < VERDICT_COUNT; v++)
		if (t->verdict[v])
			buf_addf(out, ", %u %s", t->verdict[v], words[v].past);
	if (t->missing)
		buf_addf(out, ", %u not run", t->missing);
}

int report_exit_code(const struct totals *t)
{
	if (t->verdict[VERDICT_FAIL] || t->verdict[VERDICT_CRASH] || t->verdict[VERDICT_HANG])
		return 1;
	return t->verdict[VERDICT_LOST] || t->missing ? 3 : 0;
}

/* --- the table --- */

/* Of the results with this scenario and column: how many, how many passed, the worst, its time. */
struct summary {
	unsigned int n, passed;
	const struct result *worst;
};

static bool in_column(const struct result *a, const struct result *b)
{
	return a->arch == b->arch && str_eq(a->kernel, b->kernel);
}

static int severity(enum verdict v)
{
	return v == VERDICT_PASS ? 0 : v == VERDICT_SKIP ? 1 : 10 - (int)v;
}

static struct summary summarize(const struct run_record *r, const char *scenario,
				const struct result *column)
{
	struct summary s = {0};

	for (size_t i = 0; i < r->n; i++) {
		const struct result *x = &r->results[i];

		if (!in_column(x, column) || !str_eq(x->scenario, scenario))
			continue;
		s.n++;
		s.passed += x->verdict == VERDICT_PASS;
		if (!s.worst || severity(x->verdict) > severity(s.worst->verdict))
			s.worst = x;
	}
	return s;
}

static void pad(struct buf *out, size_t shown, size_t width)
{
	buf_addf(out, "%*s", shown < width ? (int)(width - shown) : 1, "");
}

static void table_cell(struct buf *out, const struct summary *s, size_t width, bool last,
		       bool colour)
{
	auto_cleanup(buf) rest = {0};

	if (!s->worst) {
		buf_adds(out, "-");
		if (!last)
			pad(out, 1, width);
		return;
	}
	if (s->n > 1)
		buf_addf(&rest, " %u/%u", s->passed, s->n);
	else if (s->worst->total_ms >= 0 && s->worst->verdict != VERDICT_SKIP)
		buf_addf(&rest, " %.1fs", s->worst->total_ms / 1e3);
	report_verdict(out, s->worst->verdict, colour);
	buf_adds(out, rest.data ? rest.data : "");
	if (!last)
		pad(out, strlen(words[s->worst->verdict].word) + rest.len, width);
}

/* The distinct columns (first result of each) or scenario names, in order of appearance. */
static size_t distinct_columns(const struct run_record *r, const struct result **ret)
{
	size_t n = 0, k;

	for (size_t i = 0; i < r->n; i++) {
		for (k = 0; k < n && !in_column(ret[k], &r->results[i]); k++)
			;
		if (k == n)
			ret[n++] = &r->results[i];
	}
	return n;
}

static size_t distinct_scenarios(const struct run_record *r, const char **ret)
{
	size_t n = 0, k;

	for (size_t i = 0; i < r->n; i++) {
		for (k = 0; k < n && !str_eq(ret[k], r->results[i].scenario); k++)
			;
		if (k == n)
			ret[n++] = r->results[i].scenario;
	}
	return n;
}

static void table_block(struct buf *out, const struct run_record *r, const char **scenarios,
			size_t n_scenarios, const struct result **columns, size_t n_columns,
			size_t name_width, size_t width, bool colour)
{
	buf_adds(out, "  scenario");
	pad(out, strlen("scenario"), name_width);
	for (size_t c = 0; c < n_columns; c++) {
		auto_free char *title =
			str_printf("%s %s", columns[c]->kernel, arch_name(columns[c]->arch));

		buf_adds(out, title);
		if (c + 1 < n_columns)
			pad(out, strlen(title), width);
	}
	buf_adds(out, "\n");
	for (size_t i = 0; i < n_scenarios; i++) {
		buf_addf(out, "  %s", scenarios[i]);
		pad(out, strlen(scenarios[i]), name_width);
		for (size_t c = 0; c < n_columns; c++) {
			struct summary s = summarize(r, scenarios[i], columns[c]);

			table_cell(out, &s, width, c + 1 == n_columns, colour);
		}
		buf_adds(out, "\n");
	}
	buf_adds(out, "\n");
}

static void table(struct buf *out, const struct run_record *r, const struct report_style *style)
{
	auto_free const struct result **columns = xcalloc(r->n, sizeof(*columns));
	auto_free const char **scenarios = xcalloc(r->n, sizeof(*scenarios));
	size_t n_columns = distinct_columns(r, columns),
	       n_scenarios = distinct_scenarios(r, scenarios);
	size_t name_width = strlen("scenario") + 2, width = CELL_WIDTH, fit;

	for (size_t i = 0; i < n_scenarios; i++)
		if (strlen(scenarios[i]) + 2 > name_width)
			name_width = strlen(scenarios[i]) + 2;
	for (size_t c = 0; c < n_columns; c++) {
		size_t title = strlen(columns[c]->kernel) + 1 + strlen(arch_name(columns[c]->arch));

		if (title + 2 > width)
			width = title + 2;
	}
	fit = style->width > name_width + width ? (style->width - name_width) / width : 1;
	for (size_t c = 0; c < n_columns; c += fit)
		table_block(out, r, scenarios, n_scenarios, columns + c,
			    n_columns - c < fit ? n_columns - c : fit, name_width, width,
			    style->colour);
}

/* --- what is above and below it --- */

/* What the run's record says of the kernel of a result, or NULL. */
static const char *kernel_text(const struct run_record *r, const struct result *x, const char *key)
{
	json_t *kernel;
	size_t i;

	json_array_foreach(json_object_get(r->json, "kernels"), i, kernel)
	{
		const char *name = json_string_value(json_object_get(kernel, "name"));
		const char *arch = json_string_value(json_object_get(kernel, "arch"));

		if (name && arch && str_eq(name, x->kernel) && str_eq(arch, arch_name(x->arch)))
			return json_string_value(json_object_get(kernel, key));
	}
	return NULL;
}

/* The kernels of one architecture and its accelerator: "amd64  5.10.223, 6.1.176    KVM". */
static void header_arch(struct buf *out, const struct result **columns, size_t n, enum arch arch)
{
	const char *accelerator = "";
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (columns[i]->arch != arch)
			continue;
		if (!any)
			buf_addf(out, "%s  ", arch_name(arch));
		buf_addf(out, "%s%s", any ? ", " : "", columns[i]->version);
		any = true;
		if (*columns[i]->accelerator)
			accelerator = columns[i]->accelerator;
	}
	if (any)
		buf_addf(out, "%s%s\n", *accelerator ? "    " : "", accelerator);
}

/* Of the kernels that were built: of what. */
static void header_origins(struct buf *out, const struct run_record *r,
			   const struct result **columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *origin = kernel_text(r, columns[i], "origin");

		if (!origin)
			continue;
		buf_addf(out, "%s %s: %s, ", columns[i]->kernel, arch_name(columns[i]->arch),
			 columns[i]->version);
		str_printable(out, origin, strlen(origin), 300, false);
		buf_adds(out, "\n");
	}
}

static void header(struct buf *out, const struct run_record *r)
{
	auto_free const struct result **columns = xcalloc(r->n, sizeof(*columns));
	size_t n = distinct_columns(r, columns);

	for (int a = 0; a < ARCH_COUNT; a++)
		header_arch(out, columns, n, a);
	header_origins(out, r, columns, n);
	buf_adds(out, "\n");
}

static bool unsuccessful(const struct result *x)
{
	return x->verdict != VERDICT_PASS && x->verdict != VERDICT_SKIP;
}

/* What --kernel was: a kernel's name, or the path that the run's record keeps for a file. */
static const char *kernel_argument(const struct run_record *r, const struct result *x)
{
	const char *path = kernel_text(r, x, "path");

	return path ? path : x->kernel;
}

static void failure(struct buf *out, const struct run_record *r, const struct result *x,
		    bool colour)
{
	report_verdict(out, x->verdict, colour);
	buf_addf(out, " %s on %s %s: %s\n", x->scenario, x->kernel, arch_name(x->arch),
		 x->reasons.n ? x->reasons.items[0] : "no reason was kept");
	for (size_t i = 1; i < x->reasons.n; i++)
		buf_addf(out, "     %s\n", x->reasons.items[i]);
	for (size_t i = 0; i < x->notes.n; i++)
		buf_addf(out, "     note: %s\n", x->notes.items[i]);
	buf_addf(out, "     %s/%s/\n", r->dir, x->dir);
	buf_addf(out, "     again: lab run --kernel %s --arch %s %s\n", kernel_argument(r, x),
		 arch_name(x->arch), x->path);
	buf_addf(out, "     debug: lab debug --kernel %s --arch %s %s\n", kernel_argument(r, x),
		 arch_name(x->arch), x->path);
	if (x->dump.there)
		buf_addf(out, "     crash: lab crash %s/%s\n", r->dir, x->dir);
	buf_adds(out, "\n");
}

/* Skips and notes repeat across kernels: one line for each scenario and text, with the count. */
static void remark(struct buf *out, struct strv *seen, const struct run_record *r, size_t first,
		   const char *word, const char *text)
{
	const struct result *x = &r->results[first];
	auto_free char *key = str_printf("%s %s: %s", word, x->scenario, text);
	unsigned int n = 0;

	if (strv_has(seen, key))
		return;
	strv_add(seen, key);
	for (size_t i = first; i < r->n; i++) {
		const struct result *y = &r->results[i];

		if (str_eq(y->scenario, x->scenario) &&
		    (strv_has(&y->notes, text) || strv_has(&y->reasons, text)))
			n++;
	}
	buf_addf(out, "%s %s on ", word, x->scenario);
	if (n > 1)
		buf_addf(out, "%u kernels", n);
	else
		buf_addf(out, "%s %s", x->kernel, arch_name(x->arch));
	buf_addf(out, ": %s\n", text);
}

static void remarks(struct buf *out, const struct run_record *r)
{
	auto_cleanup(strv) seen = {0};

	for (size_t i = 0; i < r->n; i++) {
		const struct result *x = &r->results[i];

		if (x->verdict == VERDICT_SKIP && x->reasons.n)
			remark(out, &seen, r, i, "skip", x->reasons.items[0]);
		for (size_t k = 0; !unsuccessful(x) && k < x->notes.n; k++)
			remark(out, &seen, r, i, "note", x->notes.items[k]);
	}
	if (seen.n)
		buf_adds(out, "\n");
}

/* Cells that passed and have a dump, as a crash that was expected: what opens the first. */
static void dumps_there(struct buf *out, const struct run_record *r)
{
	const struct result *first = NULL;
	unsigned int n = 0;

	for (size_t i = 0; i < r->n; i++) {
		const struct result *x = &r->results[i];

		if (unsuccessful(x) || !x->dump.there)
			continue;
		if (!first)
			first = x;
		n++;
	}
	if (n == 1)
		buf_addf(out, "crash: lab crash %s/%s\n\n", r->dir, first->dir);
	else if (n)
		buf_addf(out, "crash: lab crash %s/%s    (the first of %u dumps)\n\n", r->dir,
			 first->dir, n);
}

/* Dumps that somebody wanted and that are not there: one line. */
static void dumps_left_out(struct buf *out, const struct run_record *r)
{
	const char *first = NULL;
	bool same = true;
	unsigned int n = 0;

	for (size_t i = 0; i < r->n; i++) {
		const char *why = r->results[i].dump.skipped;

		if (!why)
			continue;
		if (!first)
			first = why;
		same &= str_eq(why, first);
		n++;
	}
	if (n)
		buf_addf(out, "%u dump%s left out: %s%s\n\n", n, n > 1 ? "s" : "", first,
			 same ? "" : "; other reasons are in result.json");
}

static const char *why_missing(const struct run_record *r)
{
	const char *state = json_string_value(json_object_get(r->json, "state"));

	if (state && str_eq(state, "interrupted"))
		return "interrupted";
	if (state && str_eq(state, "stopped"))
		return "the host failed; the run was stopped";
	return "still running, or killed";
}

void report_text(struct buf *out, const struct run_record *r, const struct report_style *style)
{
	int64_t wall_ms = json_integer_value(json_object_get(r->json, "wall_ms"));
	struct totals t;

	report_count(r, &t);
	if (r->n) {
		header(out, r);
		table(out, r, style);
	}
	for (size_t i = 0; i < r->n; i++)
		if (unsuccessful(&r->results[i]))
			failure(out, r, &r->results[i], style->colour);
	remarks(out, r);
	dumps_there(out, r);
	dumps_left_out(out, r);
	print_totals(out, &t);
	if (r->missing)
		buf_addf(out, " (%s)", why_missing(r));
	if (wall_ms > 0)
		buf_addf(out, " in %.*f s", wall_ms < 10000 ? 1 : 0, wall_ms / 1e3);
	buf_addf(out, "    %s/\n", r->dir);
}

json_t *report_json(const struct run_record *r)
{
	json_t *j = json_deep_copy(r->json), *results = json_array();

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(results, result_json(&r->results[i]));
	json_object_set_new(j, "dir", json_string(r->dir));
	json_object_set_new(j, "missing", json_integer(r->missing));
	json_object_set_new(j, "results", results);
	return j;
}
