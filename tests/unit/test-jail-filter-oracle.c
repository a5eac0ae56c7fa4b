/*
 * libseccomp as an independent witness: for a policy whose rules do not conflict, the program that
 * it makes and ours have to give the same for every call, on the simulator. It has no 32-bit
 * comparison and another answer for calls without a name: those are left out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "jail/base/io.h"
#include "jail/filter/simulate.h"

static const struct {
	const char *call;
	unsigned int n;
	struct {
		unsigned int arg;
		enum policy_op op;
		uint64_t value, mask;
	} conds[3];
} rules[] = {
	{"read", 0, {{0}}},
	{"write", 0, {{0}}},
	{"exit_group", 0, {{0}}},
	{"openat", 0, {{0}}},
	{"clone", 1, {{0, POLICY_MASKED_EQ, 0, 0x7e020000}}},
	{"socket", 1, {{0, POLICY_EQ, 1, 0}}},
	{"socket", 1, {{0, POLICY_EQ, 2, 0}}},
	{"socket", 2, {{0, POLICY_EQ, 16, 0}, {2, POLICY_EQ, 0, 0}}},
	{"socket", 2, {{0, POLICY_GT, 40, 0}, {1, POLICY_LE, UINT64_C(0x100000003), 0}}},
	{"ioctl", 1, {{1, POLICY_NE, 0x5412, 0}}},
	{"personality", 1, {{0, POLICY_EQ, 0, 0}}},
	{"personality", 1, {{0, POLICY_EQ, 0xffffffff, 0}}},
	{"personality", 1, {{0, POLICY_EQ, UINT64_C(0x8000000000000008), 0}}},
	{"prctl", 1, {{0, POLICY_LT, UINT64_C(0x200000001), 0}}},
	{"madvise", 1, {{2, POLICY_GE, UINT64_C(0x80000000), 0}}},
	{"fcntl", 1, {{1, POLICY_LT, 1024, 0}}},
	{"mmap", 2, {{2, POLICY_MASKED_EQ, 0, 4}, {3, POLICY_MASKED_EQ, 0x22, 0xff}}},
	{"kill", 1, {{1, POLICY_MASKED_EQ, UINT64_C(0x100000002), UINT64_C(0x300000003)}}},
	{"execveat", 0, {{0}}},
	{"statx", 0, {{0}}},
};

static const enum scmp_compare comparisons[] = {
	[POLICY_EQ] = SCMP_CMP_EQ,
	[POLICY_NE] = SCMP_CMP_NE,
	[POLICY_LT] = SCMP_CMP_LT,
	[POLICY_LE] = SCMP_CMP_LE,
	[POLICY_GT] = SCMP_CMP_GT,
	[POLICY_GE] = SCMP_CMP_GE,
	[POLICY_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
};

static const uint32_t scmp_arches[ARCH_COUNT] = {
	[ARCH_AMD64] = SCMP_ARCH_X86_64,
	[ARCH_ARM64] = SCMP_ARCH_AARCH64,
};

static void make_ours(enum arch arch, struct filter *ret)
{
	const struct filter_target target = {.arch = arch};
	const struct filter_options options = {0};
	auto_cleanup(filter_model) model = {0};
	auto_cleanup(policy) policy = {.name = xstrdup("p"), .fallback = {POLICY_ERRNO, ENOTTY}};

	policy.unknown = policy.fallback;
	for (size_t i = 0; i < array_len(rules); i++) {
		struct policy_rule *rule = policy_add_rule(&policy);

		rule->call = syscall_find(rules[i].call);
		rule->action.kind = POLICY_ALLOW;
		for (size_t k = 0; k < rules[i].n; k++) {
			struct policy_cond *cond = policy_add_cond(rule);

			cond->arg = (unsigned char)rules[i].conds[k].arg;
			cond->op = rules[i].conds[k].op;
			cond->value[arch] = rules[i].conds[k].value;
			cond->mask[arch] = rules[i].conds[k].mask;
		}
	}
	assert_int_equal(filter_model_make(&policy, &target, &model, NULL), 0);
	assert_int_equal(filter_compile(&model, &options, ret, NULL), 0);
}

static void make_theirs(enum arch arch, struct filter *ret)
{
	scmp_filter_ctx scmp = seccomp_init(SCMP_ACT_ERRNO(ENOTTY));
	int fd = memfd_create("filter", MFD_CLOEXEC);
	auto_cleanup(buf) code = {0};

	assert_non_null(scmp);
	assert_true(fd >= 0);
	seccomp_arch_remove(scmp, seccomp_arch_native());
	assert_int_equal(seccomp_arch_add(scmp, scmp_arches[arch]), 0);
	assert_int_equal(seccomp_attr_set(scmp, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOTTY)),
			 0);
	for (size_t i = 0; i < array_len(rules); i++) {
		struct scmp_arg_cmp args[3] = {{0}};
		int r;

		for (size_t k = 0; k < rules[i].n; k++) {
			bool is_masked = rules[i].conds[k].op == POLICY_MASKED_EQ;
			uint64_t value = rules[i].conds[k].value;

			args[k].arg = rules[i].conds[k].arg;
			args[k].op = comparisons[rules[i].conds[k].op];
			args[k].datum_a = is_masked ? rules[i].conds[k].mask : value;
			args[k].datum_b = value;
		}
		r = seccomp_rule_add_array(scmp, SCMP_ACT_ALLOW,
					   seccomp_syscall_resolve_name(rules[i].call), rules[i].n,
					   args);
		assert_int_equal(r, 0);
	}
	assert_int_equal(seccomp_export_bpf(scmp, fd), 0);
	seccomp_release(scmp);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(io_read_fd(fd, BPF_MAXINSNS * sizeof(struct sock_filter), &code, NULL), 0);
	close(fd);
	ret->n = code.len / sizeof(struct sock_filter);
	ret->insns = (struct sock_filter *)take_ptr(code.data);
}

static uint64_t value_for(unsigned int round)
{
	static const uint64_t values[] = {0,
					  1,
					  2,
					  3,
					  4,
					  16,
					  0x22,
					  40,
					  41,
					  1023,
					  1024,
					  0x5412,
					  0x7e020000,
					  0x80000000,
					  0xffffffff,
					  UINT64_C(0x100000001),
					  UINT64_C(0x100000002),
					  UINT64_C(0x100000003),
					  UINT64_C(0x200000000),
					  UINT64_C(0x200000001),
					  UINT64_C(0x100005412),
					  UINT64_C(0x8000000000000008),
					  UINT64_MAX};

	return values[round % array_len(values)];
}

static void same_as_libseccomp(void **state)
{
	unsigned int allowed = 0, refused = 0;

	(void)state;
	for (int arch = 0; arch < ARCH_COUNT; arch++) {
		auto_cleanup(filter) ours = {0}, theirs = {0};
		struct err err = {0};

		make_ours((enum arch)arch, &ours);
		make_theirs((enum arch)arch, &theirs);
		if (filter_check(&theirs, &err) < 0)
			fail_msg("libseccomp's: %s", err.msg);
		for (int nr = 0; nr < 500; nr++)
			for (unsigned int round = 0; round < 600; round++) {
				struct seccomp_data data = {
					.nr = nr,
					.arch = filter_audit_arch((enum arch)arch),
					.args = {value_for(round), value_for(round / 2),
						 value_for(round / 5), value_for(round / 7)}};
				uint32_t want = filter_simulate(&theirs, &data, NULL);
				uint32_t got = filter_simulate(&ours, &data, NULL);

				if (want != got)
					fail_msg("%s, call %d (0x%llx, 0x%llx, 0x%llx, 0x%llx): "
						 "libseccomp 0x%x, we 0x%x",
						 arch_name((enum arch)arch), nr, data.args[0],
						 data.args[1], data.args[2], data.args[3], want,
						 got);
				*(got == SECCOMP_RET_ALLOW ? &allowed : &refused) += 1;
			}
		print_message("# %s: %zu instructions, libseccomp's %zu\n",
			      arch_name((enum arch)arch), ours.n, theirs.n);
	}
	assert_true(allowed > 3000 && refused > 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_libseccomp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
