/* Comparisons solved, against trying every value; and findings by kind, place and text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "jail/base/yaml.h"
#include "jail/filter/model.h"
#include "jail/inspect/cond-solve.h"
#include "jail/inspect/lint.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-oci.h"

/* --- comparisons ------------------------------------------------------------------------------ */

enum { VALUES = 16, TRIED = 2 * VALUES, CASES = 20000, CONDS = 4 };

static uint32_t seed = 20261121;

static unsigned int draw(unsigned int below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 16) % below;
}

static void draw_conds(struct policy_cond *conds, size_t n, bool is_32bit)
{
	for (size_t i = 0; i < n; i++) {
		conds[i] = (struct policy_cond){.arg = (unsigned char)draw(2),
						.op = draw(POLICY_MASKED_EQ + 1),
						.is_32bit = is_32bit};
		conds[i].value[ARCH_AMD64] = draw(VALUES);
		conds[i].mask[ARCH_AMD64] = draw(VALUES);
	}
}

static bool all_hold(const struct policy_cond *conds, size_t n, const uint64_t args[6])
{
	for (size_t i = 0; i < n; i++)
		if (!filter_cond_holds(&conds[i], ARCH_AMD64, args))
			return false;
	return true;
}

/*
 * Values and masks below 16 tell numbers from 16 on apart only by their low four bits, so that
 * trying 0..31 is trying all.
 */
static bool tried(const struct policy_cond *a, size_t n_a, const struct policy_cond *b, size_t n_b)
{
	uint64_t args[6] = {0};

	for (args[0] = 0; args[0] < TRIED; args[0]++)
		for (args[1] = 0; args[1] < TRIED; args[1]++)
			if (all_hold(a, n_a, args) && (!b || !all_hold(b, n_b, args)))
				return true;
	return false;
}

static void test_conds_can_hold(void **state)
{
	unsigned int possible = 0;

	(void)state;
	for (unsigned int i = 0; i < CASES; i++) {
		struct policy_cond conds[CONDS];
		size_t n = draw(CONDS + 1);
		uint64_t args[6] = {0};
		bool can;

		draw_conds(conds, n, i % 2);
		can = conds_can_hold(conds, n, ARCH_AMD64, args, NULL);
		assert_int_equal(can, tried(conds, n, NULL, 0));
		if (can)
			assert_true(all_hold(conds, n, args));
		possible += can;
	}
	assert_in_range(possible, CASES / 10, CASES * 9 / 10);
}

static void test_conds_imply(void **state)
{
	unsigned int implied = 0;

	(void)state;
	for (unsigned int i = 0; i < CASES; i++) {
		struct policy_cond a[CONDS], b[CONDS];
		size_t n_a = draw(CONDS), n_b = 1 + draw(CONDS - 1);

		draw_conds(a, n_a, i % 2);
		draw_conds(b, n_b, i % 2);
		/* what a asks of an argument that b does not name may be impossible: then a says
		 * nothing, and the answer may be either */
		if (!conds_can_hold(a, n_a, ARCH_AMD64, NULL, NULL))
			continue;
		assert_int_equal(conds_imply(a, n_a, b, n_b, ARCH_AMD64), !tried(a, n_a, b, n_b));
		implied += conds_imply(a, n_a, b, n_b, ARCH_AMD64);
	}
	assert_in_range(implied, CASES / 100, CASES / 2);
}

