#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "jail/policy/policy-oci.h"

static int read_text(const char *text, struct policy *ret, struct err *err)
{
	auto_cleanup(yaml) y = {0};
	int r = yaml_parse("p.json", text, strlen(text), &y, err);

	return r < 0 ? r : policy_from_oci(&y, ret, err);
}

#define ERRNO "\"defaultAction\":\"SCMP_ACT_ERRNO\""
#define CALLS(entries) "{" ERRNO ",\"syscalls\":[" entries "]}"
#define ALLOW(more) CALLS("{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"," more "}")
#define ARG(arg) ALLOW("\"args\":[" arg "]")

static void bad(void **state)
{
	static const struct {
		const char *text, *want;
	} table[] = {
		{"[]", "p.json:1:1: a map expected: there is no seccomp profile in it"},
		{"{\"ociVersion\":\"1.0\"}", "p.json:1:1: 'defaultAction' is missing"},
		{"{\"ociVersion\":\"1.0\",\"linux\":{}}",
		 "p.json:1:1: linux.seccomp: there is no seccomp profile in it"},
		{"{\"linux\":{\"seccomp\":[]}}",
		 "p.json:1:21: a map expected: there is no seccomp profile in it"},
		{"{\"defaultAction\":null}", "p.json:1:1: 'defaultAction' is missing"},
		{"{\"defaultAction\":\"SCMP_ACT_ALOW\"}",
		 "p.json:1:18: unknown action 'SCMP_ACT_ALOW' (did you mean 'SCMP_ACT_ALLOW'?)"},
		{"{\"defaultAction\":\"EPERM\"}",
		 "p.json:1:18: an action expected: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, "
		 "SCMP_ACT_KILL_PROCESS, …"},
		{"{\"defaultAction\":[]}", "p.json:1:18: an action expected: SCMP_ACT_ALLOW, "
					   "SCMP_ACT_ERRNO, SCMP_ACT_KILL_PROCESS, …"},
		{"{" ERRNO ",\"defaultErrnoRet\":0}",
		 "p.json:1:53: an error's number from 1 to 4095 expected: with 0 the call would "
		 "seem to succeed"},
		{"{" ERRNO ",\"defaultErrnoRet\":4096}",
		 "p.json:1:53: an error's number from 1 to 4095 expected"},
		{"{" ERRNO ",\"defaultErrno\":\"ENOTHING\"}",
		 "p.json:1:50: an error's name, or number from 1 to 4095 expected"},
		{"{" ERRNO ",\"syscalls\":{}}", "p.json:1:46: syscalls: a list expected"},
		{"{" ERRNO ",\"flags\":[\"LOG\"]}",
		 "p.json:1:44: a flag expected, such as SECCOMP_FILTER_FLAG_LOG"},
		{"{" ERRNO ",\"architectures\":[\"amd64\"]}",
		 "p.json:1:52: an architecture expected, such as SCMP_ARCH_X86_64"},
		{"{" ERRNO ",\"architectures\":[\"SCMP_ARCH_X86\"],\"archMap\":[{}]}",
		 "p.json:1:79: 'architectures' and 'archMap' exclude each other"},
		{CALLS("1"), "p.json:1:47: {names, action, …} expected"},
		{CALLS("{}"), "p.json:1:47: 'names' is missing"},
		{CALLS("{\"names\":[\"read\"]}"), "p.json:1:47: 'action' is missing"},
		{CALLS("{\"names\":[\"read\"],\"name\":\"write\",\"action\":\"SCMP_ACT_KILL\"}"),
		 "p.json:1:72: 'name' and 'names' exclude each other"},
		{CALLS("{\"names\":[[]],\"action\":\"SCMP_ACT_KILL\"}"),
		 "p.json:1:57: the name of a system call expected"},
		{CALLS("{\"names\":[\"\"],\"action\":\"SCMP_ACT_KILL\"}"),
		 "p.json:1:57: the name of a system call expected"},
		{ALLOW("\"includes\":[]"), "p.json:1:102: includes: a map expected"},
		{ALLOW("\"includes\":{\"caps\":[\"SYS_ADMIN\"]}"),
		 "p.json:1:111: a capability expected, such as CAP_SYS_ADMIN"},
		{ALLOW("\"includes\":{\"caps\":[\"CAP_SYS_ADMN\"]}"),
		 "p.json:1:111: unknown capability 'CAP_SYS_ADMN' (did you mean 'CAP_SYS_ADMIN'?)"},
		{ALLOW("\"excludes\":{\"arches\":[{}]}"),
		 "p.json:1:113: an architecture expected, such as amd64"},
		{ALLOW("\"excludes\":{\"minKernel\":\"new\"}"),
		 "p.json:1:115: minKernel: a version such as 5.11 expected"},
		{ARG("1"), "p.json:1:99: args: {index, value, valueTwo, op} expected"},
		{ARG("{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}"),
		 "p.json:1:108: index: a number from 0 to 5 expected"},
		{ARG("{\"index\":0,\"value\":-1,\"op\":\"SCMP_CMP_EQ\"}"),
		 "p.json:1:118: value: a number from 0 to 18446744073709551615 expected"},
		{ARG("{\"index\":0,\"value\":18446744073709551616,\"op\":\"SCMP_CMP_EQ\"}"),
		 "p.json:1:118: value: a number from 0 to 18446744073709551615 expected"},
		{ARG("{\"index\":0,\"value\":1}"),
		 "p.json:1:99: 'op' expected: SCMP_CMP_EQ, NE, LT, LE, GT, GE or MASKED_EQ"},
		{ARG("{\"index\":0,\"op\":\"SCMP_CMP_MASK_EQ\"}"),
		 "p.json:1:115: unknown op 'SCMP_CMP_MASK_EQ' (did you mean "
		 "'SCMP_CMP_MASKED_EQ'?)"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct policy policy = {0};
		struct err err = {0};

		if (read_text(table[i].text, &policy, &err) != -EINVAL)
			fail_msg("accepted: %s", table[i].text);
		if (!str_eq(err.msg, table[i].want))
			fail_msg("%s\n  gives: %s\n  wants: %s", table[i].text, err.msg,
				 table[i].want);
		assert_null(policy.name);
	}
}

/* What one entry becomes: its rules and warnings, a line each. */
static void rules(void **state)
{
	static const struct {
		const char *text, *want;
	} table[] = {
		{ALLOW("\"args\":null,\"includes\":null,\"comment\":\"\""), "read allow\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_KILL\"}"), "read kill-thread\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_KILL_PROCESS\"}"), "read kill\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_TRAP\"}"), "read trap\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_LOG\"}"), "read log\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_NOTIFY\"}"),
		 "read notify\np.json:1:71: SCMP_ACT_NOTIFY: no agent is asked: jail itself sees "
		 "the "
		 "call and allows it\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":7}"),
		 "read errno ENOSYS\np.json:1:71: SCMP_ACT_TRACE: nobody traces, so the kernel "
		 "refuses the call with ENOSYS\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38}"),
		 "read errno ENOSYS\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38,"
		       "\"errno\":\"EACCES\"}"),
		 "read errno EACCES\n"},
		/* repeats the default: alone it stays, beside others the engines skip it */
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_ERRNO\"}"), "read errno EPERM\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_ERRNO\"},"
		       "{\"name\":\"read\",\"action\":\"SCMP_ACT_ALLOW\"}"),
		 "read allow\n"},
		{ARG("{\"index\":1,\"value\":9,\"op\":\"SCMP_CMP_NE\"},"
		     "{\"index\":0,\"value\":4294967296,\"op\":\"SCMP_CMP_LE\"}"),
		 "read allow [1 ne 9] [0 le 4294967296]\n"},
		{ARG("{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_GT\"},"
		     "{\"index\":0,\"value\":0,\"op\":\"SCMP_CMP_EQ\"},"
		     "{\"index\":5,\"value\":7,\"op\":\"SCMP_CMP_GE\"}"),
		 "read allow [0 gt 2]\nread allow [0 eq 0]\nread allow [5 ge 7]\n"},
		{ARG("{\"index\":0,\"value\":15,\"valueTwo\":17,\"op\":\"SCMP_CMP_MASKED_EQ\"}"),
		 "read allow [0 masked_eq 15 1]\n"},
		{ALLOW("\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"],\"arches\":[\"amd64\",\"x86\"],"
		       "\"minKernel\":\"4.8\"},\"excludes\":{\"caps\":[\"CAP_BPF\"],"
		       "\"minKernel\":\"6.1\"}"),
		 "read allow amd64 caps 200000 no_caps 8000000000 >=4.8 <6.1\n"},
		{ALLOW("\"excludes\":{\"arches\":[\"amd64\",\"s390x\"]}"), "read allow arm64\n"},
		{ALLOW("\"excludes\":{\"arches\":[\"amd64\",\"arm64\"]}"), "read allow never\n"},
		{ALLOW("\"includes\":{\"arches\":[\"ppc64le\",\"amd46\"]}"),
		 "read allow never\np.json:1:123: container engines know no architecture 'amd46': "
		 "it never matches\n"},
		{CALLS("{\"names\":[\"write\",\"reda\",\"mmap2\"],\"action\":\"SCMP_ACT_ALLOW\"}"),
		 "write allow\nmmap2 allow\np.json:1:65: no kernel has a system call 'reda' (did "
		 "you mean 'read'?): ignored\n"},
		{CALLS("{\"name\":\"read\",\"action\":\"SCMP_ACT_ALLOW\"},"
		       "{\"name\":\"read\",\"action\":\"SCMP_ACT_KILL\",\"args\":"
		       "[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}"),
		 "read allow\nread kill-thread [0 eq 1]\np.json:1:97: read: container engines go "
		 "by line 1, which has no conditions; jail by this, the stricter one\n"},
		{"{" ERRNO ",\"flags\":[\"SECCOMP_FILTER_FLAG_TSYNC\",\"SECCOMP_FILTER_FLAG_LOG\"],"
		 "\"listenerPath\":\"/run/x\",\"sycalls\":[]}",
		 "p.json:1:123: a seccomp profile has no 'sycalls' (did you mean 'syscalls'?): "
		 "ignored\np.json:1:72: SECCOMP_FILTER_FLAG_LOG: jail does not set it\n"
		 "p.json:1:114: listenerPath: jail asks no agent\n"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_cleanup(policy) policy = {0};
		auto_cleanup(buf) got = {0};
		struct err err = {0};

		if (read_text(table[i].text, &policy, &err) < 0)
			fail_msg("%s: %s", table[i].text, err.msg);
		assert_int_equal(policy.format, FORMAT_OCI);
		for (size_t k = 0; k < policy.n; k++) {
			const struct policy_rule *rule = &policy.rules[k];

			buf_addf(&got, "%s ", rule->call->name);
			policy_action_print(&rule->action, &got);
			for (size_t c = 0; c < rule->n_conds; c++) {
				const struct policy_cond *cond = &rule->conds[c];

				buf_addf(&got, " [%u %s", cond->arg, policy_op_name(cond->op));
				if (cond->op == POLICY_MASKED_EQ)
					buf_addf(&got, " %lu", cond->mask[ARCH_ARM64]);
				buf_addf(&got, " %lu]", cond->value[ARCH_ARM64]);
				assert_false(cond->is_32bit);
			}
			for (int a = 0; a < ARCH_COUNT; a++)
				if (rule->when.arches >> a & 1)
					buf_addf(&got, " %s", arch_name(a));
			buf_adds(&got, rule->when.never ? " never" : "");
			if (rule->when.caps)
				buf_addf(&got, " caps %lx", rule->when.caps);
			if (rule->when.no_caps)
				buf_addf(&got, " no_caps %lx", rule->when.no_caps);
			if (rule->when.kernel.n)
				buf_adds(&got, " ");
			kver_range_print(&got, &rule->when.kernel);
			buf_adds(&got, "\n");
		}
		for (size_t k = 0; k < policy.warnings.n; k++)
			buf_addf(&got, "%s\n", policy.warnings.items[k]);
		if (!str_eq(got.data ? got.data : "", table[i].want))
			fail_msg("%s\n--- gives:\n%s--- wants:\n%s", table[i].text, got.data,
				 table[i].want);
	}
}

