#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "jail/filter/model.h"
#include "jail/policy/policy-diff.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-merge.h"
#include "jail/policy/policy-print.h"

/* xorshift64*: the same cases in every run */
static uint64_t seed = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (seed * 2685821657736338717u >> 11) % below;
}

static void load(const char *name, const char *text, struct policy *ret)
{
	struct err err = {0};

	if (policy_load_text(name, text, strlen(text), ret, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
}

/* Two texts, what they become, what is noted. */
static void merges(void **state)
{
	static const struct {
		const char *a, *b, *want;
	} table[] = {
		{"default: EPERM\nallow: [read, write]\n",
		 "default: EPERM\nallow: [write, openat]\n",
		 "version: 1\ndefault: {errno: EPERM}\nunknown: {errno: ENOSYS}\nallow:\n  - read\n"
		 "  - write\n  - openat\n"},
		{"default: EPERM\nknown: 5.10\nallow: [{ioctl: {cmd: TCGETS}}]\n",
		 "default: EPERM\nknown: 6.1\nallow: [{ioctl: {cmd: TIOCGWINSZ}}, {ioctl: {cmd: "
		 "TCGETS}}]\n",
		 "version: 1\nknown: 6.1\ndefault: {errno: EPERM}\nunknown: {errno: ENOSYS}\n"
		 "allow:\n  - ioctl: {cmd: TCGETS}\n  - ioctl: {cmd: TIOCGWINSZ}\n"},
		/* a call as a whole takes in its arguments */
		{"default: EPERM\nallow: [{ioctl: {cmd: TCGETS}}, read]\n",
		 "default: EPERM\nallow: [ioctl]\n",
		 "version: 1\ndefault: {errno: EPERM}\nunknown: {errno: ENOSYS}\nallow:\n  - read\n"
		 "  - ioctl\n"},
		/* refused by both: stays, in the milder way */
		{"default: EPERM\nallow: [ioctl]\nkill: [{ioctl: {cmd: TIOCSTI}}]\n",
		 "default: EPERM\nallow: [read]\n",
		 "version: 1\ndefault: {errno: EPERM}\nunknown: {errno: ENOSYS}\nallow:\n"
		 "  - ioctl\n  - read\ndeny:\n  - ioctl: {cmd: TIOCSTI}\n"},
		{"default: allow\ndeny: [ptrace, bpf]\n", "default: allow\ndeny: [bpf]\n",
		 "version: 1\ndefault: allow\nunknown: allow\ndeny:\n  - bpf\n"
		 "a.yml:3:8: ptrace: errno EPERM: left out, allowed by b.yml\n"},
		{"default: EPERM\nallow: [ioctl]\ndeny: [{ioctl: {cmd: TIOCSTI}}]\n",
		 "default: ENOSYS\nallow: [ioctl]\n",
		 "version: 1\ndefault: {errno: EPERM}\nunknown: {errno: ENOSYS}\nallow:\n"
		 "  - ioctl\ndefault: they differ: errno EPERM\n"
		 "a.yml:4:9: ioctl: errno EPERM: left out, allowed by b.yml\n"},
		{"default: EPERM\nlog: [read]\n", "default: EPERM\nallow: [read]\n",
		 "version: 1\ndefault: {errno: EPERM}\nunknown: {errno: ENOSYS}\nallow:\n  - read\n"
		 "b.yml:3:9: read: allow: differs from another, the milder one counts\n"},
		{"default: EPERM\nlimits: {exec: 3, fork: 2}\nenv: {preserve: [A]}\n"
		 "network: none\nnamespaces: [pid, mount]\n",
		 "default: EPERM\nlimits: {exec: 5}\nenv: {preserve: [B, A], set: {C: d}}\n"
		 "network: loopback\nnamespaces: [pid]\n",
		 "version: 1\ndefault: {errno: EPERM}\nunknown: {errno: ENOSYS}\n"
		 "namespaces: [pid]\nnetwork: loopback\nlimits:\n  exec: 5\nenv:\n"
		 "  preserve: [A, B]\n  set:\n    C: d\n"
		 "limits: exec: they differ: the largest\nlimits: fork: none, since not all have "
		 "one\nnamespaces: they differ: those that all have\nnetwork: they differ: the "
		 "mildest\n"},
		{"extends: strict\nallow: [socket]\n", "extends: strict\nallow: [bind, socket]\n",
		 "version: 1\nextends: [strict]\nallow:\n  - socket\n  - bind\n"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_free char *text_a = str_printf("version: 1\n%s", table[i].a);
		auto_free char *text_b = str_printf("version: 1\n%s", table[i].b);
		struct policy policies[2] = {0}, shown;
		auto_cleanup(policy) merged = {0};
		auto_cleanup(strv) notes = {0};
		auto_cleanup(buf) got = {0};

		load("a.yml", text_a, &policies[0]);
		load("b.yml", text_b, &policies[1]);
		policy_merge(policies, 2, &merged, &notes);
		shown = merged;
		if (merged.extends.n) /* the profile's settings are long */
			shown.settings = (struct policy_settings){0};
		policy_print(&shown, &got);
		for (size_t k = 0; k < notes.n; k++)
			buf_addf(&got, "%s\n", notes.items[k]);
		policy_deinit(&policies[0]);
		policy_deinit(&policies[1]);
		if (!str_eq(got.data, table[i].want))
			fail_msg("%s---\n%s--- gives:\n%s--- wants:\n%s", table[i].a, table[i].b,
				 got.data, table[i].want);
	}
}

static void draw_rules(struct policy *policy, enum policy_kind from, enum policy_kind to)
{
	static const char *const calls[] = {"open", "openat", "socket", "fork", "clone", "read"};

	for (size_t n = 1 + draw(5); n; n--) {
		struct policy_rule *rule = policy_add_rule(policy);

		rule->call = syscall_find(calls[draw(array_len(calls))]);
		rule->action.kind = from + draw(to - from + 1);
		rule->action.error = rule->action.kind == POLICY_ERRNO ? 1 : 0;
		rule->when.arches = draw(4) ? 0 : 1U << draw(2);
		rule->when.caps = draw(4) ? 0 : 1;
		for (size_t k = draw(3); k; k--) {
			struct policy_cond *cond = policy_add_cond(rule);

			cond->arg = draw(2);
			cond->op = draw(POLICY_GE + 1);
			cond->is_32bit = draw(2);
			cond->value[ARCH_AMD64] = cond->value[ARCH_ARM64] = draw(4);
		}
	}
}

static bool allows(const struct policy *policy, const struct filter_target *target, int nr,
		   const uint64_t args[6])
{
	auto_cleanup(filter_model) model = {0};
	struct err err = {0};

	assert_int_equal(filter_model_make(policy, target, &model, &err), 0);
	return policy_kind_allows(
		filter_decide(&model, filter_audit_arch(target->arch), nr, args).action.kind);
}

/* What one allows is allowed by all together; and no more, unless it was noted. */
static void allows_what_any_allows(void **state)
{
	static const char *const calls[] = {"openat", "socket", "clone", "read"};
	size_t exact = 0;

	(void)state;
	for (int round = 0; round < 400; round++) {
		struct policy policies[2] = {{.name = "a"}, {.name = "b"}};
		auto_cleanup(policy) merged = {0};
		auto_cleanup(strv) notes = {0};

		for (int i = 0; i < 2; i++) {
			policies[i].name = xstrdup(i ? "b" : "a");
			policies[i].fallback.kind = draw(4) ? POLICY_ERRNO : POLICY_ALLOW;
			policies[i].fallback.error = draw(4) ? 0 : 1;
			draw_rules(&policies[i], POLICY_ALLOW, draw(2) ? POLICY_KILL : POLICY_LOG);
		}
		policy_merge(policies, 2, &merged, &notes);
		exact += !notes.n;
		for (int i = 0; i < 40; i++) {
			const struct filter_target target = {.arch = draw(2), .caps = draw(2)};
			const uint64_t args[6] = {draw(5) | (draw(4) ? 0 : 0x100000000), draw(5)};
			const int nr = syscall_find(calls[draw(array_len(calls))])->nr[target.arch];
			const bool any = allows(&policies[0], &target, nr, args) ||
					 allows(&policies[1], &target, nr, args);
			const bool all = allows(&merged, &target, nr, args);

			assert_true(all || !any);
			assert_true(notes.n || all == any);
		}
		policy_deinit(&policies[0]);
		policy_deinit(&policies[1]);
	}
	assert_true(exact > 40);
}

static void diffs(void **state)
{
	static const struct {
		const char *a, *b, *want;
	} table[] = {
		{"allow: [read]\n", "allow: [read]\ndeny: [ptrace]\n", ""},
		{"allow: [{read: {count: {lt: 5}}}, {read: {count: {ge: 5}}}]\n", "allow: [read]\n",
		 ""},
		{"allow: ['@threads']\n", "allow: ['@threads', read]\n",
		 "read 3: errno EPERM | allow | all\n"},
		{"deny: [{socket: ENOSYS}]\n", "allow: [{socket: {domain: AF_UNIX}}]\n",
		 "socket 3: errno ENOSYS | allow if {domain: AF_UNIX}, else errno EPERM | all\n"},
		{"allow: [{ioctl: {cmd: TCGETS}}]\n",
		 "allow: [{ioctl: {arg1: {eq: TCGETS, bits: 64}}}]\n",
		 "ioctl 3: allow if {cmd: TCGETS}, else errno EPERM | allow if {cmd: {eq: TCGETS, "
		 "bits: 64}}, else errno EPERM | ioctl(0, TCGETS, NULL)\n"},
		{"allow: [fork]\n", "allow: []\n",
		 "fork 1: allow | errno EPERM | all\nclone 2: allow if {flags: {masked_eq: "
		 "[0x7e03a100, 0], "
		 "bits: 64}}, else errno EPERM | errno EPERM | clone(0, NULL, NULL)\n"},
		{"unknown: kill\nlimits: {exec: 1}\nnetwork: none\n", "limits: {exec: 2}\n",
		 "calls without a name 3: kill | errno ENOSYS | all\n"
		 "network: [network: none] []\n"
		 "limits: [limits:\n  exec: 1] [limits:\n  exec: 2]\n"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_free char *text_a = str_printf("version: 1\ndefault: EPERM\n%s", table[i].a);
		auto_free char *text_b = str_printf("version: 1\ndefault: EPERM\n%s", table[i].b);
		auto_cleanup(policy_differences) list = {0};
		auto_cleanup(policy) a = {0}, b = {0};
		auto_cleanup(buf) got = {0};

		load("a.yml", text_a, &a);
		load("b.yml", text_b, &b);
		for (int arch = 0; arch < ARCH_COUNT; arch++) {
			const struct filter_target target = {.arch = arch};
			auto_cleanup(filter_model) of_a = {0}, of_b = {0};
			struct err err = {0};

			assert_int_equal(filter_model_make(&a, &target, &of_a, &err), 0);
			assert_int_equal(filter_model_make(&b, &target, &of_b, &err), 0);
			policy_diff_calls(&of_a, &of_b, &list);
		}
		policy_diff_settings(&a, &b, &list);
		buf_adds(&got, "");
		for (size_t k = 0; k < list.n; k++) {
			const struct policy_difference *d = &list.items[k];

			if (d->is_setting)
				buf_addf(&got, "%s: [%s] [%s]\n", d->what, d->a, d->b);
			else
				buf_addf(&got, "%s %u: %s | %s | %s\n", d->what, d->arches, d->a,
					 d->b, d->example ? d->example : "all");
		}
		if (!str_eq(got.data, table[i].want))
			fail_msg("%s---\n%s--- gives:\n%s--- wants:\n%s", table[i].a, table[i].b,
				 got.data, table[i].want);
	}
}

/* Too many cases to compare: then the texts of all rules are, not only of those that are shown. */
static void diffs_of_many_cases(void **state)
{
	auto_cleanup(policy_differences) list = {0};
	const struct filter_target target = {0};
	struct filter_model models[2] = {0};
	struct policy policies[2] = {0};

	(void)state;
	for (int p = 0; p < 2; p++) {
		auto_cleanup(buf) text = {0};

		buf_adds(&text, "version: 1\ndefault: EPERM\nallow:\n");
		for (int i = 0; i < 6; i++)
			buf_addf(&text,
				 "  - {mmap: {arg0: {gt: %d, lt: %d}, arg1: {gt: %d, lt: %d}, "
				 "arg4: {gt: %d, lt: %d}, arg5: {gt: %d, lt: 9999}}}\n",
				 3 * i + 1, 77 * i + 1091, 5 * i + 3, 77 * i + 1777, 7 * i + 5,
				 77 * i + 2333, i == 5 ? p : i + 7);
		load("many.yml", text.data, &policies[p]);
		assert_int_equal(filter_model_make(&policies[p], &target, &models[p], NULL), 0);
	}
	policy_diff_calls(&models[0], &models[1], &list);
	assert_int_equal(list.n, 1);
	assert_string_equal(list.items[0].what, "mmap");
	for (int p = 0; p < 2; p++) {
		filter_model_deinit(&models[p]);
		policy_deinit(&policies[p]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merges),
		cmocka_unit_test(allows_what_any_allows),
		cmocka_unit_test(diffs),
		cmocka_unit_test(diffs_of_many_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
