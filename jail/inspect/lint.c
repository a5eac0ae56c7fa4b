#include "jail/inspect/lint.h"

#include <stdio.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/inspect/lint-parts.h"
#include "jail/policy/policy-age.h"

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

void policy_lint(const struct policy *policy, const struct lint_options *options,
		 struct findings *ret)
{
	const unsigned int arches = options->arches ? options->arches : (1U << ARCH_COUNT) - 1;

	add_warnings(policy, ret);
	if (options->has_age)
		add_age(policy, &options->age, ret);
	lint_rules(policy, arches, options->has_kernel ? &options->kernel : NULL, ret);
	for (unsigned int arch = 0; arch < ARCH_COUNT; arch++) {
		const struct filter_target target = {
			.arch = arch,
			.kernel = options->has_kernel ? options->kernel : FILTER_NEWEST_KERNEL,
			.caps = policy_caps(policy),
		};
		auto_cleanup(filter_model) model = {0};

		if (!(arches & 1U << arch) || filter_model_make(policy, &target, &model, NULL) < 0)
			continue;
		lint_dangers(&model, ret);
		lint_gaps(&model, ret);
	}
	findings_sort(ret);
}
