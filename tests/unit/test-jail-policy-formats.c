/* A policy that goes through another format decides as before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>

#include "jail/base/io.h"
#include "jail/filter/model.h"
#include "jail/policy/policy-backend-ai.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-oci.h"
#include "jail/policy/policy-print.h"
#include "jail/policy/policy-yaml.h"

/* xorshift64*: the same cases in every run */
static uint64_t seed = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (seed * 2685821657736338717u >> 11) % below;
}

static void read_text(const char *name, const char *text, size_t len, struct policy *ret)
{
	auto_cleanup(yaml) y = {0};
	struct err err = {0};
	int r = yaml_parse(name, text, len, &y, &err);

	if (r == 0)
		r = policy_oci_is(&y)	       ? policy_from_oci(&y, ret, &err)
		    : policy_backend_ai_is(&y) ? policy_from_backend_ai(&y, ret, &err)
					       : policy_from_yaml(&y, ret, &err);
	if (r < 0)
		fail_msg("%s", err.msg);
}

static void read_file(const char *path, struct policy *ret)
{
	auto_cleanup(buf) text = {0};
	struct err err = {0};

	if (io_read_file(AT_FDCWD, path, 1 << 20, &text, &err) < 0)
		fail_msg("%s", err.msg);
	read_text(path, text.data, text.len, ret);
}

/* A value that a rule of the call compares with, or its neighbour, or another one. */
static uint64_t draw_value(const struct policy *policy, const struct syscall_def *call,
			   unsigned int arg, enum arch arch)
{
	static const uint64_t values[] = {0, 1, 7, UINT32_MAX, UINT64_MAX, 0x100000000};
	uint64_t ret = draw(3) ? values[draw(array_len(values))] : draw(UINT64_MAX);
	unsigned int seen = 0;

	for (size_t i = 0; i < policy->n; i++)
		for (size_t k = 0; k < policy->rules[i].n_conds; k++) {
			const struct policy_cond *cond = &policy->rules[i].conds[k];

			if (policy->rules[i].call == call && cond->arg == arg && !draw(++seen))
				ret = cond->value[arch] + (draw(4) ? 0 : draw(3) - 1);
		}
	return draw(8) ? ret : ret | 0x7500000000;
}

/* Where a rule compares arguments many have to be tried. */
static int tries(const struct filter_model *model, int nr)
{
	for (size_t i = 0; nr >= 0 && i < model->calls[nr].n; i++)
		if (model->calls[nr].rules[i].n_conds)
			return 24;
	return 1;
}

