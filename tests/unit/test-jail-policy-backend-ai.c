#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/plan/namespace.h"
#include "jail/policy/policy-backend-ai.h"

static int read_text(const char *text, struct policy *ret, struct err *err)
{
	auto_cleanup(yaml) y = {0};
	int r = yaml_parse("p.yml", text, strlen(text), &y, err);

	return r < 0 ? r : policy_from_backend_ai(&y, ret, err);
}

/* A file that says everything that is missed otherwise. */
#define REST \
	"exec_allowance: 0\nfork_allowance: -1\nmax_child_procs: 32\npreserved_env_keys: [PATH]\n"

static void bad(void **state)
{
	static const struct {
		const char *text, *want;
	} table[] = {
		{"[]", "p.yml:1:1: a map expected"},
		{"allowed_syscalls: read", "p.yml:1:19: allowed_syscalls: a list expected"},
		{"allowed_syscalls: [[read]]", "p.yml:1:20: the name of a system call expected"},
		{"traced_syscalls: {open: 1}", "p.yml:1:18: traced_syscalls: a list expected"},
		{"exec_allowance: many",
		 "p.yml:1:17: exec_allowance must be a number from -1 to 2147483647"},
		{"fork_allowance: -2",
		 "p.yml:1:17: fork_allowance must be a number from -1 to 2147483647"},
		{"max_child_procs: []",
		 "p.yml:1:18: max_child_procs must be a number from -1 to 2147483647"},
		{"extra_envs: A=1", "p.yml:1:13: extra_envs: a list expected"},
		{"extra_envs: [A]", "p.yml:1:14: extra_envs: NAME=VALUE expected"},
		{"extra_envs: [=A]", "p.yml:1:14: extra_envs: NAME=VALUE expected"},
		{"preserved_env_keys: {A: 1}",
		 "p.yml:1:21: preserved_env_keys must be text or a list, not a map"},
		{"diff_to_default: maybe", "p.yml:1:18: diff_to_default must be true or false"},
		{"whitelist_paths: ['*']", "p.yml:1:18: whitelist_paths: a map expected"},
		{"whitelist_paths: {OP_OPEN: '*'}", "p.yml:1:28: OP_OPEN: a list expected"},
		{"whitelist_paths: {OpOpen: [[]]}",
		 "p.yml:1:28: a path expected, such as /home/user/*"},
		{"whitelist_paths: {OP_OPEN: [], OpOpen: []}",
		 "p.yml:1:40: OP_OPEN and OpOpen are the same: give one"},
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

static void describe(const struct policy *policy, struct buf *out)
{
	const struct policy_settings *s = &policy->settings;

	for (size_t i = 0; i < policy->n; i++) {
		buf_addf(out, "%s ", policy->rules[i].call->name);
		policy_action_print(&policy->rules[i].action, out);
		buf_adds(out, "\n");
	}
	for (int i = 0; i < LIMIT_COUNT; i++)
		if (s->limits[i].is_set)
			buf_addf(out, "%s %ld\n", policy_limit_name(i),
				 s->limits[i].is_unlimited ? -1L : (long)s->limits[i].value);
	for (size_t i = 0; i < s->env.preserve.n; i++)
		buf_addf(out, "keep %s\n", s->env.preserve.items[i]);
	for (size_t i = 0; i < s->env.set.n; i++)
		buf_addf(out, "set %s\n", s->env.set.items[i]);
	for (size_t i = 0; s->has_paths && i < s->n_paths; i++)
		buf_addf(out, "%u %s\n", s->paths[i].rights, s->paths[i].path);
	for (size_t i = 0; i < policy->extends.n; i++)
		buf_addf(out, "extends %s\n", policy->extends.items[i]);
	for (size_t i = 0; i < policy->warnings.n; i++)
		buf_addf(out, "%s\n", policy->warnings.items[i]);
}

#define KILLS "kill allow\ntkill allow\ntgkill allow\n"
#define LIMITS "exec 0\nfork -1\nprocesses 32\nkeep PATH\n"
#define SYSTEM "5 /bin\n5 /lib\n5 /lib64\n5 /usr\n5 /etc\n5 /proc\n3 /dev\n"

static void good(void **state)
{
	static const struct {
		const char *text, *want;
	} table[] = {
		{REST "allowed_syscalls: [read, tgkill]\n",
		 "read allow\ntgkill allow\nkill allow\ntkill allow\n" LIMITS},
		/* traced: for its path, to be counted, allowed anyway, for nothing known */
		{REST "allowed_syscalls: [read]\ntraced_syscalls: [open, clone, read, socket]\n",
		 "read allow\nopen allow\nclone allow\nsocket notify\n" KILLS LIMITS},
		{REST "allowed_syscalls: [futimens, killpg, reda]\n", KILLS LIMITS
		 "p.yml:5:20: no kernel has a system call 'futimens' (did you mean 'utimes'?): "
		 "ignored\np.yml:5:30: no kernel has a system call 'killpg' (did you mean "
		 "'kill'?): "
		 "ignored\np.yml:5:38: no kernel has a system call 'reda' (did you mean 'read'?): "
		 "ignored\n"},
		{"allowed_syscalls:\n",
		 KILLS "p.yml:1:1: exec_allowance is missing: no limit\n"
		       "p.yml:1:1: fork_allowance is missing: no limit\n"
		       "p.yml:1:1: max_child_procs is missing: no limit\n"
		       "p.yml:1:1: preserved_env_keys is missing: no variable is kept, not even "
		       "PATH\n"},
		{REST "extra_envs: [A=b=c, 'OPTS=--x=1 --y']\n",
		 KILLS LIMITS "set A=b=c\nset OPTS=--x=1 --y\n"},
		{REST "diff_to_default: true\nconditionally_allowed_syscalls:\n",
		 KILLS "exec 0\nfork -1\nprocesses 32\nkeep HOME\nkeep PATH\nkeep LANG\n"
		       "keep PYENV_ROOT\nkeep PYTHONPATH\nkeep LD_LIBRARY_PATH\nkeep LD_PRELOAD\n"
		       "extends compute\n"},
		{REST "conditionally_allowed_syscalls: [x]\nalowed_syscalls: [read]\n", KILLS LIMITS
		 "p.yml:6:1: Backend.AI Jail has no 'alowed_syscalls' (did you mean "
		 "'allowed_syscalls'?): ignored\n"
		 "p.yml:5:33: conditionally_allowed_syscalls never had a meaning: ignored\n"},
		/* nothing is left out: nothing is limited, nothing is said */
		{REST "whitelist_paths: {OP_OPEN: ['*'], OP_EXEC: [/x, '*'], OP_STAT: ['*']}\n",
		 KILLS "exec -1\nfork -1\nprocesses 32\nkeep PATH\n"},
		{REST "whitelist_paths: {OpOpen: ['/home/user/*', /tmp/, '/data/a*/b', 'x*']}\n",
		 KILLS LIMITS SYSTEM
		 "7 /home/user\n7 /tmp\n7 /data\n"
		 "p.yml:5:27: OP_OPEN was checked for open(2) only, never for openat: now it holds "
		 "for every way to open a file, and programs elsewhere cannot be run (the "
		 "system's folders stay readable)\n"
		 "p.yml:5:51: '/data/a*/b': Landlock knows folders, not patterns: all of /data "
		 "counts\np.yml:5:65: 'x*' is not absolute, so it never matched: ignored\n"},
		{REST "whitelist_paths: {OpExec: ['/opt/run*'], OP_CHMOD: [], OP_ACCESS: [/]}\n",
		 KILLS "exec -1\nfork -1\nprocesses 32\nkeep PATH\n3 /\n" SYSTEM "5 /opt\n"
		       "p.yml:5:52: OP_CHMOD cannot be held: Landlock has no right for it; leave "
		       "chmod, fchmod and fchmodat out of the lists to refuse them\n"
		       "p.yml:5:27: OP_EXEC was compared with the program that calls execve: now "
		       "it says which files may be executed, beside the system's folders; "
		       "exec_allowance no longer counts\n"
		       "p.yml:5:28: '/opt/run*': Landlock knows folders, not patterns: all of /opt "
		       "counts\n"},
		{REST "whitelist_paths: {OP_EXEC: [], OP_OPEN: ['*.py'], OP_SATT: []}\n",
		 KILLS LIMITS SYSTEM
		 "7 /\n"
		 "p.yml:5:51: whitelist_paths has no 'OP_SATT' (did you mean 'OP_STAT'?): ignored\n"
		 "p.yml:5:41: OP_OPEN was checked for open(2) only, never for openat: now it holds "
		 "for every way to open a file, and programs elsewhere cannot be run (the "
		 "system's folders stay readable)\n"
		 "p.yml:5:42: '*.py': Landlock knows folders, not patterns: all of / counts\n"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_cleanup(policy) policy = {0};
		auto_cleanup(buf) got = {0};
		struct err err = {0};

		if (read_text(table[i].text, &policy, &err) < 0)
			fail_msg("%s: %s", table[i].text, err.msg);
		assert_int_equal(policy.format, FORMAT_BACKEND_AI);
		assert_int_equal(policy.fallback.kind, POLICY_ERRNO);
		assert_int_equal(policy.fallback.error, EPERM);
		assert_int_equal(policy.settings.env.preserve_all, TRI_NO);
		assert_int_equal(policy.settings.namespaces, NS_PID | NS_MOUNT);
		describe(&policy, &got);
		if (!str_eq(got.data, table[i].want))
			fail_msg("%s\n--- gives:\n%s--- wants:\n%s", table[i].text, got.data,
				 table[i].want);
	}
}

/* Calls newer than the newest that is listed are unknown to the author. */
static void known(void **state)
{
	auto_cleanup(policy) old = {0}, newer = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(read_text(REST "allowed_syscalls: [read]", &old, &err), 0);
	assert_true(old.has_known);
	assert_int_equal(old.known.part[0], 3);
	assert_int_equal(read_text(REST "allowed_syscalls: [clone3, statx, read]", &newer, &err),
			 0);
	assert_int_equal(newer.known.part[0], 5);
	assert_int_equal(newer.known.part[1], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad),
		cmocka_unit_test(good),
		cmocka_unit_test(known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