static void bounded(void **state)
{
	auto_cleanup(policy) policy = {0}, too_many = {0};
	auto_cleanup(buf) text = {0};
	struct err err = {0};

	(void)state;
	buf_adds(&text,
		 "{" ERRNO ",\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\",\"names\":[\"x0\"");
	for (int i = 1; i < 100; i++)
		buf_addf(&text, ",\"qqqqqqq%d\"", i);
	buf_adds(&text, "]}]}");
	assert_int_equal(read_text(text.data, &policy, &err), 0);
	assert_int_equal(policy.warnings.n, 17);
	assert_true(str_ends(policy.warnings.items[16],
			     ": there are more of these; they are ignored too"));

	/* names times alternatives */
	buf_reset(&text);
	buf_adds(&text,
		 "{" ERRNO ",\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\",\"names\":[\"read\"");
	for (int i = 1; i < 300; i++)
		buf_adds(&text, ",\"read\"");
	buf_adds(&text, "],\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_EQ\"}");
	for (int i = 1; i < 300; i++)
		buf_addf(&text, ",{\"index\":0,\"op\":\"SCMP_CMP_EQ\",\"value\":%d}", i);
	buf_adds(&text, "]}]}");
	assert_int_equal(read_text(text.data, &too_many, &err), -E2BIG);
	assert_non_null(strstr(err.msg, ": more than 20000 rules"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad),
		cmocka_unit_test(rules),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
