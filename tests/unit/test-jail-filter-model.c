#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/audit.h>
#include <string.h>

#include "jail/filter/model.h"

#define CAP(n) (UINT64_C(1) << (n))

static struct policy_rule *add_rule(struct policy *policy, const char *call, enum policy_kind kind,
				    int error)
{
	struct policy_rule *rule = policy_add_rule(policy);

	rule->call = syscall_find(call);
	assert_non_null(rule->call);
	rule->action = (struct policy_action){kind, error};
	rule->at = (struct policy_pos){(unsigned int)policy->n, 9};
	return rule;
}

static void add_cond(struct policy_rule *rule, unsigned int arg, enum policy_op op, uint64_t value,
		     uint64_t mask)
{
	struct policy_cond *cond = policy_add_cond(rule);

	*cond = (struct policy_cond){
		.arg = (unsigned char)arg, .op = op, .value = {value, value}, .mask = {mask, mask}};
}

static void make(const struct policy *policy, const struct filter_target *target,
		 struct filter_model *model)
{
	struct err err = {0};

	if (filter_model_make(policy, target, model, &err) < 0)
		fail_msg("%s", err.msg);
}

static struct decision decide(const struct filter_model *model, const char *call, uint64_t arg0,
			      uint64_t arg1)
{
	enum arch arch = model->target.arch;
	const uint64_t args[6] = {arg0, arg1};

	return filter_decide(model, filter_audit_arch(arch), syscall_find(call)->nr[arch], args);
}

static void says(const struct filter_model *model, const char *call, uint64_t arg0,
		 const char *want)
{
	struct decision decision = decide(model, call, arg0, 0);
	auto_cleanup(buf) got = {0};

	policy_action_print(&decision.action, &got);
	buf_adds(&got, " by ");
	decision_print_place(&decision, &got);
	if (!str_eq(got.data, want))
		fail_msg("%s(%llu): %s, expected: %s", call, (unsigned long long)arg0, got.data,
			 want);
}

static void name(struct policy *policy, const char *text)
{
	policy->name = xstrdup(text);
}

/* --- the rule that wins ----------------------------------------------------------------------- */

static void add_bases(struct policy *policy, size_t n)
{
	policy->bases = xcalloc(n, sizeof(*policy->bases));
	policy->n_bases = n;
}

static void nearness_then_strictness(void **state)
{
	const struct filter_target target = {.arch = ARCH_AMD64};
	auto_cleanup(filter_model) model = {0};
	auto_cleanup(policy) own = {0};
	struct policy_rule *rule;

	(void)state;
	name(&own, "own");
	add_bases(&own, 2);
	name(&own.bases[0], "near");
	name(&own.bases[1], "far");
	own.bases[0].fallback = (struct policy_action){POLICY_KILL, 0};
	own.bases[0].fallback_at = (struct policy_pos){3, 10};
	own.bases[1].fallback = (struct policy_action){POLICY_ALLOW, 0};

	/* within a file the strictest, however they are written */
	add_rule(&own, "read", POLICY_ALLOW, 0);
	add_rule(&own, "read", POLICY_KILL, 0);
	add_rule(&own, "read", POLICY_ERRNO, EPERM);
	add_rule(&own, "write", POLICY_TRAP, 0);
	add_rule(&own, "write", POLICY_KILL_THREAD, 0);
	/* of two as strict the first */
	add_rule(&own, "close", POLICY_ERRNO, EIO);
	add_rule(&own, "close", POLICY_ERRNO, EPERM);
	/* a near file's before a far one's */
	add_rule(&own, "ptrace", POLICY_ALLOW, 0);
	add_rule(&own.bases[0], "ptrace", POLICY_KILL, 0);
	add_rule(&own.bases[0], "bpf", POLICY_LOG, 0);
	add_rule(&own.bases[1], "bpf", POLICY_KILL, 0);
	/* where the near one's arguments do not fit the far one decides */
	rule = add_rule(&own, "socket", POLICY_ALLOW, 0);
	add_cond(rule, 0, POLICY_EQ, 1, 0);
	rule->group = "@network-local";
	add_rule(&own.bases[1], "socket", POLICY_ERRNO, EAFNOSUPPORT);

	make(&own, &target, &model);
	says(&model, "read", 0, "kill by own:2:9: kill: read");
	says(&model, "write", 0, "kill-thread by own:5:9: kill-thread: write");
	says(&model, "close", 0, "errno EIO by own:6:9: deny: close");
	says(&model, "ptrace", 0, "allow by own:8:9: allow: ptrace");
	says(&model, "bpf", 0, "log by near:2:9: log: bpf");
	says(&model, "socket", 1, "allow by own:9:9: allow: socket (@network-local)");
	says(&model, "socket", 2, "errno EAFNOSUPPORT by far:2:9: deny: socket");
	says(&model, "getpid", 0, "kill by near:3:10: default");
	/* nothing is kept that can never be reached */
	assert_int_equal(model.calls[syscall_find("read")->nr[ARCH_AMD64]].n, 1);
	assert_int_equal(model.calls[syscall_find("socket")->nr[ARCH_AMD64]].n, 2);
}