static void compare_on(const struct policy *a, const struct policy *b,
		       const struct filter_target *target)
{
	const uint32_t audit_arch = filter_audit_arch(target->arch);
	auto_cleanup(filter_model) model_a = {0}, model_b = {0};
	struct err err = {0};

	if (filter_model_make(a, target, &model_a, &err) < 0 ||
	    filter_model_make(b, target, &model_b, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < syscall_count; i++) {
		const struct syscall_def *call = syscall_at(i);
		const int nr = call->nr[target->arch];

		const int n = tries(&model_a, nr) + tries(&model_b, nr);

		for (int k = 0; k < n && nr >= 0; k++) {
			struct decision of_a, of_b;
			uint64_t args[6] = {0};

			for (int arg = 0; arg < 6; arg++)
				args[arg] = draw_value(a, call, arg, target->arch);
			of_a = filter_decide(&model_a, audit_arch, nr, args);
			of_b = filter_decide(&model_b, audit_arch, nr, args);
			if (of_a.action.kind == of_b.action.kind &&
			    of_a.action.error == of_b.action.error)
				continue;
			fail_msg("%s: %s(%#lx, %#lx, %#lx) on %s, kernel %u.%u, caps %#lx: %d %d, "
				 "then "
				 "%d %d",
				 a->name, call->name, args[0], args[1], args[2],
				 arch_name(target->arch), target->kernel.part[0],
				 target->kernel.part[1], target->caps, of_a.action.kind,
				 of_a.action.error, of_b.action.kind, of_b.action.error);
		}
	}
}

static void compare(const struct policy *a, const struct policy *b)
{
	static const struct kver kernels[] = {
		{{4, 4, 0}}, {{4, 8, 0}}, {{5, 10, 9}}, {{5, 11, 0}}, {{6, 5, 0}}};
	static const uint64_t caps[] = {
		0,
		UINT64_MAX,
		UINT64_C(1) << CAP_SYS_ADMIN,
		UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_NET_ADMIN,
		UINT64_C(1) << CAP_BPF | UINT64_C(1) << CAP_PERFMON,
		UINT64_C(1) << CAP_AUDIT_WRITE,
		UINT64_C(1) << CAP_SYS_PTRACE | UINT64_C(1) << CAP_BPF,
	};

	for (int arch = 0; arch < ARCH_COUNT; arch++)
		for (size_t k = 0; k < array_len(kernels); k++)
			for (size_t c = 0; c < array_len(caps); c++)
				compare_on(a, b,
					   &(struct filter_target){arch, kernels[k], caps[c]});
}

static void through_oci(const struct policy *policy)
{
	auto_cleanup(policy) again = {0};
	auto_cleanup(strv) lost = {0};
	auto_cleanup(buf) text = {0};

	policy_print_oci(policy, &text, &lost);
	read_text("again.json", text.data, text.len, &again);
	assert_int_equal(again.format, FORMAT_OCI);
	compare(policy, &again);
}

static void through_own(const struct policy *policy)
{
	auto_cleanup(policy) again = {0}, back = {0};
	auto_cleanup(buf) text = {0}, json = {0};
	auto_cleanup(strv) lost = {0};

	policy_print(policy, &text);
	read_text("again.yml", text.data, text.len, &again);
	compare(policy, &again);
	policy_print_oci(&again, &json, &lost);
	read_text("back.json", json.data, json.len, &back);
	compare(policy, &back);
}

static void oci_round_trips(void **state)
{
	static const char *const files[] = {"tests/data/policy/oci/engine.json",
					    "tests/data/policy/oci/config.json"};

	(void)state;
	for (size_t i = 0; i < array_len(files); i++) {
		auto_cleanup(policy) policy = {0};

		read_file(files[i], &policy);
		through_oci(&policy);
		through_own(&policy);
	}
}

/* Nothing but what that format knows: the same comes back, limits, paths and environment too. */
static void backend_ai_round_trips(void **state)
{
	static const char *const texts[] = {
		"exec_allowance: 3\nfork_allowance: -1\nmax_child_procs: 32\n"
		"preserved_env_keys: [PATH]\nextra_envs: [A=b]\n"
		"whitelist_paths: {OP_OPEN: [/tmp/*], OP_EXEC: []}\n"
		"allowed_syscalls: [read, statx, dup]\ntraced_syscalls: [open, socket]\n",
		"exec_allowance: 0\nfork_allowance: 2\nmax_child_procs: -1\n"
		"preserved_env_keys: []\nextra_envs: []\n"
		"whitelist_paths: {OP_OPEN: ['*'], OP_EXEC: [/opt/*]}\nallowed_syscalls: []\n",
	};

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		auto_cleanup(policy) first = {0}, own = {0}, again = {0};
		auto_cleanup(buf) text = {0}, yaml = {0};
		auto_cleanup(strv) lost = {0};

		read_text("first.yml", texts[i], strlen(texts[i]), &first);
		policy_print(&first, &yaml);
		read_text("own.yml", yaml.data, yaml.len, &own);
		assert_int_equal(own.format, FORMAT_JAIL);
		policy_print_backend_ai(&own, &text, &lost);
		read_text("again.yml", text.data, text.len, &again);
		assert_int_equal(again.format, FORMAT_BACKEND_AI);
		compare(&first, &own);
		compare(&first, &again);
		for (int k = 0; k < LIMIT_COUNT; k++) {
			assert_int_equal(first.settings.limits[k].value,
					 again.settings.limits[k].value);
			assert_int_equal(first.settings.limits[k].is_unlimited,
					 again.settings.limits[k].is_unlimited);
		}
		assert_int_equal(first.settings.n_paths, again.settings.n_paths);
		for (size_t k = 0; k < first.settings.n_paths; k++) {
			const struct policy_path *path = &first.settings.paths[k];

			assert_string_equal(path->path, again.settings.paths[k].path);
			assert_int_equal(path->rights, again.settings.paths[k].rights);
		}
		assert_int_equal(first.settings.env.preserve.n, again.settings.env.preserve.n);
		assert_int_equal(first.settings.env.set.n, again.settings.env.set.n);
	}
}

