#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "jail/inspect/lint.h"
#include "jail/policy/policy-age.h"
#include "jail/policy/policy-load.h"

static char folder[] = "/tmp/test-policy-load-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) && chdir(folder) == 0 && mkdir("sub", 0755) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return chdir("/") < 0 || io_remove_tree(AT_FDCWD, folder, NULL) < 0 ? -1 : 0;
}

static void put(const char *name, const char *text)
{
	assert_int_equal(io_write_atomic(AT_FDCWD, name, text, strlen(text), 0644, NULL), 0);
}

static void put_extending(const char *name, const char *extends)
{
	auto_free char *text = str_printf("version: 1\nextends: %s\n", extends);

	put(name, text);
}

static void load(const char *name, struct policy *ret)
{
	struct err err = {0};

	if (policy_load(name, ret, &err) < 0)
		fail_msg("%s: %s", name, err.msg);
}

static void refused(const char *name, int code, const char *want)
{
	struct policy policy = {.n = 77};
	struct err err = {0};

	assert_int_equal(policy_load(name, &policy, &err), -code);
	assert_string_equal(err.msg, want);
	assert_int_equal(policy.n, 77);
}

/* --- what is not a policy, or not there ----------------------------------------------------- */

static void no_policy(void **state)
{
	(void)state;
	refused("nowhere.yml", ENOENT, "nowhere.yml: neither a built-in profile nor a file");
	refused("./default", ENOENT, "./default: no such file");
	refused("defualt", ENOENT,
		"defualt: neither a built-in profile (did you mean 'default'?) nor a file");
	refused("sub", EISDIR, "sub: a folder; a policy is a file");
	refused("/dev/null", EINVAL, "/dev/null: not a regular file; save the policy as one");
	/* would wait for a writer */
	assert_int_equal(mkfifo("pipe", 0644), 0);
	refused("pipe", EINVAL, "pipe: not a regular file; save the policy as one");
	put("big.yml", "version: 1\n");
	assert_int_equal(truncate("big.yml", 100 << 20), 0);
	refused("big.yml", E2BIG, "big.yml: 104857600 bytes; a policy has at most 1048576");
	put("open.yml", "version: 1\n");
	refused("open.yml", EINVAL,
		"open.yml:1:1: 'default' is missing: what happens to a call that is not listed "
		"(allow, log, kill or {errno: EPERM})");
	put_extending("opener.yml", "open.yml");
	refused("opener.yml", EINVAL,
		"opener.yml:1:1: 'default' is missing: what happens to a call that is not listed "
		"(allow, log, kill or {errno: EPERM}); what it extends does not say it");
}

static void unreadable(void **state)
{
	(void)state;
	put("secret.yml", "version: 1\ndefault: kill\n");
	assert_int_equal(chmod("secret.yml", 0), 0);
	put_extending("reader.yml", "secret.yml");
	/* root reads everything */
	if (getuid() == 0)
		assert_int_equal(chmod(".", 0755) | seteuid(65534), 0);
	refused("secret.yml", EACCES, "secret.yml: Permission denied");
	refused("reader.yml", EACCES, "reader.yml:2:10: extends: secret.yml: Permission denied");
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
}

/* --- extends -------------------------------------------------------------------------------- */

static void relative(void **state)
{
	auto_cleanup(policy) policy = {0};

	(void)state;
	put("sub/a.yml", "version: 1\nextends: [./b.yml, ../c.yml, default]\ndefault: kill\n");
	put("sub/b.yml", "version: 1\nextends: d.yml\n");
	put("sub/d.yml", "version: 1\ndefault: trap\n");
	put("c.yml", "version: 1\nallow: [read]\n");
	load("sub/a.yml", &policy);
	assert_int_equal(policy.n_bases, 3);
	assert_string_equal(policy.bases[0].name, "sub/b.yml");
	assert_string_equal(policy.bases[0].bases[0].name, "sub/d.yml");
	assert_string_equal(policy.bases[1].name, "sub/../c.yml");
	assert_string_equal(policy.bases[2].name, "default");
	assert_int_equal(policy.fallback.kind, POLICY_KILL);
	assert_int_equal(policy.bases[0].fallback.kind, POLICY_UNSET);
}

static void one_alone(void **state)
{
	auto_cleanup(policy) policy = {0};

	(void)state;
	put("one.yml", "version: 1\nextends: nowhere.yml\nallow: [read]\n");
	assert_int_equal(policy_load_one("one.yml", &policy, NULL), 0);
	assert_int_equal(policy.n_bases, 0);
	assert_int_equal(policy.extends.n, 1);
	refused("one.yml", ENOENT,
		"one.yml:2:10: extends: nowhere.yml: neither a built-in profile nor a file");
}