static void bases_of_bases_come_before_the_next_base(void **state)
{
	const struct filter_target target = {.arch = ARCH_AMD64};
	auto_cleanup(filter_model) model = {0};
	auto_cleanup(policy) own = {0};

	(void)state;
	name(&own, "own");
	add_bases(&own, 2);
	name(&own.bases[0], "first");
	name(&own.bases[1], "second");
	add_bases(&own.bases[0], 1);
	name(&own.bases[0].bases[0], "below");
	own.bases[0].bases[0].fallback = (struct policy_action){POLICY_ERRNO, EPERM};
	own.bases[1].fallback = (struct policy_action){POLICY_ALLOW, 0};
	add_rule(&own.bases[0].bases[0], "read", POLICY_ALLOW, 0);
	add_rule(&own.bases[1], "read", POLICY_KILL, 0);
	make(&own, &target, &model);
	says(&model, "read", 0, "allow by below:1:9: allow: read");
	says(&model, "write", 0, "errno EPERM by below: default");
}

static void nothing_is_said(void **state)
{
	const struct filter_target target = {.arch = ARCH_AMD64};
	auto_cleanup(filter_model) model = {0};
	auto_cleanup(policy) policy = {0};
	struct err err = {0};

	(void)state;
	name(&policy, "p.yml");
	assert_int_equal(filter_model_make(&policy, &target, &model, &err), -EINVAL);
	assert_string_equal(err.msg,
			    "p.yml: nothing says what happens to a call that no rule names: add "
			    "'default: EPERM' (or allow, log, kill)");
}

/* --- where a rule counts ---------------------------------------------------------------------- */

