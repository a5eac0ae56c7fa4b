#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "jail/base/yaml.h"
#include "jail/plan/namespace.h"
#include "jail/policy/groups.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-print.h"
#include "jail/policy/policy-yaml.h"

static void good(void **state)
{
	static const struct {
		const char *text, *fallback;
		size_t rules;
	} table[] = {
		{"version: 1\ndefault: allow\n", "allow", 0},
		{"version: 1\ndefault: log\nallow: []\n", "log", 0},
		{"version: 1\ndefault: kill\nallow: [read, write]\n", "kill", 2},
		{"version: 1\ndefault: errno\nallow:\n  - openat\n", "errno EPERM", 1},
		{"version: 1\ndefault: ENOSYS\n", "errno ENOSYS", 0},
		{"version: 1\ndefault: {errno: EWOULDBLOCK}\n", "errno EAGAIN", 0},
		{"version: 1\ndefault: {errno: EHWPOISON}\n", "errno EHWPOISON", 0},
		{"version: 1\ndefault: {errno: 38}\n", "errno ENOSYS", 0},
		{"version: 1\ndefault: {errno: 4095}\n", "errno 4095", 0},
		{"version: 1\ndefault: trap\n", "trap", 0},
		{"version: 1\ndefault: kill-thread\nkill: [ptrace]\n", "kill-thread", 1},
		{"version: 1\ndefault: notify\nwhen: []\n", "notify", 0},
		/* only 32-bit machines, only amd64, newer than libseccomp 2.5.4 */
		{"version: 1\ndefault: kill\nallow: [mmap2, open, cachestat, mseal]\n", "kill", 4},
		{"# twice is no mistake\nversion: 1\ndefault: kill\nallow: [read, read]\n", "kill",
		 2},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_cleanup(policy) policy = {0};
		auto_cleanup(buf) fallback = {0};
		struct err err = {0};

		if (policy_load_text("p.yml", table[i].text, strlen(table[i].text), &policy, &err) <
		    0)
			fail_msg("%s: %s", table[i].text, err.msg);
		policy_action_print(&policy.fallback, &fallback);
		assert_string_equal(fallback.data, table[i].fallback);
		assert_int_equal(policy.n, table[i].rules);
		assert_string_equal(policy.name, "p.yml");
	}
}

static void positions(void **state)
{
	static const char text[] = "version: 1\ndefault: kill\nallow:\n  - read\n  - openat\n";
	auto_cleanup(policy) policy = {0};

	(void)state;
	assert_int_equal(policy_load_text("p", text, strlen(text), &policy, NULL), 0);
	assert_string_equal(policy.rules[1].call->name, "openat");
	assert_int_equal(policy.rules[1].at.line, 5);
	assert_int_equal(policy.rules[1].at.column, 5);
	assert_int_equal(policy.rules[1].action.kind, POLICY_ALLOW);
}

/* A rule as its parts: "allow socket arg0 eq 1 w32, arg1 masked_eq 0xf 1 w32". */
static void dump(const struct policy_rule *rule, struct buf *out)
{
	policy_action_print(&rule->action, out);
	buf_addf(out, " %s", rule->call->name);
	for (size_t i = 0; i < rule->n_conds; i++) {
		const struct policy_cond *c = &rule->conds[i];

		buf_addf(out, "%s arg%u %s", i ? "," : "", c->arg, policy_op_name(c->op));
		if (c->op == POLICY_MASKED_EQ)
			buf_addf(out, " %#llx", (unsigned long long)c->mask[ARCH_AMD64]);
		buf_addf(out, " %#llx", (unsigned long long)c->value[ARCH_AMD64]);
		if (c->value[ARCH_ARM64] != c->value[ARCH_AMD64])
			buf_addf(out, "/%#llx", (unsigned long long)c->value[ARCH_ARM64]);
		buf_adds(out, c->is_32bit ? " w32" : "");
	}
	buf_adds(out, ";");
}

