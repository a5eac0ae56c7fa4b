#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/filter/simulate.h"
#include "jail/inspect/cond-solve.h"
#include "jail/inspect/policy-test.h"

/* Whether a notified call is allowed or refused the one filter does not tell, the other does. */
static const struct filter_options modes[] = {{.mode = FILTER_PLAIN}, {.mode = FILTER_COUNT}};

/* The filters for one machine; rows for the same one follow each other. */
struct machine {
	bool is_ready;
	struct filter_model model;
	struct filter filters[array_len(modes)];
};

static void machine_deinit(struct machine *machine)
{
	for (size_t i = 0; i < array_len(modes); i++)
		filter_deinit(&machine->filters[i]);
	filter_model_deinit(&machine->model);
	machine->is_ready = false;
}
DEFINE_CLEANUP(machine, machine_deinit)

static int machine_make(struct machine *machine, const struct policy *policy,
			const struct policy_test *test, struct err *err)
{
	const struct filter_target target = {test->arch, test->kernel, test->caps};
	int r;

	if (machine->is_ready && machine->model.target.arch == target.arch &&
	    machine->model.target.caps == target.caps &&
	    kver_compare(&machine->model.target.kernel, &target.kernel) == 0)
		return 0;
	machine_deinit(machine);
	r = filter_model_make(policy, &target, &machine->model, err);
	for (size_t i = 0; i < array_len(modes) && r >= 0; i++) {
		r = filter_compile(&machine->model, &modes[i], &machine->filters[i], err);
		if (r >= 0)
			r = filter_check(&machine->filters[i], err);
	}
	machine->is_ready = r >= 0;
	return r < 0 ? r : 0;
}

static bool value_refuses(uint32_t value)
{
	switch (value & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
		return false;
	}
	return true;
}

/* What the filters say is what the row wants. */
static bool is_met(const struct machine *machine, const struct policy_test *test,
		   const struct seccomp_data *data)
{
	for (size_t i = 0; i < array_len(modes); i++) {
		uint32_t got = filter_simulate(&machine->filters[i], data, NULL);

		if (test->is_refused) {
			if (modes[i].mode == FILTER_PLAIN && !value_refuses(got))
				return false;
		} else if (got != filter_value(&modes[i], test->arch, test->nr, &test->want)) {
			return false;
		}
	}
	return true;
}

static void say_what_happened(const struct machine *machine, const struct policy_test *test,
			      const struct seccomp_data *data, const uint64_t args[6],
			      struct buf *out)
{
	struct decision decision = filter_decide(&machine->model, test->audit, test->nr, args);
	struct policy_test said = *test;

	said.want = decision.action;
	said.is_refused = false;
	buf_adds(out, "#   it is ");
	policy_action_print(&decision.action, out);
	buf_adds(out, ", by ");
	decision_print_place(&decision, out);
	for (unsigned int i = 0, n = 0; i < 6; i++)
		if (!(test->given & 1U << i) && args[i])
			buf_addf(out, "%s%u = 0x%llx", n++ ? ", " : "\n#   with argument ", i + 1,
				 (unsigned long long)args[i]);
	if (!is_met(machine, &said, data))
		buf_adds(out, "\n#   and the filter does not do what the policy says: a bug");
	buf_adds(out, "\n");
}

/* The row with these values where it gives none. */
static bool run_with(const struct machine *machine, const struct policy_test *test,
		     const uint64_t fill[6], struct buf *why)
{
	struct seccomp_data data = {.nr = test->nr, .arch = test->audit};
	uint64_t args[6];

	for (unsigned int i = 0; i < 6; i++)
		args[i] = data.args[i] = test->given & 1U << i ? test->args[i] : fill[i];
	if (is_met(machine, test, &data))
		return true;
	say_what_happened(machine, test, &data, args, why);
	return false;
}

/*
 * What the row does not give may be anything: zeros, ones, and what each rule of the call looks for
 * stand for it.
 */
static bool run_row(const struct machine *machine, const struct policy_test *test, struct buf *why)
{
	static const uint64_t zeros[6] = {0};
	const bool has_rules = test->nr < FILTER_CALLS_MAX;
	uint64_t fill[6];

	memset(fill, 0xff, sizeof(fill));
	if (!run_with(machine, test, zeros, why) || !run_with(machine, test, fill, why))
		return false;
	for (size_t i = 0; has_rules && i < machine->model.calls[test->nr].n; i++) {
		const struct filter_rule *rule = &machine->model.calls[test->nr].rules[i];

		if (conds_can_hold(rule->conds, rule->n_conds, test->arch, fill, NULL) &&
		    !run_with(machine, test, fill, why))
			return false;
	}
	return true;
}

int policy_tests_run(const struct policy_tests *tests, const struct policy *policy,
		     unsigned int *number, struct buf *out, struct err *err)
{
	auto_cleanup(machine) machine = {0};
	int failed = 0;

	for (size_t i = 0; i < tests->n; i++) {
		const struct policy_test *test = &tests->items[i];
		auto_cleanup(buf) why = {0};
		bool is_ok = true;
		int r = machine_make(&machine, policy, test, err);

		if (r < 0)
			return r;
		if (test->nr >= 0)
			is_ok = run_row(&machine, test, &why);
		failed += !is_ok;
		buf_addf(out, "%s %u - %s:%u: %s", is_ok ? "ok" : "not ok", ++*number, tests->name,
			 test->line, test->text);
		if (str_starts(test->text, "any "))
			buf_addf(out, " (%s)", arch_name(test->arch));
		if (test->nr < 0)
			buf_addf(out, " # SKIP %s has no %s", arch_name(test->arch), test->call);
		buf_adds(out, "\n");
		if (why.len)
			buf_add(out, why.data, why.len);
	}
	return failed;
}