/* Never more than before, and what is left out is said. */
static void backend_ai_holds_less(void **state)
{
	static const char *const want[] = {
		"fcntl: allowed for some arguments or on one architecture only: left out",
		"ioctl: allowed for some arguments or on one architecture only: left out",
		"env: all variables are kept: only HOME, PATH and LANG are",
		"kill, tkill and tgkill are always allowed there",
	};
	auto_cleanup(policy) policy = {0}, again = {0};
	auto_cleanup(strv) lost = {0};
	auto_cleanup(buf) text = {0};

	(void)state;
	read_file("tests/data/policy/oci/ordered.yml", &policy);
	policy_print_backend_ai(&policy, &text, &lost);
	for (size_t i = 0; i < array_len(want); i++)
		if (!strv_has(&lost, want[i]))
			fail_msg("not said: %s", want[i]);
	read_text("again.yml", text.data, text.len, &again);
	for (size_t i = 0; i < again.n; i++) {
		const char *name = again.rules[i].call->name;

		if (str_eq(name, "ioctl") || str_eq(name, "socket") || str_eq(name, "prctl") ||
		    str_eq(name, "mount"))
			fail_msg("%s is allowed", name);
	}
}

/* What depends on capabilities or kernels, of which that format knows nothing. */
static void backend_ai_knows_no_situations(void **state)
{
	static const char text[] =
		"version: 1\ndefault: EPERM\nallow: [read, write, close]\nwhen:\n"
		"  - {capabilities: [CHOWN], deny: [read]}\n"
		"  - {kernel: '<5.0', deny: [write]}\n"
		"  - {without-capabilities: [KILL], allow: [lseek]}\n"
		"  - {kernel: '>=5.0', allow: [statx]}\n";
	auto_cleanup(policy) policy = {0};
	auto_cleanup(strv) lost = {0};
	auto_cleanup(buf) out = {0};

	(void)state;
	read_text("when.yml", text, strlen(text), &policy);
	policy_print_backend_ai(&policy, &out, &lost);
	assert_non_null(strstr(out.data, "allowed_syscalls:\n  - close\n  - statx\n"));
	assert_true(strv_has(&lost,
			     "read: refused with some capabilities or on some kernels: left out"));
}

/* More situations than a profile is printed for: refused in all of them, and said. */
static void oci_refuses_the_rest(void **state)
{
	static const char *const defaults[] = {"allow", "EPERM", "kill"};
	static const char rules[] = "allow: [write]\nwhen:\n"
				    "  - {capabilities: [CHOWN], deny: [read]}\n"
				    "  - {capabilities: [KILL], deny: [read]}\n"
				    "  - {capabilities: [SETUID], deny: [read]}\n"
				    "  - {capabilities: [SETGID], deny: [read]}\n"
				    "  - {capabilities: [SYS_TIME], deny: [read]}\n";
	const uint64_t args[6] = {0};

	(void)state;
	for (size_t i = 0; i < array_len(defaults); i++) {
		auto_free char *text =
			str_printf("version: 1\ndefault: %s\n%s", defaults[i], rules);
		const struct filter_target target = {.kernel = FILTER_NEWEST_KERNEL,
						     .caps = UINT64_C(1) << CAP_SYS_TIME};
		auto_cleanup(policy) policy = {0}, again = {0};
		auto_cleanup(filter_model) model = {0};
		auto_cleanup(strv) lost = {0};
		auto_cleanup(buf) oci = {0};

		read_text("caps.yml", text, strlen(text), &policy);
		policy_print_oci(&policy, &oci, &lost);
		assert_true(strv_has(&lost, "read: its rules depend on too many capabilities or "
					    "kernels: it is refused always"));
		read_text("caps.json", oci.data, oci.len, &again);
		assert_int_equal(filter_model_make(&again, &target, &model, NULL), 0);
		for (int call = 0; call < 2; call++) {
			const char *name = call ? "write" : "read";
			struct decision is =
				filter_decide(&model, filter_audit_arch(target.arch),
					      syscall_find(name)->nr[target.arch], args);

			assert_int_equal(policy_kind_allows(is.action.kind), call);
		}
	}
}

static void own_round_trips(void **state)
{
	auto_cleanup(policy) policy = {0};

	(void)state;
	read_file("tests/data/policy/oci/ordered.yml", &policy);
	through_oci(&policy);
	for (size_t i = 0; i < policy_builtin_count; i++) {
		auto_cleanup(policy) builtin = {0};
		struct err err = {0};

		if (policy_load(policy_builtin_names[i], &builtin, &err) < 0)
			fail_msg("%s", err.msg);
		through_oci(&builtin);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(oci_round_trips),
		cmocka_unit_test(oci_refuses_the_rest),
		cmocka_unit_test(own_round_trips),
		cmocka_unit_test(backend_ai_round_trips),
		cmocka_unit_test(backend_ai_holds_less),
		cmocka_unit_test(backend_ai_knows_no_situations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
