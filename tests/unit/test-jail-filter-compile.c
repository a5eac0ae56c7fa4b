#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/audit.h>
#include <string.h>

#include "jail/filter/simulate.h"

static struct policy_rule *add_rule(struct policy *policy, const char *call, enum policy_kind kind,
				    int error)
{
	struct policy_rule *rule = policy_add_rule(policy);

	rule->call = syscall_find(call);
	assert_non_null(rule->call);
	rule->action = (struct policy_action){kind, error};
	return rule;
}

static void add_cond(struct policy_rule *rule, unsigned int arg, enum policy_op op, bool is_32bit,
		     uint64_t value)
{
	struct policy_cond *cond = policy_add_cond(rule);

	*cond = (struct policy_cond){
		.arg = (unsigned char)arg, .op = op, .is_32bit = is_32bit, .value = {value, value}};
}

static int try_compile(const struct policy *policy, enum arch arch,
		       const struct filter_options *options, struct filter *filter, struct err *err)
{
	const struct filter_target target = {.arch = arch};
	auto_cleanup(filter_model) model = {0};
	int r = filter_model_make(policy, &target, &model, err);

	if (r >= 0)
		r = filter_compile(&model, options, filter, err);
	return r < 0 ? r : filter_check(filter, err);
}

static void compile(const struct policy *policy, enum arch arch,
		    const struct filter_options *options, struct filter *filter)
{
	struct err err = {0};

	if (try_compile(policy, arch, options, filter, &err) < 0)
		fail_msg("%s", err.msg);
}

static uint32_t run(const struct filter *filter, enum arch arch, const char *call, uint64_t arg0,
		    uint64_t arg5, unsigned int *steps)
{
	const struct seccomp_data data = {.nr = syscall_find(call)->nr[arch],
					  .arch = filter_audit_arch(arch),
					  .args = {arg0, 0, 0, 0, 0, arg5}};

	return filter_simulate(filter, &data, steps);
}

/* --- what the kernel is told ------------------------------------------------------------------ */