/* At the ends of 64 bits, and where the widths are mixed. */
static void test_conds_wide(void **state)
{
	static const struct {
		struct policy_cond conds[2];
		size_t n;
		bool can;
	} cases[] = {
		{{{.op = POLICY_GT, .value = {UINT64_MAX}}}, 1, false},
		{{{.op = POLICY_LT, .value = {0}}}, 1, false},
		{{{.op = POLICY_GE, .value = {UINT64_MAX}}}, 1, true},
		{{{.op = POLICY_GE, .value = {UINT64_MAX}},
		  {.op = POLICY_NE, .value = {UINT64_MAX}}},
		 2,
		 false},
		{{{.op = POLICY_MASKED_EQ, .value = {4}, .mask = {3}}}, 1, false},
		{{{.op = POLICY_GT, .value = {UINT32_MAX}, .is_32bit = true}}, 1, false},
		{{{.op = POLICY_GE, .value = {UINT64_C(1) << 63}},
		  {.op = POLICY_MASKED_EQ, .value = {0}, .mask = {UINT64_C(1) << 63}}},
		 2,
		 false},
		/* in both widths: it cannot tell, and says yes */
		{{{.op = POLICY_EQ, .value = {1}, .is_32bit = true},
		  {.op = POLICY_EQ, .value = {2}}},
		 2,
		 true},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		assert_int_equal(conds_can_hold(cases[i].conds, cases[i].n, ARCH_AMD64, NULL, NULL),
				 cases[i].can);
}

/* --- findings --------------------------------------------------------------------------------- */

static void lint_text(const char *text, const struct lint_options *options, struct policy *policy,
		      struct findings *findings)
{
	struct err err = {0};

	if (policy_load_text("p", text, strlen(text), policy, &err) < 0)
		fail_msg("%s", err.msg);
	policy_lint(policy, options, findings);
}

static void assert_found(const struct findings *findings, const char *want)
{
	auto_cleanup(buf) lines = {0};

	for (size_t i = 0; i < findings->n; i++) {
		const struct finding *f = &findings->items[i];
		size_t start = lines.len;

		buf_addf(&lines, "%u:%u %s %s: %s%s%s\n", f->at.line, f->at.column,
			 f->is_note ? "note" : "warning", finding_kind_name(f->kind),
			 f->subject ? f->subject : "", f->subject ? " " : "", f->text);
		if (str_starts(lines.data + start, want))
			return;
	}
	fail_msg("%s: not among\n%s", want, lines.data ? lines.data : "(none)");
}

#define HEAD "version: 1\ndefault: EPERM\n"
static const struct {
	const char *text, *want;
} cases[] = {
	{HEAD "allow: [ptrace]\n", "3:9 warning danger: ptrace of another process allowed"},
	{HEAD "allow: [ptrace, process_vm_writev]\n",
	 "3:17 warning danger: ptrace and process_vm_writev are both allowed"},
	{HEAD "allow: [mount]\n", "3:9 note danger: mount allowed, and only the missing cap"},
	{HEAD "allow: [mount, unshare]\n", "3:9 warning danger: mount allowed"},
	{HEAD "allow: [ioctl]\n", "3:9 warning danger: ioctl(TIOCSTI) allowed"},
	{HEAD "allow: [clone3]\n", "3:9 warning danger: clone3 allowed"},
	{"version: 1\ndefault: allow\n",
	 "2:10 warning danger: calls that nobody knows yet are allowed"},
	{"version: 1\ndefault: allow\n", "2:10 warning danger: bpf allowed by default"},
	{"version: 1\ndefault: allow\nkill: [open]\n",
	 "3:8 warning gap: open is refused, but not openat (allowed by default)"},
	/* a user namespace's capabilities do not stop the machine */
	{HEAD "allow: [reboot, unshare]\n", "3:9 note danger: reboot allowed, and only the miss"},
	{HEAD "allow: [arch_prctl]\n",
	 "3:9 note no-effect: arch_prctl no such call, and none stands for it"},
	{HEAD "allow: [open]\n", "3:9 note no-effect: open no such call; another stands for it"},
	{HEAD "allow: [read, write, read]\n",
	 "3:22 warning dead: read: the rule at 3:9 says so already"},
	{HEAD "kill: [read]\nallow: [read]\n",
	 "4:9 warning dead: read never matches: 'kill' at 3:8 wins, being stricter"},
	{HEAD "deny: [ptrace]\n", "3:8 note dead: ptrace: 'default' says so already"},
	{HEAD "allow: [socket, {socket: {domain: AF_UNIX}}]\n",
	 "3:18 warning dead: socket: the rule at 3:9 says so already"},
	{HEAD "allow: [{socket: {domain: {masked_eq: [1, 2]}}}]\n",
	 "3:10 warning dead: socket never matches: domain & 0x1"},
	{HEAD "allow: [{read: {count: {lt: 10, gt: 20}}}]\n",
	 "3:10 warning dead: read never matches: its conditions on count contradict"},
	{HEAD "allow: [{read: {count: {ge: 0}}}]\n",
	 "3:10 note dead: read: count is always ge 0x0"},
	{HEAD "when: [{kernel: '>=6.1 <5.10', allow: [read]}]\n",
	 "3:40 warning dead: read never matches: no kernel is >=6.1 <5.10"},
	{HEAD "notify: [openat]\n", "3:10 note danger: openat: what is shown of its arguments"},
};

static void test_findings(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		auto_cleanup(findings) findings = {0};
		auto_cleanup(policy) policy = {0};
		const struct lint_options options = {0};

		lint_text(cases[i].text, &options, &policy, &findings);
		assert_found(&findings, cases[i].want);
	}
}

