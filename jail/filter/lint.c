#include "jail/filter/lint.h"

#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"

const char *finding_kind_name(enum finding_kind kind)
{
	static const char *const names[FINDING_KINDS] = {
		[FINDING_READER] = "reader",
		[FINDING_DEAD] = "dead",
		[FINDING_NO_EFFECT] = "no-effect",
		[FINDING_DANGER] = "danger",
		[FINDING_GAP] = "gap",
		[FINDING_AGE] = "age",
	};

	return names[kind];
}

void findings_deinit(struct findings *findings)
{
	for (size_t i = 0; i < findings->n; i++)
		free(findings->items[i].text);
	free(findings->items);
	*findings = (struct findings){0};
}

void findings_add(struct findings *findings, struct finding finding)
{
	for (size_t i = findings->n; i-- > 0;) {
		struct finding *other = &findings->items[i];

		if (other->kind == finding.kind && other->at.line == finding.at.line &&
		    other->at.column == finding.at.column && other->call == finding.call &&
		    other->subject == finding.subject && other->instead == finding.instead &&
		    str_eq(other->file, finding.file) && str_eq(other->text, finding.text)) {
			other->arches |= finding.arches;
			free(finding.text);
			return;
		}
	}
	if (findings->n == FINDINGS_MAX) {
		free(finding.text);
		return;
	}
	if (findings->n == findings->cap) {
		findings->cap = findings->cap ? 2 * findings->cap : 64;
		findings->items =
			xreallocarray(findings->items, findings->cap, sizeof(*findings->items));
	}
	findings->items[findings->n++] = finding;
}

/* "name:line:column: text" of the reader: the position goes where positions are. */
static void add_warning(const struct policy *policy, const char *warning, struct findings *ret)
{
	struct finding finding = {.kind = FINDING_READER, .file = policy->name};
	const char *text = warning;
	int len = 0;

	if (str_starts(warning, policy->name)) {
		text += strlen(policy->name);
		if (sscanf(text, ":%u:%u: %n", &finding.at.line, &finding.at.column, &len) < 2 ||
		    !len)
			len = str_starts(text, ": ") ? 2 : 0;
		text += len;
	}
	finding.text = xstrdup(text);
	findings_add(ret, finding);
}

static void add_warnings(const struct policy *policy, struct findings *ret)
{
	for (size_t i = 0; i < policy->warnings.n; i++)
		add_warning(policy, policy->warnings.items[i], ret);
	for (size_t i = 0; i < policy->n_bases; i++)
		add_warnings(&policy->bases[i], ret);
}

static int compare(const void *va, const void *vb)
{
	const struct finding *a = va, *b = vb;
	int r = strcmp(a->file, b->file);

	if (r)
		return r;
	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	if (a->at.column != b->at.column)
		return a->at.column < b->at.column ? -1 : 1;
	if (a->is_note != b->is_note)
		return a->is_note ? 1 : -1;
	r = strcmp(a->text, b->text);
	return r || !a->subject || !b->subject ? r : strcmp(a->subject, b->subject);
}

void policy_lint(const struct policy *policy, const struct lint_options *options,
		 struct findings *ret)
{
	const unsigned int arches = options->arches ? options->arches : (1U << ARCH_COUNT) - 1;
	const struct lint_options full = {arches, options->has_kernel, options->kernel};
	const struct policy_settings *s = &policy->settings;

	add_warnings(policy, ret);
	lint_rules(policy, &full, ret);
	for (unsigned int arch = 0; arch < ARCH_COUNT; arch++) {
		const struct filter_target target = {
			.arch = arch,
			.kernel = options->has_kernel ? options->kernel : FILTER_NEWEST_KERNEL,
			.caps = s->caps_are_all ? UINT64_MAX
				: s->has_caps	? s->caps
						: 0,
		};
		auto_cleanup(filter_model) model = {0};

		if (!(arches & 1U << arch) || filter_model_make(policy, &target, &model, NULL) < 0)
			continue;
		lint_dangers(&model, ret);
		lint_gaps(&model, ret);
	}
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), compare);
}
