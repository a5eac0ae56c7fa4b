#include "jail/policy/policy-age.h"

static bool has_rule(const struct policy *policy, const struct syscall_def *call)
{
	for (size_t i = 0; i < policy->n; i++)
		if (policy->rules[i].call == call)
			return true;
	for (size_t i = 0; i < policy->n_bases; i++)
		if (has_rule(&policy->bases[i], call))
			return true;
	return false;
}

static bool says_known(const struct policy *policy)
{
	bool says = policy->has_known;

	for (size_t i = 0; !says && i < policy->n_bases; i++)
		says = says_known(&policy->bases[i]);
	return says;
}

static void check_file(const struct policy *file, const struct policy *all,
		       const struct kver *kernel, struct strv *out)
{
	auto_cleanup(buf) names = {0};
	size_t n = 0;

	for (size_t i = 0; file->has_known && i < syscall_count; i++) {
		const struct syscall_def *call = syscall_at(i);

		if (call->nr[ARCH_AMD64] < 0 && call->nr[ARCH_ARM64] < 0)
			continue;
		if (kver_compare(&call->since, &file->known) <= 0 ||
		    kver_compare(&call->since, kernel) > 0 || has_rule(all, call))
			continue;
		buf_addf(&names, "%s%s (%u.%u)", n++ ? ", " : "", call->name, call->since.part[0],
			 call->since.part[1]);
	}
	if (n)
		strv_addf(out, "%s: knows Linux %u.%u%s%s%s; %u.%u has %zu newer call%s: %s",
			  file->name, file->known.part[0], file->known.part[1],
			  file->date ? " (" : "", file->date ? file->date : "",
			  file->date ? ")" : "", kernel->part[0], kernel->part[1], n,
			  n == 1 ? "" : "s", names.data);
	for (size_t i = 0; i < file->n_bases; i++)
		check_file(&file->bases[i], all, kernel, out);
}

void policy_age_check(const struct policy *policy, const struct kver *kernel, struct strv *out)
{
	if (says_known(policy))
		check_file(policy, policy, kernel, out);
	else
		strv_addf(out,
			  "%s: does not say which kernel its author knew, so that no call counts "
			  "as newer: add 'known: %u.%u' once its calls are looked at",
			  policy->name, kernel->part[0], kernel->part[1]);
}