/* What is well written is left alone. */
static void test_clean(void **state)
{
	static const char *const clean[] = {
		HEAD "allow: [read, write, exit_group]\n",
		HEAD "allow: [{socket: {domain: [AF_UNIX, AF_INET]}}]\ndeny: [{socket: {domain: "
		     "AF_VSOCK, errno: EAFNOSUPPORT}}]\n",
		HEAD
		"allow: [{ioctl: {cmd: {ne: TIOCSTI}}}]\ndeny: [{ioctl: {cmd: TIOCLINUX, errno: "
		"ENOTTY}}]\n",
		HEAD "allow: ['@file-read', '@file-metadata']\n",
		HEAD "allow: [clone]\ndeny: [{clone: {flags: {masked_eq: [CLONE_NEWUSER, "
		     "CLONE_NEWUSER]}}}, {clone3: ENOSYS}]\n",
	};

	(void)state;
	for (size_t i = 0; i < array_len(clean); i++) {
		auto_cleanup(findings) findings = {0};
		auto_cleanup(policy) policy = {0};
		const struct lint_options options = {0};

		lint_text(clean[i], &options, &policy, &findings);
		for (size_t j = 0; j < findings.n; j++)
			if (!findings.items[j].is_note)
				fail_msg("%s: %s", clean[i], findings.items[j].text);
	}
}

/* What a policy for one kernel and architecture is told. */
static void test_one_machine(void **state)
{
	const struct lint_options options = {
		.arches = 1U << ARCH_AMD64, .has_kernel = true, .kernel = {{5, 10, 0}}};
	auto_cleanup(findings) findings = {0};
	auto_cleanup(policy) policy = {0};

	(void)state;
	lint_text(HEAD "allow: [open, cachestat]\nwhen: [{kernel: '>=6.1', allow: [read]}]\n",
		  &options, &policy, &findings);
	assert_found(&findings, "3:15 note no-effect: cachestat only since kernel 6.5");
	assert_found(&findings, "4:34 note no-effect: read only on kernels >=6.1");
	assert_int_equal(findings.n, 2);
}

/* A container profile keeps 64-bit comparisons: one high bit gets round them. */
static void test_truncation(void **state)
{
	static const char text[] =
		"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{\"names\": [\"ioctl\"],\n"
		"\"action\": \"SCMP_ACT_ALLOW\", \"args\": [{\"index\": 1, \"value\": 21522,\n"
		"\"op\": \"SCMP_CMP_NE\"}]}]}";
	const struct lint_options options = {0};
	auto_cleanup(findings) findings = {0};
	auto_cleanup(policy) policy = {0};
	auto_cleanup(yaml) y = {0};

	(void)state;
	assert_int_equal(yaml_parse("p", text, strlen(text), &y, NULL), 0);
	assert_int_equal(policy_from_oci(&y, &policy, NULL), 0);
	policy_lint(&policy, &options, &findings);
	assert_found(&findings, "1:61 warning danger: ioctl: 0x100005412 passes for 0x5412");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conds_can_hold), cmocka_unit_test(test_conds_imply),
		cmocka_unit_test(test_conds_wide),     cmocka_unit_test(test_findings),
		cmocka_unit_test(test_clean),	       cmocka_unit_test(test_one_machine),
		cmocka_unit_test(test_truncation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
