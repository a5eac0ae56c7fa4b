#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "jail/plan/namespace.h"
#include "jail/plan/plan.h"

static char *command[] = {"true", NULL};

static struct jail_spec as_root(void)
{
	return (struct jail_spec){
		.argv = command, .present_cwd = "/var", .may_set_ids = true, .may_admin = true};
}

static struct jail_spec as_user(void)
{
	return (struct jail_spec){
		.argv = command, .present_cwd = "/home/u", .uid = 1000, .gid = 100};
}

static void make(const struct jail_spec *spec, struct plan *plan)
{
	struct err err = {0};

	if (plan_make(spec, plan, &err) < 0)
		fail_msg("%s", err.msg);
}

/* The steps, one on a line, without their numbers. */
static void steps_are(const struct plan *plan, const char *want)
{
	auto_cleanup(buf) got = {0};

	for (size_t i = 0; i < plan->n; i++)
		buf_addf(&got, "%s\n", plan->steps[i].what);
	assert_string_equal(got.data, want);
}

#define START "set no_new_privs\ndrop every capability\nrun true\n"

static void nothing_asked(void **state)
{
	struct jail_spec spec = as_root();
	auto_cleanup(plan) plan = {0};

	(void)state;
	make(&spec, &plan);
	steps_are(&plan, START);
	assert_int_equal(plan.uid_map.len, 0);
}

static void every_namespace(void **state)
{
	struct jail_spec spec = as_root();
	auto_cleanup(plan) plan = {0};

	(void)state;
	spec.namespaces = (1U << NS_COUNT) - 1;
	spec.hostname = "box";
	spec.boottime_s = 100;
	spec.policy = "p.yml";
	spec.caps_are_all = true;
	make(&spec, &plan);
	steps_are(&plan,
		  "create a user namespace\nbecome user 0 and group 0 of the user namespace\n"
		  "create a mount namespace\ncreate a uts namespace\ncreate a ipc namespace\n"
		  "create a net namespace\ncreate a cgroup namespace\ncreate a pid namespace\n"
		  "create a time namespace\n"
		  "set the clock offsets (boottime 100 s, monotonic 0 s)\n"
		  "start the first process of the new namespaces\nset the host name to box\n"
		  "bring the loopback interface up\nmake the mounts private\nmount proc on /proc\n"
		  "mount sysfs on /sys, if allowed\n"
		  "start PID 1, which reaps and forwards signals\nset no_new_privs\n"
		  "keep the capabilities\nload the system-call filter of p.yml\nrun true\n");
	assert_string_equal(plan.uid_map.data, "0 0 1\n");
	assert_false(plan.deny_setgroups);
}