static void text(void **state)
{
	static const char given[] = "version: 1\nextends: sub/base.yml\n";
	auto_cleanup(policy) policy = {0};

	(void)state;
	put("sub/base.yml", "version: 1\ndefault: log\n");
	assert_int_equal(policy_load_text("far/away", given, strlen(given), &policy, NULL), 0);
	assert_string_equal(policy.name, "far/away");
	assert_string_equal(policy.bases[0].name, "sub/base.yml");
}

static void cycles(void **state)
{
	(void)state;
	put_extending("self.yml", "self.yml");
	refused("self.yml", ELOOP, "self.yml:2:10: extends itself: self.yml → self.yml");
	put("x.yml", "version: 1\nextends: [default, y.yml]\n");
	put_extending("y.yml", "sub/../z.yml");
	put_extending("z.yml", "alias.yml");
	assert_int_equal(symlink("x.yml", "alias.yml"), 0); /* another name of the same file */
	refused("x.yml", ELOOP,
		"x.yml:2:20: extends itself: x.yml → y.yml → sub/../z.yml → sub/../alias.yml");
	put_extending("w.yml", "x.yml"); /* leads into the cycle, is no part of it */
	refused("w.yml", ELOOP,
		"x.yml:2:20: extends itself: x.yml → y.yml → sub/../z.yml → sub/../alias.yml");
}

static void bounds(void **state)
{
	auto_cleanup(policy) policy = {0};
	auto_cleanup(buf) wide = {0};

	(void)state;
	put("d0.yml", "version: 1\ndefault: kill\n");
	for (int i = 1; i <= POLICY_EXTENDS_DEPTH_MAX + 1; i++) {
		auto_free char *name = str_printf("d%d.yml", i),
			       *base = str_printf("d%d.yml", i - 1);

		put_extending(name, base);
	}
	load("d8.yml", &policy);
	refused("d9.yml", E2BIG, "d1.yml:2:10: extends: more than 8 files deep");
	/* each takes the next twice: 2 to the 7th files, were they all read */
	for (int i = 1; i < 8; i++) {
		auto_free char *name = str_printf("e%d.yml", i);
		auto_free char *list = str_printf("[e%d.yml, ./e%d.yml]", i - 1, i - 1);

		put_extending(name, list);
	}
	put("e0.yml", "version: 1\ndefault: kill\n");
	refused("e7.yml", E2BIG, "./e1.yml:2:19: more than 64 files in all");
}

/* --- settings ------------------------------------------------------------------------------- */

static void settings(void **state)
{
	auto_cleanup(policy) policy = {0};
	const struct policy_settings *s = &policy.settings;

	(void)state;
	put("far.yml", "version: 1\ndefault: kill\n"
		       "limits: {exec: 1, fork: 2, open-files: 3}\n"
		       "env: {preserve: [A, B], set: {X: far, Y: far, Z: far}, unset: [U, V]}\n"
		       "paths: {read: [/far]}\nports: {bind: [80]}\n"
		       "network: none\ncapabilities: [NET_RAW]\nnamespaces: [pid]\n"
		       "plugins: [/far.so, /both.so]\n");
	put("near.yml", "version: 1\nextends: far.yml\n"
			"limits: {fork: none}\n"
			"env: {set: {X: near, U: near}, unset: [\"Z*\"]}\n"
			"network: host\nbest-effort: true\nplugins: [/near.so, /both.so]\n");
	put("own.yml", "version: 1\nextends: [near.yml, far.yml]\nlimits: {exec: 7}\n"
		       "paths: {read: [/own]}\n");
	load("own.yml", &policy);
	assert_int_equal(s->limits[LIMIT_EXEC].value, 7);
	assert_string_equal(s->limits[LIMIT_EXEC].file, "own.yml");
	assert_true(s->limits[LIMIT_FORK].is_unlimited);
	assert_string_equal(s->limits[LIMIT_FORK].file, "near.yml");
	assert_int_equal(s->limits[LIMIT_OPEN_FILES].value, 3);
	assert_string_equal(s->limits[LIMIT_OPEN_FILES].file, "far.yml");
	assert_false(s->limits[LIMIT_MEMORY].is_set);
	assert_int_equal(s->env.preserve.n, 2);
	assert_true(strv_has(&s->env.set, "X=near"));
	assert_false(strv_has(&s->env.set, "X=far"));
	assert_true(strv_has(&s->env.set, "Y=far"));
	assert_false(strv_has(&s->env.set, "Z=far")); /* near unsets it */
	assert_true(strv_has(&s->env.unset, "V"));
	assert_false(strv_has(&s->env.unset, "U")); /* near sets it */
	assert_int_equal(s->n_paths, 1);
	assert_string_equal(s->paths[0].path, "/own");
	assert_int_equal(s->n_ports, 1);
	assert_int_equal(s->ports[0].port, 80);
	assert_int_equal(s->network, NETWORK_HOST);
	assert_int_equal(s->best_effort, TRI_YES);
	assert_true(s->has_caps && s->caps == 1 << 13);
	assert_true(s->has_namespaces);
	assert_int_equal(s->plugins.n, 3);
}