static void rules(void **state)
{
	static const struct {
		const char *list, *entry, *want;
	} table[] = {
		{"allow", "read", "allow read;"},
		{"log", "read", "log read;"},
		{"notify", "read", "notify read;"},
		{"trap", "read", "trap read;"},
		{"kill", "read", "kill read;"},
		{"kill-thread", "read", "kill-thread read;"},
		{"deny", "read", "errno EPERM read;"},
		{"deny", "{read: ENOSYS}", "errno ENOSYS read;"},
		{"deny", "{read: 38}", "errno ENOSYS read;"},
		{"deny", "{read: {errno: EIO}}", "errno EIO read;"},
		{"deny", "{'@bpf': ENOSYS}", "errno ENOSYS bpf;"},
		{"allow", "'@bpf'", "allow bpf;"},
		{"allow", "{socket: {domain: AF_UNIX}}", "allow socket arg0 eq 0x1 w32;"},
		{"allow", "{socket: {arg0: AF_UNIX}}", "allow socket arg0 eq 0x1 w32;"},
		{"deny", "{socket: {domain: AF_VSOCK, errno: EAFNOSUPPORT}}",
		 "errno EAFNOSUPPORT socket arg0 eq 0x28 w32;"},
		{"allow", "{socket: {domain: AF_UNIX, type: SOCK_STREAM | SOCK_CLOEXEC}}",
		 "allow socket arg0 eq 0x1 w32, arg1 eq 0x80001 w32;"},
		{"allow", "{socket: {domain: [1, 2], protocol: 0}}",
		 "allow socket arg0 eq 0x1 w32, arg2 eq 0 w32;"
		 "allow socket arg0 eq 0x2 w32, arg2 eq 0 w32;"},
		{"allow", "{socket: {domain: [1, 2], type: [3, 4]}}",
		 "allow socket arg0 eq 0x1 w32, arg1 eq 0x3 w32;"
		 "allow socket arg0 eq 0x2 w32, arg1 eq 0x3 w32;"
		 "allow socket arg0 eq 0x1 w32, arg1 eq 0x4 w32;"
		 "allow socket arg0 eq 0x2 w32, arg1 eq 0x4 w32;"},
		{"allow", "{ioctl: {cmd: {ne: [TIOCSTI, TIOCLINUX]}}}",
		 "allow ioctl arg1 ne 0x5412 w32, arg1 ne 0x541c w32;"},
		{"allow", "{ioctl: {cmd: {eq: [1, 2]}}}",
		 "allow ioctl arg1 eq 0x1 w32;allow ioctl arg1 eq 0x2 w32;"},
		{"allow", "{read: {count: {ge: 1, le: 8}}}",
		 "allow read arg2 le 0x8, arg2 ge 0x1;"},
		{"allow", "{read: {count: {gt: 017, lt: 0o20}}}",
		 "allow read arg2 lt 0x10, arg2 gt 0xf;"},
		{"allow", "{clone: {flags: {masked_eq: [CLONE_NEWUSER|CLONE_NEWNS, 0]}}}",
		 "allow clone arg0 masked_eq 0x10020000 0 w32;"},
		/* an int of the kernel's: a sign, and nothing above 32 bits */
		{"allow", "{openat: {dirfd: AT_FDCWD}}", "allow openat arg0 eq 0xffffff9c w32;"},
		{"allow", "{openat: {dirfd: -100}}", "allow openat arg0 eq 0xffffff9c w32;"},
		{"allow", "{openat: {dirfd: 0xffffff9c}}", "allow openat arg0 eq 0xffffff9c w32;"},
		{"allow", "{ioctl: {cmd: {eq: 0x100005412, bits: 64}}}",
		 "allow ioctl arg1 eq 0x100005412;"},
		{"allow", "{lseek: {offset: -1}}", "allow lseek arg1 eq 0xffffffffffffffff;"},
		{"allow", "{lseek: {offset: {eq: -1, bits: 32}}}",
		 "allow lseek arg1 eq 0xffffffff w32;"},
		{"allow", "{lseek: {offset: 0xffffffffffffffff}}",
		 "allow lseek arg1 eq 0xffffffffffffffff;"},
		{"allow", "{openat: {flags: O_DIRECTORY}}",
		 "allow openat arg2 eq 0x10000/0x4000 w32;"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_free char *text = str_printf("version: 1\ndefault: kill\n%s: [%s]\n",
						  table[i].list, table[i].entry);
		auto_cleanup(policy) policy = {0};
		auto_cleanup(buf) got = {0};
		struct err err = {0};

		if (policy_load_text("p.yml", text, strlen(text), &policy, &err) < 0)
			fail_msg("%s: %s", table[i].entry, err.msg);
		for (size_t k = 0; k < policy.n; k++)
			dump(&policy.rules[k], &got);
		if (strcmp(got.data, table[i].want) != 0)
			fail_msg("%s\ngives:    %s\nexpected: %s", table[i].entry, got.data,
				 table[i].want);
	}
}

/* tests/data/policy/good/everything.yml, key by key */
static void everything(void **state)
{
	auto_cleanup(policy) p = {0};
	const struct policy_settings *s = &p.settings;
	const struct policy_rule *last;
	struct err err = {0};

	(void)state;
	if (policy_load_one("tests/data/policy/good/everything.yml", &p, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(str_starts(p.summary, "what: a worker"));
	assert_string_equal(p.source, "https://x.org/y");
	assert_string_equal(p.date, "2026-11-21");
	assert_true(p.has_known && p.known.part[0] == 6 && p.known.part[1] == 12);
	assert_int_equal(p.fallback.kind, POLICY_ERRNO);
	assert_int_equal(p.fallback_at.line, 7);
	assert_int_equal(p.unknown.error, ENOSYS);
	assert_int_equal(p.extends.n, 2);
	assert_string_equal(p.extends.items[1], "minimal.yml");
	assert_int_equal(p.extends_at[1].column, 27);
	last = &p.rules[p.n - 1];
	assert_string_equal(last->call->name, "mount");
	assert_int_equal(last->when.arches, 1 << ARCH_AMD64);
	assert_int_equal(last->when.kernel.n, 1);
	assert_int_equal(last->when.caps, UINT64_C(1) << 21); /* CAP_SYS_ADMIN */
	assert_int_equal(last->when.no_caps, UINT64_C(1) << 39);
	assert_string_equal(p.rules[1].group, "@file-read");
	assert_int_equal(p.rules[1].at.line, 11);
	assert_int_equal(p.n_frequency, 2);
	assert_true(p.frequency[0].count > p.frequency[1].count);

	assert_true(s->limits[LIMIT_EXEC].is_set && !s->limits[LIMIT_EXEC].is_unlimited);
	assert_int_equal(s->limits[LIMIT_EXEC].value, 10);
	assert_int_equal(s->limits[LIMIT_MEMORY].value, 512 << 20);
	assert_int_equal(s->limits[LIMIT_CPU_TIME].value, 10000);
	assert_int_equal(s->limits[LIMIT_WALL_TIME].value, 90000);
	assert_int_equal(s->limits[LIMIT_OUTPUT].value, 1 << 20);
	assert_int_equal(s->limits[LIMIT_CPUS].value, 1500);
	assert_true(s->env.has_preserve && s->env.preserve_all == TRI_NO);
	assert_string_equal(s->env.preserve.items[1], "LC_*");
	assert_string_equal(s->env.set.items[1], "A=b=c");
	assert_string_equal(s->env.unset.items[0], "LD_PRELOAD");
	assert_true(s->has_paths && s->n_paths == 3);
	assert_int_equal(s->paths[1].rights, PATH_WRITE);
	assert_string_equal(s->paths[1].path, "/tmp/w");
	assert_true(s->has_ports && s->n_ports == 3);
	assert_int_equal(s->ports[2].port, 80);
	assert_int_equal(s->ports[2].rights, PORT_CONNECT);
	assert_int_equal(s->best_effort, TRI_YES);
	assert_true(s->has_caps && !s->caps_are_all);
	assert_int_equal(s->caps, 1 << 10); /* CAP_NET_BIND_SERVICE */
	assert_true(s->has_namespaces);
	assert_int_equal(s->namespaces, NS_USER | NS_PID | NS_MOUNT);
	assert_int_equal(s->network, NETWORK_LOOPBACK);
	assert_int_equal(s->plugins.n, 2);
	assert_string_equal(s->plugin_args.items[0], "level=1");
}

static void add_rules(const struct policy *policy, struct strv *ret)
{
	for (size_t i = 0; i < policy->n; i++) {
		const struct policy_when *when = &policy->rules[i].when;
		auto_cleanup(buf) text = {0};

		dump(&policy->rules[i], &text);
		buf_addf(&text, " %x %d %llx %llx ", when->arches, when->never,
			 (unsigned long long)when->caps, (unsigned long long)when->no_caps);
		kver_range_print(&text, &when->kernel);
		strv_add(ret, text.data);
	}
	strv_sort(ret);
}

/* What is printed reads back as the same policy, and prints the same again. */
static void check_round_trip(const char *name)
{
	auto_cleanup(policy) policy = {0}, again = {0};
	auto_cleanup(strv) before = {0}, after = {0};
	auto_cleanup(buf) first = {0}, second = {0};
	auto_cleanup(yaml) y = {0};
	struct err err = {0};

	if (policy_load_one(name, &policy, &err) < 0)
		fail_msg("%s", err.msg);
	policy_print(&policy, &first);
	if (yaml_parse(name, first.data, first.len, &y, &err) < 0 ||
	    policy_from_yaml(&y, &again, &err) < 0)
		fail_msg("%s\n%s", err.msg, first.data);
	policy_print(&again, &second);
	assert_string_equal(second.data, first.data);
	add_rules(&policy, &before);
	add_rules(&again, &after);
	assert_int_equal(after.n, before.n);
	for (size_t i = 0; i < after.n; i++)
		assert_string_equal(after.items[i], before.items[i]);
}

static void printed(void **state)
{
	auto_closedir DIR *dir = opendir("tests/data/policy/good");
	struct dirent *entry;
	int n = 0;

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		auto_free char *path = path_join("tests/data/policy/good", entry->d_name);

		if (!str_ends(path, ".yml"))
			continue;
		check_round_trip(path);
		n++;
	}
	assert_true(n >= 8);
	for (size_t i = 0; i < policy_builtin_count; i++)
		check_round_trip(policy_builtin_names[i]);
}

/* Each display of the manual page is a policy, or the part of one that lacks the first two keys. */
static void check_example(const char *text, size_t len, int number)
{
	auto_free char *name = str_printf("example %d", number);
	auto_cleanup(policy) policy = {0};
	auto_cleanup(buf) whole = {0};
	auto_cleanup(yaml) y = {0};
	struct err err = {0};

	if (!str_starts(text, "version: 1\n"))
		buf_adds(&whole, "version: 1\ndefault: kill\n");
	buf_add(&whole, text, len);
	if (yaml_parse(name, whole.data, whole.len, &y, &err) < 0 ||
	    policy_load_text(name, whole.data, whole.len, &policy, &err) < 0)
		fail_msg("%s\n%s", err.msg, whole.data);
	if (!policy.n && !policy.settings.plugins.n && !policy.settings.has_paths)
		fail_msg("%s says nothing:\n%s", name, whole.data);
}

static void manual(void **state)
{
	static const char start[] = ".Bd -literal -offset indent\n";
	auto_cleanup(buf) page = {0};
	const char *p;
	int n = 0;

	(void)state;
	assert_int_equal(io_read_file(AT_FDCWD, "docs/jail-policy.5", 1 << 20, &page, NULL), 0);
	for (p = page.data; (p = strstr(p, start));) {
		const char *end = strstr(p, "\n.Ed\n");

		assert_non_null(end);
		p += strlen(start);
		check_example(p, end + 1 - p, ++n);
	}
	assert_true(n >= 8);
	for (size_t i = 0; i < call_group_count; i++) {
		auto_free char *item = str_printf("\n.It Cm %s\n", call_groups[i].name);

		if (!strstr(page.data, item))
			fail_msg("%s is not in the page", call_groups[i].name);
	}
	for (int i = 0; i < LIMIT_COUNT; i++)
		assert_non_null(strstr(page.data, policy_limit_name(i)));
}

/* The kernel's own numbers, from its headers. */
static void numbers(void **state)
{
	static const struct {
		const char *name;
		int amd64, arm64;
	} table[] = {
		{"read", 0, 63},	 {"openat", 257, 56},
		{"open", 2, -1},	 {"clone3", 435, 435},
		{"execve", 59, 221},	 {"mmap2", -1, -1},
		{"cachestat", 451, 451}, {"fchmodat2", 452, 452},
		{"mseal", 462, 462},	 {"removexattrat", 466, 466},
		{"renameat2", 316, 276}, {"map_shadow_stack", 453, 453},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		const struct syscall_def *call = syscall_find(table[i].name);

		assert_non_null(call);
		assert_int_equal(call->nr[ARCH_AMD64], table[i].amd64);
		assert_int_equal(call->nr[ARCH_ARM64], table[i].arm64);
		if (table[i].amd64 >= 0)
			assert_string_equal(syscall_name(ARCH_AMD64, table[i].amd64),
					    table[i].name);
	}
	assert_null(syscall_find("opne"));
	assert_null(syscall_find(""));
	assert_null(syscall_name(ARCH_AMD64, 100000));
	assert_null(syscall_name(ARCH_AMD64, -1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),	      cmocka_unit_test(positions), cmocka_unit_test(rules),
		cmocka_unit_test(everything), cmocka_unit_test(printed),   cmocka_unit_test(manual),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