static void options_bring_namespaces(void **state)
{
	static const struct {
		const char *hostname, *root, *uid_map;
		int64_t monotonic_s;
		unsigned int want;
	} table[] = {
		{"x", NULL, NULL, 0, NS_UTS},	   {NULL, "/r", NULL, 0, NS_MOUNT},
		{NULL, NULL, "0:5:1", 0, NS_USER}, {NULL, NULL, NULL, -5, NS_TIME},
		{NULL, NULL, NULL, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		for (int is_user = 0; is_user < 2; is_user++) {
			struct jail_spec spec = is_user ? as_user() : as_root();
			auto_cleanup(plan) plan = {0};
			unsigned int want = table[i].want;

			spec.hostname = table[i].hostname;
			spec.root = table[i].root;
			spec.monotonic_s = table[i].monotonic_s;
			if (table[i].uid_map)
				strv_add(&spec.uid_map, table[i].uid_map);
			make(&spec, &plan);
			/* who may not create the others gets a user namespace along with them */
			assert_int_equal(plan.namespaces, is_user && want ? want | NS_USER : want);
			strv_deinit(&spec.uid_map);
		}
	}
}

static void who_to_be(void **state)
{
	static const struct {
		const char *uid_map, *text;
		uint64_t uid;
	} table[] = {
		{NULL, "0 1000 1\n", 0},
		{"0:1000:1", "0 1000 1\n", 0},
		{"5:1000:1", "5 1000 1\n", 5},
		{"7:999:10", "7 999 10\n", 8},	 /* the caller's own */
		{"7:5000:10", "7 5000 10\n", 7}, /* not mapped: the first */
		{"0:5000:10", "0 5000 10\n", 0},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct jail_spec spec = as_user();
		auto_cleanup(plan) plan = {0};

		spec.namespaces = NS_USER;
		if (table[i].uid_map)
			strv_add(&spec.uid_map, table[i].uid_map);
		make(&spec, &plan);
		strv_deinit(&spec.uid_map);
		assert_string_equal(plan.uid_map.data, table[i].text);
		assert_string_equal(plan.gid_map.data, "0 100 1\n");
		assert_int_equal(plan.steps[1].op, STEP_IDS);
		assert_int_equal(plan.steps[1].value, table[i].uid);
		assert_true(plan.deny_setgroups);
	}
}

static void a_new_root(void **state)
{
	struct jail_spec spec = as_root();
	auto_cleanup(plan) plan = {0};

	(void)state;
	/* given in any order, spelled in any way: parents first */
	strv_add(&spec.rw, "/usr/share//doc/");
	strv_add(&spec.ro, "./data");
	strv_add(&spec.ro, "/usr");
	strv_add(&spec.ro, "/usr");
	strv_add(&spec.rw, "/tmp");
	strv_add(&spec.ro, "/dev/kvm");
	make(&spec, &plan);
	steps_are(&plan,
		  "create a mount namespace\nmake the mounts private\nmake an empty root\n"
		  "copy the link /bin\ncopy the link /sbin\ncopy the link /lib\ncopy the link "
		  "/lib32\n"
		  "copy the link /lib64\n"
		  "mount tmpfs on /dev\nbind /dev/null\nbind /dev/zero\nbind /dev/full\nbind "
		  "/dev/random\n"
		  "bind /dev/urandom\nbind /dev/tty\nlink /dev/fd to /proc/self/fd\n"
		  "link /dev/stdin to /proc/self/fd/0\nlink /dev/stdout to /proc/self/fd/1\n"
		  "link /dev/stderr to /proc/self/fd/2\nmake the folder /dev/shm\nmake the folder "
		  "/dev/pts\n"
		  "mount devpts on /dev/pts\nlink /dev/ptmx to pts/ptmx\nbind /dev/kvm read-only\n"
		  "bind /proc\n"
		  "bind /proc/sys read-only\nbind /proc/sysrq-trigger read-only\n"
		  "bind /proc/irq read-only\nbind /proc/bus read-only\nbind /proc/fs read-only\n"
		  "bind /tmp\nbind /usr read-only\nbind /usr/share/doc\nbind "
		  "/var/data read-only\n"
		  "make the root itself read-only\nenter the new root\n"
		  "change to the folder /var, if it is there\n" START);
	strv_deinit(&spec.ro);
	strv_deinit(&spec.rw);
}

static void the_whole_root(void **state)
{
	struct jail_spec spec = as_root();
	auto_cleanup(plan) plan = {0};

	(void)state;
	strv_add(&spec.ro, "//");
	make(&spec, &plan);
	assert_int_equal(plan.steps[2].op, STEP_ROOT_DIR);
	assert_int_equal(plan.steps[2].value, STEP_RDONLY);
	for (size_t i = 0; i < plan.n; i++)
		assert_int_not_equal(plan.steps[i].op, STEP_RDONLY_ROOT);
	strv_deinit(&spec.ro);
}

static void a_root_dir(void **state)
{
	struct jail_spec spec = as_root();
	auto_cleanup(plan) plan = {0};

	(void)state;
	spec.root = "r";
	spec.cwd = "/x";
	spec.namespaces = NS_PID;
	spec.no_init = true;
	strv_add(&spec.ro, "/usr");
	make(&spec, &plan);
	steps_are(&plan,
		  "create a mount namespace\ncreate a pid namespace\n"
		  "start the first process of the new namespaces\nmake the mounts private\n"
		  "take /var/r as the root\nmount proc on /proc\n"
		  "bind /proc/sys read-only\nbind /proc/sysrq-trigger read-only\n"
		  "bind /proc/irq read-only\nbind /proc/bus read-only\nbind /proc/fs read-only\n"
		  "bind /usr read-only\n"
		  "enter the new root\nchange to the folder /x\n" START);
	/* nothing is made in a folder of the user's */
	for (size_t i = 0; i < plan.n; i++)
		if (plan.steps[i].op == STEP_BIND || plan.steps[i].op == STEP_MOUNT)
			assert_int_equal(plan.steps[i].more, 0);
	strv_deinit(&spec.ro);
}

static void refused(void **state)
{
	static const struct {
		const char *ro, *rw, *root, *uid_map, *hostname, *want;
	} table[] = {
		{"/a", "/a/", NULL, NULL, NULL, "/a is given both to --ro and --rw"},
		{"/a/../b", NULL, NULL, NULL, NULL, "--ro /a/../b: '..' is not allowed"},
		{"", NULL, NULL, NULL, NULL, "--ro: an empty path"},
		{NULL, "/", "/r", NULL, NULL, "--root: /"},
		{NULL, NULL, "..", NULL, NULL, "--root ..: '..' is not allowed"},
		{NULL, NULL, NULL, "0:0", NULL, "--uid-map '0:0': INSIDE:OUTSIDE:COUNT"},
		{NULL, NULL, NULL, "0:0:0", NULL, "--uid-map 0:0:0: COUNT ids"},
		{NULL, NULL, NULL, "1:4294967294:2", NULL, "--uid-map 1:4294967294:2: COUNT ids"},
		{NULL, NULL, NULL, "0:0:-1", NULL, "--uid-map '0:0:-1': INSIDE"},
		{NULL, NULL, NULL, NULL, "", "--hostname: 1 to 64 bytes"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct jail_spec spec = as_root();
		struct plan plan = {.n = 77};
		struct err err = {0};

		if (table[i].ro)
			strv_add(&spec.ro, table[i].ro);
		if (table[i].rw)
			strv_add(&spec.rw, table[i].rw);
		if (table[i].uid_map)
			strv_add(&spec.uid_map, table[i].uid_map);
		spec.root = table[i].root;
		spec.hostname = table[i].hostname;
		assert_int_equal(plan_make(&spec, &plan, &err), -EINVAL);
		if (strncmp(err.msg, table[i].want, strlen(table[i].want)) != 0)
			fail_msg("'%s', expected '%s'", err.msg, table[i].want);
		assert_int_equal(plan.n, 77);
		strv_deinit(&spec.ro);
		strv_deinit(&spec.rw);
		strv_deinit(&spec.uid_map);
	}
}

static void printed(void **state)
{
	static char *odd[] = {"a\"b\\c\n\033[1m", NULL};
	struct jail_spec spec = as_root();
	auto_cleanup(plan) plan = {0};
	auto_cleanup(buf) text = {0}, json = {0};

	(void)state;
	spec.argv = odd;
	make(&spec, &plan);
	plan_print(&plan, &text);
	plan_print_json(&plan, &json);
	assert_null(strchr(text.data, '\033'));
	assert_non_null(strstr(text.data, "  1  set no_new_privs\n"));
	assert_null(strchr(json.data, '\033'));
	assert_non_null(strstr(json.data, "\"command\": [\"a\\\"b\\\\c\\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_asked),
		cmocka_unit_test(every_namespace),
		cmocka_unit_test(options_bring_namespaces),
		cmocka_unit_test(who_to_be),
		cmocka_unit_test(a_new_root),
		cmocka_unit_test(the_whole_root),
		cmocka_unit_test(a_root_dir),
		cmocka_unit_test(refused),
		cmocka_unit_test(printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
