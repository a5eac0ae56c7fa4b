#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/json.h"
#include "jail/cmd-policy.h"
#include "jail/filter/compile.h"
#include "jail/inspect/lint.h"
#include "jail/policy/policy-load.h"

enum { LINE_MAX_BYTES = 8000 };

struct args {
	const char *arch, *kernel, *age;
	bool is_strict, is_json, is_quiet;
};

#define AT(member) offsetof(struct args, member)
static const struct opt options[] = {
	{0, "arch", "A", OPT_STRING, AT(arch), "amd64 or arm64 (default: both)"},
	{0, "kernel", "K", OPT_STRING, AT(kernel),
	 "the kernel it is for, like 6.1 (default: the newest)"},
	{0, "age", "K", OPT_STRING, AT(age),
	 "warn of what kernel K has and the author could not know"},
	{0, "strict", NULL, OPT_FLAG, AT(is_strict), "exit 1 when there are warnings"},
	{'q', "quiet", NULL, OPT_FLAG, AT(is_quiet), "no notes: mistakes and warnings only"},
	{0, "json", NULL, OPT_FLAG, AT(is_json), "as JSON"},
};
static const struct cmd_policy_usage usage = {
	.verb = "check",
	.operands = "FILE…",
	.about =
		"Read policies, all that they extend too, and say what is wrong with them: "
		"mistakes, rules\n"
		"that never match or have no effect somewhere, dangerous allowances, refusals that "
		"are got\n"
		"round. FILE may be the name of a built-in profile.",
	.min = 1,
	.max = -1,
};

struct report {
	const struct args *args;
	struct buf out;
	unsigned int errors, warnings, notes;
};

static void report_deinit(struct report *report)
{
	buf_deinit(&report->out);
}
DEFINE_CLEANUP(report, report_deinit)

/* " (on arm64)" when it is not about all that are looked at. */
static void add_arches(struct buf *out, unsigned int arches, unsigned int looked_at)
{
	const char *before = " (on ";

	if (!arches || (arches == looked_at && (looked_at & (looked_at - 1))))
		return;
	for (unsigned int arch = 0; arch < ARCH_COUNT; arch++) {
		if (!(arches & 1U << arch))
			continue;
		buf_addf(out, "%s%s", before, arch_name(arch));
		before = ", ";
	}
	buf_adds(out, ")");
}

static void add_place(struct buf *out, const char *file, struct policy_pos at)
{
	buf_adds(out, file);
	if (at.line)
		buf_addf(out, ":%u:%u", at.line, at.column);
	buf_adds(out, ": ");
}

static bool is_alike(const struct finding *a, const struct finding *b)
{
	return a->subject && b->subject && a->kind == b->kind && a->is_note == b->is_note &&
	       a->arches == b->arches && !a->why == !b->why && str_eq(a->file, b->file) &&
	       str_eq(a->text, b->text) && (!a->why || str_eq(a->why, b->why)) &&
	       (a->is_note || (a->at.line == b->at.line && a->at.column == b->at.column));
}

/* "open (openat), stat (newfstatat), line 9: pipe (pipe2)" */
static void add_subjects(struct buf *out, const struct findings *findings, size_t first)
{
	const struct finding *finding = &findings->items[first];
	unsigned int line = finding->at.line;

	for (size_t i = first; i < findings->n; i++) {
		const struct finding *other = &findings->items[i];

		if (!is_alike(other, finding))
			continue;
		buf_adds(out, i == first ? ": " : ", ");
		if (other->at.line != line)
			buf_addf(out, "line %u: ", other->at.line);
		line = other->at.line;
		buf_adds(out, other->subject);
		if (other->instead)
			buf_addf(out, " (%s)", other->instead);
	}
}

/* The same said of many is one line, where the first of them is; true when there is one. */
static bool add_text(struct report *report, const struct findings *findings, size_t index,
		     unsigned int looked_at)
{
	const struct finding *finding = &findings->items[index];
	auto_cleanup(buf) line = {0};

	for (size_t i = 0; i < index; i++)
		if (is_alike(&findings->items[i], finding))
			return false;
	add_place(&line, finding->file, finding->at);
	buf_addf(&line, "%s: %s", finding->is_note ? "note" : "warning", finding->text);
	add_arches(&line, finding->arches, looked_at);
	if (finding->subject)
		add_subjects(&line, findings, index);
	if (finding->why)
		buf_addf(&line, ": %s", finding->why);
	buf_addf(&line, " [%s]", finding_kind_name(finding->kind));
	str_printable(&report->out, line.data, line.len, LINE_MAX_BYTES, false);
	buf_adds(&report->out, "\n");
	return true;
}

static void json_begin(struct report *report, const char *severity)
{
	if (report->errors + report->warnings + report->notes > 1)
		buf_adds(&report->out, ", ");
	buf_adds(&report->out, "{");
	json_add_text(&report->out, "severity", severity);
}

static void add_json(struct report *report, const struct finding *finding)
{
	struct buf *out = &report->out;
	const char *before = "";

	json_begin(report, finding->is_note ? "note" : "warning");
	json_add_text(out, "kind", finding_kind_name(finding->kind));
	json_add_text(out, "file", finding->file);
	if (finding->at.line) {
		json_add_u64(out, "line", finding->at.line);
		json_add_u64(out, "column", finding->at.column);
	}
	json_add_text(out, "call", finding->call);
	json_add_text(out, "subject", finding->subject);
	json_add_text(out, "instead", finding->instead);
	json_add_text(out, "text", finding->text);
	json_add_text(out, "why", finding->why);
	json_add_key(out, "arches");
	buf_adds(out, "[");
	for (unsigned int arch = 0; arch < ARCH_COUNT; arch++) {
		if (!(finding->arches & 1U << arch))
			continue;
		buf_addf(out, "%s\"%s\"", before, arch_name(arch));
		before = ", ";
	}
	buf_adds(out, "]}");
}