static void values(void **state)
{
	enum { MODES = FILTER_EVERYTHING + 1 };
	const uint32_t jail = SECCOMP_RET_USER_NOTIF;
	const struct {
		struct policy_action action;
		uint32_t plain, count, watch; /* FILTER_EVERYTHING is what it is called */
	} table[] = {
		{{POLICY_ALLOW, 0}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{{POLICY_LOG, 0}, SECCOMP_RET_LOG, SECCOMP_RET_LOG, SECCOMP_RET_LOG},
		{{POLICY_NOTIFY, 0}, SECCOMP_RET_ALLOW, jail, jail},
		{{POLICY_ERRNO, EPERM}, SECCOMP_RET_ERRNO | EPERM, jail, jail},
		{{POLICY_ERRNO, 4095}, SECCOMP_RET_ERRNO | 4095, jail, jail},
		{{POLICY_TRAP, 0}, SECCOMP_RET_TRAP, SECCOMP_RET_TRAP, jail},
		{{POLICY_KILL_THREAD, 0}, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_KILL_THREAD, jail},
		{{POLICY_KILL, 0}, SECCOMP_RET_KILL_PROCESS, jail, jail},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++)
		for (unsigned int mode = 0; mode < MODES; mode++) {
			const struct filter_options options = {.mode = mode};
			const uint32_t want[MODES] = {table[i].plain, table[i].count,
						      table[i].watch, jail};

			assert_int_equal(filter_value(&options, ARCH_AMD64, 0, &table[i].action),
					 want[mode]);
		}
}

/* Which calls come to jail although they are allowed, on both architectures. */
static void calls_that_are_counted(void **state)
{
	static const char *const execs[] = {"execve", "execveat"};
	static const char *const forks[] = {"fork", "vfork", "clone", "clone3"};
	const struct policy_action allow = {POLICY_ALLOW, 0};

	(void)state;
	for (int a = 0; a < ARCH_COUNT; a++) {
		const struct filter_options exec = {.mode = FILTER_COUNT, .notify_exec = true};
		const struct filter_options fork = {.mode = FILTER_COUNT, .notify_fork = true};
		const struct filter_options plain = {.notify_exec = true, .notify_fork = true};
		unsigned int n = 0, want = 0;

		for (int nr = 0; nr < FILTER_CALLS_MAX; nr++) {
			n += filter_value(&exec, (enum arch)a, nr, &allow) != SECCOMP_RET_ALLOW;
			n += filter_value(&fork, (enum arch)a, nr, &allow) != SECCOMP_RET_ALLOW;
			assert_int_equal(filter_value(&plain, (enum arch)a, nr, &allow),
					 SECCOMP_RET_ALLOW);
		}
		for (size_t i = 0; i < array_len(execs); i++) {
			int nr = syscall_find(execs[i])->nr[a];

			assert_int_equal(filter_value(&exec, (enum arch)a, nr, &allow),
					 SECCOMP_RET_USER_NOTIF);
			want++;
		}
		for (size_t i = 0; i < array_len(forks); i++) {
			int nr = syscall_find(forks[i])->nr[a];

			if (nr < 0)
				continue;
			assert_int_equal(filter_value(&fork, (enum arch)a, nr, &allow),
					 SECCOMP_RET_USER_NOTIF);
			want++;
		}
		assert_int_equal(n, want);
	}
}

static void calls_for_plugins(void **state)
{
	const int calls[] = {39, 110};
	const struct policy_action allow = {POLICY_ALLOW, 0}, refuse = {POLICY_ERRNO, EPERM};
	struct filter_options options = {
		.mode = FILTER_COUNT, .notify_calls = calls, .n_notify_calls = 2};

	(void)state;
	assert_int_equal(filter_value(&options, ARCH_AMD64, 39, &allow), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(filter_value(&options, ARCH_AMD64, 40, &allow), SECCOMP_RET_ALLOW);
	options.trace_calls = &calls[1];
	options.n_trace_calls = 1;
	assert_int_equal(filter_value(&options, ARCH_AMD64, 39, &allow), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(filter_value(&options, ARCH_AMD64, 110, &allow), SECCOMP_RET_TRACE);
	assert_int_equal(filter_value(&options, ARCH_AMD64, 110, &refuse), SECCOMP_RET_USER_NOTIF);
	options.mode = FILTER_PLAIN; /* a tracer needs no listener */
	assert_int_equal(filter_value(&options, ARCH_AMD64, 110, &allow), SECCOMP_RET_TRACE);
	assert_int_equal(filter_value(&options, ARCH_AMD64, 40, &allow), SECCOMP_RET_ALLOW);
}

static void the_cookie_lets_jail_through(void **state)
{
	const uint64_t cookie = UINT64_C(0x123456789abcdef0);
	static const struct {
		const char *call;
		bool in_plain, in_count;
	} table[] = {
		{"execve", true, true},	  {"execveat", true, true},
		{"sendmsg", false, true}, /* brings jail the listener, where there is one */
		{"sendto", false, false}, {"getppid", false, false},
	};

	(void)state;
	for (int a = 0; a < ARCH_COUNT; a++)
		for (unsigned int mode = FILTER_PLAIN; mode <= FILTER_EVERYTHING; mode++) {
			const struct filter_options options = {.mode = mode, .exec_cookie = cookie};
			auto_cleanup(policy) policy = {.fallback = {POLICY_TRAP, 0}};
			auto_cleanup(filter) filter = {0};

			compile(&policy, (enum arch)a, &options, &filter);
			for (size_t i = 0; i < array_len(table); i++) {
				const char *call = table[i].call;
				bool passes = mode == FILTER_PLAIN ? table[i].in_plain
								   : table[i].in_count;
				uint32_t refused = mode >= FILTER_WATCH ? SECCOMP_RET_USER_NOTIF
									: SECCOMP_RET_TRAP;

				assert_int_equal(run(&filter, (enum arch)a, call, 0, cookie, NULL),
						 passes ? SECCOMP_RET_ALLOW : refused);
				assert_int_equal(run(&filter, (enum arch)a, call, 0, 0, NULL),
						 refused);
				assert_int_equal(run(&filter, (enum arch)a, call, 0,
						     cookie ^ UINT64_C(1) << 63, NULL),
						 refused);
				assert_int_equal(
					run(&filter, (enum arch)a, call, 0, cookie ^ 1, NULL),
					refused);
			}
		}
}

/* --- the program ------------------------------------------------------------------------------ */

static void what_decides_nothing_is_left_out(void **state)
{
	const struct filter_options options = {0}, all = {.mode = FILTER_EVERYTHING};
	auto_cleanup(policy) policy = {.fallback = {POLICY_ALLOW, 0}};
	auto_cleanup(filter) allows = {0}, asks = {0};

	(void)state;
	add_rule(&policy, "read", POLICY_ALLOW, 0);
	add_cond(add_rule(&policy, "socket", POLICY_ALLOW, 0), 0, POLICY_EQ, false, 1);
	add_cond(add_rule(&policy, "ioctl", POLICY_KILL, 0), 0, POLICY_LT, false, 0); /* never */
	compile(&policy, ARCH_ARM64, &options, &allows);
	assert_int_equal(allows.n, 4); /* which machine, allow, errno */
	compile(&policy, ARCH_ARM64, &all, &asks);
	assert_int_equal(asks.n, 1);
}

static void frequent_calls_come_first(void **state)
{
	const struct filter_options options = {0};
	auto_cleanup(filter) filter = {0}, without = {0};
	auto_cleanup(policy) policy = {.fallback = {POLICY_ERRNO, EPERM}};
	unsigned int before, after, worst = 0;

	(void)state;
	/* every second call: as many ranges as there can be */
	for (int nr = 0; nr < 330; nr += 2)
		if (syscall_by_nr(ARCH_AMD64, nr))
			add_rule(&policy, syscall_name(ARCH_AMD64, nr), POLICY_ALLOW, 0);
	compile(&policy, ARCH_AMD64, &options, &without);
	policy.frequency = xcalloc(1, sizeof(*policy.frequency));
	policy.frequency[0].call = syscall_find("getppid");
	policy.frequency[0].count = UINT64_MAX;
	policy.n_frequency = 1;
	compile(&policy, ARCH_AMD64, &options, &filter);
	run(&without, ARCH_AMD64, "getppid", 0, 0, &before);
	run(&filter, ARCH_AMD64, "getppid", 0, 0, &after);
	if (after + 3 > before)
		fail_msg("%u instructions with a hint, %u without", after, before);
	/* and nothing pays much for it */
	for (int nr = 0; nr < FILTER_CALLS_MAX; nr++) {
		const struct seccomp_data data = {.nr = nr, .arch = AUDIT_ARCH_X86_64};
		unsigned int steps;

		filter_simulate(&filter, &data, &steps);
		worst = steps > worst ? steps : worst;
	}
	if (worst > 18)
		fail_msg("the longest way has %u instructions", worst);
}

/* Ways of more than 255 instructions, which a conditional jump cannot make. */
static void long_jumps(void **state)
{
	const struct filter_options options = {0};
	auto_cleanup(policy) policy = {.fallback = {POLICY_ERRNO, EPERM}};
	auto_cleanup(filter) filter = {0};
	static const char *const calls[] = {"read", "ioctl", "socket", "prctl", "fcntl"};

	(void)state;
	for (size_t i = 0; i < array_len(calls); i++)
		for (unsigned int k = 0; k < 200; k++) {
			struct policy_rule *rule =
				add_rule(&policy, calls[i], POLICY_ERRNO, (int)(1 + 200 * i + k));

			add_cond(rule, 0, POLICY_EQ, false, UINT64_C(0x100000000) * (k / 2) + k);
		}
	compile(&policy, ARCH_AMD64, &options, &filter);
	assert_true(filter.n > 1500);
	for (size_t i = 0; i < array_len(calls); i++)
		for (unsigned int k = 0; k < 200; k++) {
			uint64_t value = UINT64_C(0x100000000) * (k / 2) + k;

			assert_int_equal(run(&filter, ARCH_AMD64, calls[i], value, 0, NULL),
					 SECCOMP_RET_ERRNO | (uint32_t)(1 + 200 * i + k));
			assert_int_equal(run(&filter, ARCH_AMD64, calls[i],
					     value | UINT64_C(1) << 60, 0, NULL),
					 SECCOMP_RET_ERRNO | EPERM);
		}
}

static void too_big(void **state)
{
	static const unsigned int sizes[] = {2500, 100000};
	const struct filter_options options = {0};

	(void)state;
	for (size_t i = 0; i < array_len(sizes); i++) {
		auto_cleanup(policy)
			policy = {.name = xstrdup("p.yml"), .fallback = {POLICY_ERRNO, EPERM}};
		auto_cleanup(filter) filter = {0};
		auto_free char *want = str_printf(
			"p.yml: the filter would have more than 4096 instructions, which no "
			"kernel takes: read has %u rules with arguments, and fewer are needed",
			sizes[i]);
		struct err err = {0};

		for (unsigned int k = 0; k < sizes[i]; k++)
			add_cond(add_rule(&policy, "read", POLICY_ERRNO, 1 + (int)(k % 4000)), 0,
				 POLICY_EQ, false, UINT64_C(0x100000001) * k);
		assert_int_equal(try_compile(&policy, ARCH_AMD64, &options, &filter, &err), -E2BIG);
		assert_string_equal(err.msg, want);
		assert_null(filter.insns);
	}
}

/* --- the text --------------------------------------------------------------------------------- */

static void text(void **state)
{
	static const char want[] =
		"   0  A = [4]                                 ; the architecture\n"
		"   1  if A == 0xc00000b7 goto 2 else 9        ; aarch64\n"
		"   2  A = [0]                                 ; the call's number\n"
		"   3  if A >= 0xc6 goto 4 else 8              ; socket\n"
		"   4  if A >= 0xc7 goto 9 else 5              ; socketpair\n"
		"   5  A = [16]                                ; argument 0, low word\n"
		"   6  if A == 0x1 goto 10 else 7              ; AF_UNIX\n"
		"   7  if A == 0x2 goto 10 else 9              ; AF_INET\n"
		"   8  if A == 0x3f goto 10 else 9             ; read\n"
		"   9  return 0x00050001                       ; errno EPERM\n"
		"  10  return 0x7fff0000                       ; allow\n";
	const struct filter_options options = {0};
	auto_cleanup(policy)
		policy = {.fallback = {POLICY_ERRNO, EPERM}, .unknown = {POLICY_ERRNO, EPERM}};
	auto_cleanup(filter) filter = {0};
	auto_cleanup(buf) out = {0};

	(void)state;
	add_rule(&policy, "read", POLICY_ALLOW, 0);
	add_cond(add_rule(&policy, "socket", POLICY_ALLOW, 0), 0, POLICY_EQ, true, 1);
	add_cond(add_rule(&policy, "socket", POLICY_ALLOW, 0), 0, POLICY_EQ, true, 2);
	compile(&policy, ARCH_ARM64, &options, &filter);
	filter_print(&filter, ARCH_ARM64, &out);
	assert_string_equal(out.data, want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(calls_that_are_counted),
		cmocka_unit_test(calls_for_plugins),
		cmocka_unit_test(the_cookie_lets_jail_through),
		cmocka_unit_test(what_decides_nothing_is_left_out),
		cmocka_unit_test(frequent_calls_come_first),
		cmocka_unit_test(long_jumps),
		cmocka_unit_test(too_big),
		cmocka_unit_test(text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
