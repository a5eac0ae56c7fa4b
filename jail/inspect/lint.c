#include "jail/inspect/lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/policy/policy-age.h"

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

/* The file, of the policy and those it extends, whose name starts the line. */
static const struct policy *named_in(const struct policy *policy, const char *line)
{
	const struct policy *found =
		str_starts(line, policy->name) && line[strlen(policy->name)] == ':' ? policy : NULL;

	for (size_t i = 0; i < policy->n_bases && !found; i++)
		found = named_in(&policy->bases[i], line);
	return found;
}

/* "name:line:column: text" or "name: text": the position goes where positions are. */
static void add_line(const struct policy *policy, enum finding_kind kind, const char *line,
		     struct findings *ret)
{
	const struct policy *named = named_in(policy, line);
	struct finding finding = {.kind = kind, .file = named ? named->name : policy->name};
	struct policy_pos at;
	int len = 0;

	if (named) {
		line += strlen(named->name) + 1;
		if (sscanf(line, "%u:%u: %n", &at.line, &at.column, &len) == 2 && len)
			finding.at = at;
		else
			len = *line == ' ';
	}
	finding.text = xstrdup(line + len);
	findings_add(ret, finding);
}

static void add_warnings(const struct policy *policy, struct findings *ret)
{
	for (size_t i = 0; i < policy->warnings.n; i++)
		add_line(policy, FINDING_READER, policy->warnings.items[i], ret);
	for (size_t i = 0; i < policy->n_bases; i++)
		add_warnings(&policy->bases[i], ret);
}

static void add_age(const struct policy *policy, const struct kver *kernel, struct findings *ret)
{
	auto_cleanup(strv) lines = {0};

	policy_age_check(policy, kernel, &lines);
	for (size_t i = 0; i < lines.n; i++)
		add_line(policy, FINDING_AGE, lines.items[i], ret);
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
	struct lint_options full = *options;
	const struct policy_settings *s = &policy->settings;

	full.arches = arches;
	add_warnings(policy, ret);
	if (options->has_age)
		add_age(policy, &options->age, ret);
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