/* "name:line:column: text": the name may be that of a file that the policy extends. */
static void add_json_error(struct report *report, const char *file, const char *msg)
{
	struct buf *out = &report->out;
	auto_free char *named = NULL;
	struct policy_pos at;
	int len = 0;

	for (const char *s = strchr(msg, ':'); s && !len; s = strchr(s + 1, ':'))
		if (sscanf(s, ":%u:%u: %n", &at.line, &at.column, &len) == 2 && len)
			named = xstrndup(msg, (size_t)(s - msg));
	json_begin(report, "error");
	json_add_text(out, "file", named ? named : file);
	if (named) {
		json_add_u64(out, "line", at.line);
		json_add_u64(out, "column", at.column);
		msg += strlen(named) + (size_t)len;
	}
	json_add_text(out, "text", msg);
	buf_adds(out, "}");
}

static void add_error(struct report *report, const char *file, const struct err *err)
{
	report->errors++;
	if (report->args->is_json)
		return add_json_error(report, file, err->msg);
	str_printable(&report->out, err->msg, strlen(err->msg), sizeof(err->msg), false);
	buf_adds(&report->out, "\n");
}

/* What is left out is said. */
static void add_end(struct report *report, const char *file, const struct findings *findings)
{
	auto_cleanup(buf) line = {0};

	if (findings->n < FINDINGS_MAX || report->args->is_json)
		return;
	buf_addf(&line, "%s: note: there may be more: %d findings are shown", file, FINDINGS_MAX);
	str_printable(&report->out, line.data, line.len, LINE_MAX_BYTES, false);
	buf_adds(&report->out, "\n");
}

/* Whether there can be a filter at all; a file that only others extend may have no default. */
static int check_size(const struct policy *policy, unsigned int arches, struct err *err)
{
	const struct filter_options how = {.mode = FILTER_COUNT, .exec_cookie = 1};
	int r = 0;

	for (unsigned int arch = 0; arch < ARCH_COUNT && r == 0; arch++) {
		const struct filter_target target = {arch, FILTER_NEWEST_KERNEL, 0};
		auto_cleanup(filter_model) model = {0};
		auto_cleanup(filter) filter = {0};

		if (arches & 1U << arch && filter_model_make(policy, &target, &model, NULL) == 0)
			r = filter_compile(&model, &how, &filter, err);
	}
	return r;
}

static void check_file(struct report *report, const char *file, const struct lint_options *what)
{
	const unsigned int looked_at = what->arches ? what->arches : (1U << ARCH_COUNT) - 1;
	auto_cleanup(findings) findings = {0};
	auto_cleanup(policy) policy = {0};
	struct err err = {0};

	if (policy_load(file, &policy, &err) < 0 || check_size(&policy, looked_at, &err) < 0) {
		add_error(report, file, &err);
		return;
	}
	policy_lint(&policy, what, &findings);
	for (size_t i = 0; i < findings.n; i++) {
		const struct finding *finding = &findings.items[i];

		if (finding->is_note && report->args->is_quiet)
			continue;
		if (!report->args->is_json && !add_text(report, &findings, i, looked_at))
			continue;
		(*(finding->is_note ? &report->notes : &report->warnings))++;
		if (report->args->is_json)
			add_json(report, finding);
	}
	add_end(report, file, &findings);
}

static void add_count(struct buf *out, const char *before, unsigned int n, const char *what)
{
	buf_addf(out, "%s%u %s%s", before, n, what, n == 1 ? "" : "s");
}

static void add_summary(struct report *report, unsigned int files)
{
	struct buf *out = &report->out;

	if (report->args->is_json) {
		buf_adds(out, "]");
		json_add_u64(out, "files", files);
		json_add_u64(out, "errors", report->errors);
		json_add_u64(out, "warnings", report->warnings);
		json_add_u64(out, "notes", report->notes);
		buf_adds(out, "}\n");
		return;
	}
	add_count(out, "", files, files == 1 ? "policy" : "policie");
	add_count(out, ": ", report->errors, "error");
	add_count(out, ", ", report->warnings, "warning");
	if (!report->args->is_quiet)
		add_count(out, ", ", report->notes, "note");
	buf_adds(out, "\n");
}

int cmd_policy_check(int argc, char **argv)
{
	struct lint_options what = {0};
	struct filter_target target;
	struct args args = {0};
	auto_cleanup(report) report = {.args = &args};
	struct err err = {0};
	int operands = 0, code;

	code = cmd_policy_options(&usage, options, array_len(options), argc, argv, &args,
				  &operands);
	if (code >= 0)
		return code;
	if (cmd_policy_target(args.arch, args.kernel, NULL, &target, &err) < 0)
		return cmd_policy_misuse(&usage, &err);
	if (args.age && kver_parse(args.age, &what.age, &err) < 0) {
		err_wrap(&err, "--age");
		return cmd_policy_misuse(&usage, &err);
	}
	what.has_age = args.age;
	what.arches = args.arch ? 1U << target.arch : 0;
	what.has_kernel = args.kernel;
	what.kernel = target.kernel;
	if (args.is_json)
		buf_adds(&report.out, "{\"findings\": [");
	for (int i = operands; i < argc; i++)
		check_file(&report, argv[i], &what);
	add_summary(&report, (unsigned int)(argc - operands));
	code = report.errors			   ? EXIT_POLICY_BAD
	       : args.is_strict && report.warnings ? EXIT_POLICY_UNMET
						   : 0;
	return cmd_policy_print(&report.out, code);
}