static void when_a_rule_counts(void **state)
{
	static const struct {
		struct policy_when when;
		struct filter_target target;
		bool counts;
	} table[] = {
		{{0}, {.arch = ARCH_ARM64}, true},
		{{.never = true}, {.arch = ARCH_ARM64}, false},
		{{.arches = 1U << ARCH_AMD64}, {.arch = ARCH_AMD64}, true},
		{{.arches = 1U << ARCH_AMD64}, {.arch = ARCH_ARM64}, false},
		{{.arches = 3}, {.arch = ARCH_ARM64}, true},
		{{.caps = CAP(21)}, {.caps = CAP(21) | CAP(1)}, true},
		{{.caps = CAP(21) | CAP(1)}, {.caps = CAP(21)}, false},
		{{.no_caps = CAP(21)}, {.caps = CAP(1)}, true},
		{{.no_caps = CAP(21) | CAP(1)}, {.caps = CAP(1)}, false},
		{{.kernel = {1, {{KVER_GE, 2, {{6, 2, 0}}}}}}, {.kernel = {{6, 2, 1}}}, true},
		{{.kernel = {1, {{KVER_GE, 2, {{6, 2, 0}}}}}}, {.kernel = {{6, 1, 9}}}, false},
		/* a kernel that is not known: neither before nor after */
		{{.kernel = {1, {{KVER_GE, 2, {{6, 2, 0}}}}}}, {0}, false},
		{{.kernel = {1, {{KVER_LT, 2, {{6, 2, 0}}}}}}, {0}, false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_cleanup(filter_model) model = {0};
		auto_cleanup(policy) policy = {.fallback = {POLICY_KILL, 0}};
		enum policy_kind got;

		name(&policy, "p");
		add_rule(&policy, "read", POLICY_ALLOW, 0)->when = table[i].when;
		make(&policy, &table[i].target, &model);
		got = decide(&model, "read", 0, 0).action.kind;
		if (got != (table[i].counts ? POLICY_ALLOW : POLICY_KILL))
			fail_msg("row %zu: %s", i, table[i].counts ? "counts not" : "counts");
	}
}

/* What arm64 lacks: allowed by what stands for it, never refused by it. */
static void equivalents(void **state)
{
	const struct filter_target amd64 = {.arch = ARCH_AMD64}, arm64 = {.arch = ARCH_ARM64};
	const uint64_t new_namespace = 0x10000000, thread = 0x10000;
	auto_cleanup(filter_model) here = {0}, there = {0};
	auto_cleanup(policy) policy = {.fallback = {POLICY_ERRNO, EPERM}};

	(void)state;
	name(&policy, "p");
	add_rule(&policy, "open", POLICY_ALLOW, 0);
	add_rule(&policy, "fork", POLICY_ALLOW, 0);
	add_rule(&policy, "unlink", POLICY_KILL, 0);
	add_cond(add_rule(&policy, "mkdir", POLICY_ALLOW, 0), 1, POLICY_EQ, 0755, 0);
	make(&policy, &amd64, &here);
	make(&policy, &arm64, &there);
	says(&here, "open", 0, "allow by p:1:9: allow: open");
	says(&here, "openat", 0, "errno EPERM by p: default");
	says(&here, "unlink", 0, "kill by p:3:9: kill: unlink");
	says(&there, "openat", 0, "allow by p:1:9: allow: open");
	says(&there, "unlinkat", 0, "errno EPERM by p: default");
	says(&there, "mkdirat", 0, "errno EPERM by p: default");
	/* fork is a clone without new namespaces */
	says(&there, "clone", 17, "allow by p:2:9: allow: fork");
	says(&there, "clone", new_namespace | 17, "errno EPERM by p: default");
	says(&here, "clone", thread, "errno EPERM by p: default");
}

static void calls_newer_than_the_policy(void **state)
{
	static const struct {
		struct kver known;
		struct policy_action fallback, unknown;
		const char *call;
		enum policy_kind kind;
		int error;
		enum decision_why why;
	} table[] = {
		/* mseal came with 6.10 */
		{{{6, 9, 0}}, {POLICY_KILL, 0}, {0}, "mseal", POLICY_ERRNO, ENOSYS, BY_UNKNOWN},
		{{{6, 10, 0}}, {POLICY_KILL, 0}, {0}, "mseal", POLICY_KILL, 0, BY_DEFAULT},
		{{{6, 9, 0}}, {POLICY_ALLOW, 0}, {0}, "mseal", POLICY_ALLOW, 0, BY_UNKNOWN},
		{{{6, 9, 0}},
		 {POLICY_ALLOW, 0},
		 {POLICY_TRAP, 0},
		 "mseal",
		 POLICY_TRAP,
		 0,
		 BY_UNKNOWN},
		{{{6, 9, 0}}, {POLICY_KILL, 0}, {0}, "ptrace", POLICY_KILL, 0, BY_DEFAULT},
		{{{6, 9, 0}}, {POLICY_KILL, 0}, {0}, "cachestat", POLICY_ALLOW, 0, BY_RULE},
	};
	static const uint64_t args[6];

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		const struct filter_target target = {.arch = ARCH_ARM64};
		auto_cleanup(filter_model) model = {0};
		auto_cleanup(policy) policy = {.has_known = true,
					       .known = table[i].known,
					       .fallback = table[i].fallback,
					       .unknown = table[i].unknown};
		struct decision got;

		name(&policy, "p");
		add_rule(&policy, "cachestat", POLICY_ALLOW, 0);
		make(&policy, &target, &model);
		got = decide(&model, table[i].call, 0, 0);
		assert_int_equal(got.action.kind, table[i].kind);
		assert_int_equal(got.action.error, table[i].error);
		assert_int_equal(got.why, table[i].why);
		/* numbers without a name, and beyond all */
		got = filter_decide(&model, AUDIT_ARCH_AARCH64, 300, args);
		assert_int_equal(got.why, BY_UNKNOWN);
		got = filter_decide(&model, AUDIT_ARCH_AARCH64, FILTER_CALLS_MAX, args);
		assert_int_equal(got.why, BY_UNKNOWN);
		got = filter_decide(&model, AUDIT_ARCH_AARCH64, -1, args);
		assert_int_equal(got.why, BY_UNKNOWN);
	}
}