/* --- formats, built-in profiles ------------------------------------------------------------- */

static void formats(void **state)
{
	auto_cleanup(policy) oci = {0}, backend = {0}, over = {0};

	(void)state;
	put("oci.json", "{\"defaultAction\": \"SCMP_ACT_ERRNO\",\n\t\"syscalls\": [{\"names\": "
			"[\"read\"], \"action\": \"SCMP_ACT_ALLOW\"}]}\n");
	load("oci.json", &oci);
	assert_int_equal(oci.format, FORMAT_OCI);
	assert_int_equal(oci.n, 1);
	put("backend.yml", "allowed_syscalls: [read, write]\ntraced_syscalls: [openat]\n");
	load("backend.yml", &backend);
	assert_int_equal(backend.format, FORMAT_BACKEND_AI);
	put_extending("over.yml", "oci.json");
	load("over.yml", &over);
	assert_int_equal(over.bases[0].format, FORMAT_OCI);
	assert_int_equal(over.bases[0].fallback.kind, POLICY_ERRNO);
}

/* Every profile loads, says what it is, and no rule of it is dead. */
static void profiles(void **state)
{
	const struct lint_options options = {0};

	(void)state;
	assert_true(policy_builtin_count >= 4);
	assert_null(policy_builtin_text("Default"));
	for (size_t i = 0; i < policy_builtin_count; i++) {
		const char *name = policy_builtin_names[i];
		auto_cleanup(policy) policy = {0};
		auto_cleanup(findings) findings = {0};

		load(name, &policy);
		assert_string_equal(policy.name, name);
		assert_non_null(policy.summary);
		assert_true(policy.has_known);
		assert_int_equal(policy.warnings.n, 0);
		policy_lint(&policy, &options, &findings);
		for (size_t f = 0; f < findings.n; f++)
			if (findings.items[f].kind == FINDING_DEAD && !findings.items[f].is_note)
				fail_msg("%s:%u: %s", name, findings.items[f].at.line,
					 findings.items[f].text);
	}
}

static void age(void **state)
{
	auto_cleanup(policy) policy = {0}, ageless = {0}, profile = {0};
	auto_cleanup(strv) out = {0};

	(void)state;
	put("old.yml", "version: 1\ndate: 2022-11-12\nknown: 6.5\ndefault: kill\nallow: [mseal]\n");
	put_extending("older.yml", "old.yml");
	load("older.yml", &policy);
	policy_age_check(&policy, &(struct kver){{6, 5}}, &out);
	assert_int_equal(out.n, 0);
	policy_age_check(&policy, &(struct kver){{6, 10, 3}}, &out);
	assert_int_equal(out.n, 1);
	assert_string_equal(
		out.items[0],
		"old.yml: knows Linux 6.5 (2022-11-12); 6.10 has 10 newer calls: fchmodat2 (6.6), "
		"futex_requeue (6.7), futex_wait (6.7), futex_wake (6.7), listmount (6.8), "
		"lsm_get_self_attr (6.8), lsm_list_modules (6.8), lsm_set_self_attr (6.8), "
		"map_shadow_stack (6.6), statmount (6.8)");
	put("ageless.yml", "version: 1\ndefault: kill\n");
	load("ageless.yml", &ageless);
	policy_age_check(&ageless, &(struct kver){{6, 1}}, &out);
	assert_int_equal(out.n, 2);
	assert_string_equal(out.items[1],
			    "ageless.yml: does not say which kernel its author knew, so that no "
			    "call counts as newer: add 'known: 6.1' once its calls are looked at");
	load("default", &profile);
	policy_age_check(&profile, &profile.known, &out);
	assert_int_equal(out.n, 2);
	policy_age_check(&profile, &(struct kver){{7, 2}}, &out);
	assert_int_equal(out.n, 3);
	assert_non_null(strstr(out.items[2], "mseal (6.10)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_policy), cmocka_unit_test(unreadable),
		cmocka_unit_test(relative),  cmocka_unit_test(one_alone),
		cmocka_unit_test(text),	     cmocka_unit_test(cycles),
		cmocka_unit_test(bounds),    cmocka_unit_test(settings),
		cmocka_unit_test(formats),   cmocka_unit_test(profiles),
		cmocka_unit_test(age),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
