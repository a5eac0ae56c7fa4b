#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/resource.h>

#include "jail/plan/namespace.h"
#include "jail/plan/plan-limits.h"
#include "jail/plan/settings.h"

static char *command[] = {"true", NULL};
static char *caller[] = {"PATH=/bin", "SECRET=x", NULL};

/* A policy for each test; released by teardown, as a failing assertion skips scopes. */
struct fixture {
	struct policy policy;
	struct jail_spec spec;
	struct settings_given given;
	struct strv vars;
	struct plan plan;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->policy.name = xstrdup("p.yml");
	f->spec = (struct jail_spec){.argv = command,
				     .present_cwd = "/var",
				     .policy = "p.yml",
				     .uid = 1000,
				     .gid = 100,
				     .may_admin = true};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	policy_deinit(&f->policy);
	strv_deinit(&f->vars);
	strv_deinit(&f->spec.uid_map);
	plan_deinit(&f->plan);
	free(f);
	return 0;
}

static int try_it(struct fixture *f, struct err *err)
{
	int r = settings_apply(&f->policy, &f->given, caller, &f->vars, &f->spec, err);

	return r < 0 ? r : plan_make(&f->spec, &f->plan, err);
}

static void steps_are(struct fixture *f, const char *want)
{
	auto_cleanup(buf) got = {0};
	struct err err = {0};

	if (try_it(f, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < f->plan.n; i++)
		buf_addf(&got, "%s\n", f->plan.steps[i].what);
	assert_string_equal(got.data, want);
}

static void refused(struct fixture *f, const char *want)
{
	struct err err = {0};

	assert_int_equal(try_it(f, &err), -EINVAL);
	assert_string_equal(err.msg, want);
}

static void set_limit(struct fixture *f, enum policy_limit limit, uint64_t value)
{
	f->policy.settings.limits[limit].is_set = true;
	f->policy.settings.limits[limit].value = value;
	f->policy.settings.limits[limit].at = (struct policy_pos){3, 9};
}

#define END "load the system-call filter of p.yml\nrun true\n"
#define START "set no_new_privs\ndrop every capability\n"

static void nothing_said(void **state)
{
	struct fixture *f = *state;

	steps_are(f, START END);
	assert_string_equal(f->plan.envp[1], "SECRET=x");
}

static void namespaces_and_ids(void **state)
{
	static const struct {
		unsigned int policy, given;
		enum policy_network network;
		bool may_admin;
		const char *uid_map, *want_map;
		unsigned int want;
	} table[] = {
		{NS_PID, 0, NETWORK_UNSET, true, NULL, "", NS_PID},
		{NS_PID, NS_UTS, NETWORK_UNSET, true, NULL, "", NS_PID | NS_UTS},
		{0, 0, NETWORK_NONE, true, NULL, "", NS_NET},
		{0, 0, NETWORK_LOOPBACK, true, NULL, "", NS_NET},
		{0, 0, NETWORK_HOST, true, NULL, "", 0},
		{0, NS_NET, NETWORK_HOST, true, NULL, "", NS_NET},
		/* a user namespace of the policy's own: the caller's ids */
		{NS_USER, 0, NETWORK_UNSET, true, NULL, "1000 1000 1\n", NS_USER},
		{0, 0, NETWORK_NONE, false, NULL, "1000 1000 1\n", NS_USER | NS_NET},
		{NS_USER, 0, NETWORK_UNSET, true, "5:1000:1", "5 1000 1\n", NS_USER},
		/* of the command line's: root, as without a policy */
		{NS_USER, NS_USER, NETWORK_UNSET, true, NULL, "0 1000 1\n", NS_USER},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct fixture *f;
		void *own;

		setup(&own);
		f = own;
		f->policy.settings.has_namespaces = true;
		f->policy.settings.namespaces = table[i].policy;
		f->policy.settings.network = table[i].network;
		f->spec.namespaces = table[i].given;
		f->given.namespaces = table[i].given;
		f->spec.may_admin = table[i].may_admin;
		if (table[i].uid_map)
			strv_add(&f->spec.uid_map, table[i].uid_map);
		assert_int_equal(try_it(f, NULL), 0);
		assert_int_equal(f->plan.namespaces, table[i].want);
		assert_string_equal(f->plan.uid_map.data ? f->plan.uid_map.data : "",
				    table[i].want_map);
		teardown(&own);
	}
}

static void no_network_at_all(void **state)
{
	struct fixture *f = *state;

	f->policy.settings.network = NETWORK_NONE;
	steps_are(f, "create a net namespace\n" START END);
}

static void loopback(void **state)
{
	struct fixture *f = *state;

	f->policy.settings.network = NETWORK_LOOPBACK;
	steps_are(f, "create a net namespace\nbring the loopback interface up\n" START END);
}

static void the_option_wins(void **state)
{
	struct fixture *f = *state;

	f->policy.settings.network = NETWORK_NONE;
	f->given.network = true;
	f->spec.network = NETWORK_HOST;
	f->policy.settings.has_caps = true;
	f->policy.settings.caps = 1;
	f->given.caps = true;
	steps_are(f, START END);
}

static void host_network_in_a_namespace(void **state)
{
	struct fixture *f = *state;

	f->policy.settings.network = NETWORK_HOST;
	f->policy.settings.network_at = (struct policy_pos){4, 10};
	f->policy.settings.has_namespaces = true;
	f->policy.settings.namespaces = NS_NET;
	refused(f, "p.yml:4:10: network: host, but namespaces has net: leave one out");
}

static void limits_of_a_process(void **state)
{
	struct fixture *f = *state;

	set_limit(f, LIMIT_OPEN_FILES, 64);
	set_limit(f, LIMIT_FILE_SIZE, 10 << 20);
	set_limit(f, LIMIT_WALL_TIME, 1500); /* nobody's step */
	steps_are(f, START "limit open-files to 64\nlimit file-size to 10M\n" END);
	assert_int_equal(f->plan.steps[2].value, RLIMIT_NOFILE);
	assert_int_equal(f->plan.steps[2].more, 64);
	assert_int_equal(f->plan.steps[3].value, RLIMIT_FSIZE);
	assert_int_equal(f->plan.steps[3].more, 10 << 20);
}

static void too_few_files_to_start(void **state)
{
	struct fixture *f = *state;

	set_limit(f, LIMIT_OPEN_FILES, 3);
	refused(f, "limit open-files 3 (p.yml:3:9): at least 16, or the command cannot start");
}

static void an_unlimited_one(void **state)
{
	struct fixture *f = *state;

	set_limit(f, LIMIT_PROCESSES, 3);
	f->policy.settings.limits[LIMIT_PROCESSES].is_unlimited = true;
	steps_are(f, START END);
}

static void limits_of_a_cgroup(void **state)
{
	struct fixture *f = *state;

	set_limit(f, LIMIT_PROCESSES, 8);
	steps_are(f, "enter a cgroup of its own\nlimit the processes at once to 8\n" START END);
	assert_string_equal(f->plan.steps[1].data, "8");
}

/* Where the cgroup is entered before PID 1 starts, PID 1 is in it and does not count. */
static void a_cgroup_with_pid_1_in_it(void **state)
{
	struct fixture *f = *state;

	set_limit(f, LIMIT_PROCESSES, 8);
	f->policy.settings.has_namespaces = true;
	f->policy.settings.namespaces = NS_PID | NS_CGROUP;
	steps_are(f,
		  "enter a cgroup of its own\ncreate a cgroup namespace\ncreate a pid namespace\n"
		  "start the first process of the new namespaces\n"
		  "start PID 1, which reaps and forwards signals\n"
		  "limit the processes at once to 8\n" START END);
	assert_string_equal(f->plan.steps[5].data, "9");
}

static void paths_and_ports(void **state)
{
	struct fixture *f = *state;
	struct policy_settings *s = &f->policy.settings;

	s->has_paths = s->has_ports = true;
	s->n_paths = 2;
	s->paths = xcalloc(s->n_paths, sizeof(*s->paths));
	s->paths[0] = (struct policy_path){xstrdup("/usr"), PATH_READ | PATH_EXECUTE, {5, 3}, NULL};
	s->paths[1] = (struct policy_path){xstrdup("out"), PATH_WRITE, {6, 3}, "base.yml"};
	s->n_ports = 1;
	s->ports = xcalloc(1, sizeof(*s->ports));
	s->ports[0] = (struct policy_port){443, PORT_CONNECT, {7, 9}, NULL};
	steps_are(f, START "forbid all paths, TCP ports but these, by Landlock\n"
			   "p.yml:5:3: let it read, execute /usr\n"
			   "base.yml:6:3: let it write out\n"
			   "p.yml:7:9: let it connect to TCP port 443\n"
			   "enforce these rules of Landlock\n" END);
}

static void nothing_may_be_reached(void **state)
{
	struct fixture *f = *state;

	f->policy.settings.has_paths = true;
	steps_are(f, START "forbid all paths but these, by Landlock\n"
			   "enforce these rules of Landlock\n" END);
}

static void in_words(void **state)
{
	static const struct {
		enum policy_limit limit;
		uint64_t value;
		const char *want;
	} table[] = {
		{LIMIT_MEMORY, 512 << 20, "512M"},
		{LIMIT_MEMORY, 1000, "1000"},
		{LIMIT_OUTPUT, 0, "0"},
		{LIMIT_MEMORY, UINT64_C(3) << 50, "3072T"},
		{LIMIT_WALL_TIME, 2000, "2s"},
		{LIMIT_CPU_TIME, 1500, "1500ms"},
		{LIMIT_CPUS, 1500, "1.5"},
		{LIMIT_FORK, 12, "12"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		auto_cleanup(buf) text = {0};

		limits_print_value(table[i].limit, table[i].value, &text);
		assert_string_equal(text.data, table[i].want);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_said),
		cmocka_unit_test(namespaces_and_ids),
		TEST(no_network_at_all),
		TEST(loopback),
		TEST(the_option_wins),
		TEST(host_network_in_a_namespace),
		TEST(limits_of_a_process),
		TEST(too_few_files_to_start),
		TEST(an_unlimited_one),
		TEST(limits_of_a_cgroup),
		TEST(a_cgroup_with_pid_1_in_it),
		TEST(paths_and_ports),
		TEST(nothing_may_be_reached),
		cmocka_unit_test(in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