static void other_abis(void **state)
{
	static const struct {
		enum arch arch;
		uint32_t audit_arch;
		int nr;
		bool is_other;
	} table[] = {
		{ARCH_AMD64, AUDIT_ARCH_X86_64, 0, false},
		{ARCH_AMD64, AUDIT_ARCH_X86_64, 0x40000000, true}, /* x32 */
		{ARCH_AMD64, AUDIT_ARCH_X86_64, -1, true},
		{ARCH_AMD64, AUDIT_ARCH_I386, 0, true},
		{ARCH_AMD64, AUDIT_ARCH_AARCH64, 0, true},
		{ARCH_ARM64, AUDIT_ARCH_AARCH64, 63, false},
		{ARCH_ARM64, AUDIT_ARCH_AARCH64, 0x40000000, false},
		{ARCH_ARM64, AUDIT_ARCH_ARM, 3, true},
		{ARCH_ARM64, AUDIT_ARCH_X86_64, 0, true},
	};
	static const uint64_t args[6];

	(void)state;
	for (size_t i = 0; i < array_len(table); i++)
		for (int allows = 0; allows < 2; allows++) {
			const struct filter_target target = {.arch = table[i].arch};
			auto_cleanup(filter_model) model = {0};
			auto_cleanup(policy)
				policy = {.fallback = {allows ? POLICY_ALLOW : POLICY_KILL, 0}};
			struct decision got;

			name(&policy, "p");
			add_rule(&policy, "read", POLICY_ALLOW, 0);
			make(&policy, &target, &model);
			got = filter_decide(&model, table[i].audit_arch, table[i].nr, args);
			assert_int_equal(got.why == BY_OTHER_ABI, table[i].is_other);
			if (table[i].is_other)
				assert_int_equal(got.action.kind,
						 allows ? POLICY_ERRNO : POLICY_KILL);
		}
}

/* --- comparisons ------------------------------------------------------------------------------ */

static void conditions(void **state)
{
	static const struct {
		enum policy_op op;
		bool is_32bit;
		uint64_t value, mask, arg;
		bool holds;
	} table[] = {
		{POLICY_EQ, false, 5, 0, 5, true},
		{POLICY_EQ, false, 5, 0, UINT64_C(0x100000005), false},
		{POLICY_EQ, true, 5, 0, UINT64_C(0x100000005), true},
		{POLICY_EQ, true, UINT64_MAX - 99, 0, 0xffffff9c, true}, /* AT_FDCWD */
		{POLICY_NE, false, 5, 0, UINT64_C(0x100000005), true},
		{POLICY_NE, true, 0x5412, 0, UINT64_C(0x100005412), false}, /* TIOCSTI */
		{POLICY_LT, false, 5, 0, 4, true},
		{POLICY_LT, false, 5, 0, 5, false},
		{POLICY_LT, false, 0, 0, 0, false},
		{POLICY_LE, false, 5, 0, 5, true},
		{POLICY_LE, true, 5, 0, UINT64_C(0x500000006), false},
		{POLICY_GT, false, 5, 0, UINT64_MAX, true}, /* unsigned */
		{POLICY_GT, false, UINT64_MAX, 0, UINT64_MAX, false},
		{POLICY_GE, false, 5, 0, 5, true},
		{POLICY_GE, true, 5, 0, UINT64_C(0x900000004), false},
		{POLICY_MASKED_EQ, false, 0, 0x10000000, 0x0fffffff, true},
		{POLICY_MASKED_EQ, false, 0, 0x10000000, 0x1fffffff, false},
		{POLICY_MASKED_EQ, false, 1, 2, 3, false},
		{POLICY_MASKED_EQ, false, UINT64_C(1) << 40, UINT64_C(3) << 40, UINT64_C(5) << 40,
		 true},
		{POLICY_MASKED_EQ, true, 1, UINT64_C(0xf00000003), UINT64_C(0xf00000001), true},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		const struct policy_cond cond = {.arg = 3,
						 .op = table[i].op,
						 .is_32bit = table[i].is_32bit,
						 .value = {0, table[i].value},
						 .mask = {0, table[i].mask}};
		const uint64_t args[6] = {99, 99, 99, table[i].arg, 99, 99};

		if (filter_cond_holds(&cond, ARCH_ARM64, args) != table[i].holds)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearness_then_strictness),
		cmocka_unit_test(bases_of_bases_come_before_the_next_base),
		cmocka_unit_test(nothing_is_said),
		cmocka_unit_test(when_a_rule_counts),
		cmocka_unit_test(equivalents),
		cmocka_unit_test(calls_newer_than_the_policy),
		cmocka_unit_test(other_abis),
		cmocka_unit_test(conditions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
