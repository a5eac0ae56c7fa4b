/* What was refused, as a person reads it at the end of a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "jail/base/yaml.h"
#include "jail/learn/refusals.h"
#include "jail/policy/policy-load.h"

static struct refusals *refusals;
static struct policy policy;
static struct filter_model model;

static void use(const char *text)
{
	const struct filter_target target = {.arch = ARCH_AMD64};
	struct err err = {0};

	refusals = refusals_create();
	if (policy_load_text("stale.yml", text, strlen(text), &policy, &err) < 0 ||
	    filter_model_make(&policy, &target, &model, &err) < 0)
		fail_msg("%s", err.msg);
}

static int end(void **state)
{
	(void)state;
	filter_model_deinit(&model);
	policy_deinit(&policy);
	refusals_destroy(refusals);
	refusals = NULL;
	return 0;
}

static void refuse(const char *name, uint64_t arg, const char *program)
{
	const struct syscall_def *call = syscall_find(name);
	const uint64_t args[6] = {arg, arg};
	struct decision d;

	assert_non_null(call);
	d = filter_decide(&model, filter_audit_arch(ARCH_AMD64), call->nr[ARCH_AMD64], args);
	assert_false(policy_kind_allows(d.action.kind));
	refusals_add(refusals, &d, ARCH_AMD64, call->nr[ARCH_AMD64], args, program);
}

static void says(const char *expected)
{
	auto_cleanup(buf) out = {0};

	refusals_print(refusals, &policy, &out);
	assert_string_equal(out.data ? out.data : "", expected);
}

#define HINT "(one run with --learn FILE in place of --policy finds all that is needed)\n"

static void nothing_was_refused(void **state)
{
	(void)state;
	use("version: 1\ndefault: EPERM\n");
	says("");
	assert_false(refusals_matter(refusals));
	assert_int_equal(refusals_total(refusals), 0);
}

static void the_stale_policy(void **state)
{
	(void)state;
	use("version: 1\ndefault: EPERM\nallow:\n  - read\n  - write\n");
	refuse("socket", 2, "python3");
	for (int i = 0; i < 212; i++)
		refuse("getrandom", (uint64_t)i, "python3");
	refuse("socket", 2, "sh");
	says("jail: system calls were refused 214 times by policy stale.yml:\n"
	     "    times  call                       answer        by\n"
	     "      212  getrandom                  errno EPERM   stale.yml:2:10: default, first "
	     "in "
	     "python3\n"
	     "        2  socket: {domain: AF_INET}  errno EPERM   stale.yml:2:10: default, first "
	     "in "
	     "python3\n" HINT "if that was not meant, add to stale.yml, before line 4, in its list "
	     "`allow`:\n"
	     "  - getrandom\n"
	     "  - socket: {domain: AF_INET}\n");
	assert_true(refusals_matter(refusals));
}

static void where_the_lines_go(void **state)
{
	(void)state;
	use("version: 1\ndefault: EPERM\nallow: [read]\n");
	refuse("socket", 2, "a");
	refuse("getpid", 0, "a");
	says("jail: system calls were refused 2 times by policy stale.yml:\n"
	     "    times  call                       answer        by\n"
	     "        1  socket: {domain: AF_INET}  errno EPERM   stale.yml:2:10: default, first "
	     "in "
	     "a\n"
	     "        1  getpid                     errno EPERM   stale.yml:2:10: default, first "
	     "in "
	     "a\n" HINT
	     "if that was not meant, add to stale.yml, in line 3, behind the [ in column "
	     "8:\n"
	     "{socket: {domain: AF_INET}}, getpid, \n");
	end(NULL);
	use("version: 1\ndefault: kill\n");
	refuse("getpid", 0, "");
	says("jail: system calls were refused 1 time by policy stale.yml:\n"
	     "    times  call    answer        by\n"
	     "        1  getpid  kill          stale.yml:2:10: default\n" HINT
	     "if that was not meant, add to stale.yml:\n"
	     "allow:\n"
	     "  - getpid\n");
	end(NULL);
	use("version: 1\ndefault: EPERM\n");
	policy.is_builtin = true;
	free(policy.name);
	policy.name = xstrdup("default");
	refuse("getpid", 0, "");
	says("jail: system calls were refused 1 time by policy default:\n"
	     "    times  call    answer        by\n"
	     "        1  getpid  errno EPERM   default:2:10: default\n" HINT
	     "if that was not meant, write these lines to default-more.yml and use it instead "
	     "(--policy ./default-more.yml):\n"
	     "version: 1\n"
	     "extends: default\n"
	     "allow:\n"
	     "  - getpid\n");
	policy.is_builtin = false;
	policy.format = FORMAT_OCI;
	free(policy.name);
	policy.name = xstrdup("dir.d/my file.json");
	says("jail: system calls were refused 1 time by policy dir.d/my file.json:\n"
	     "    times  call    answer        by\n"
	     "        1  getpid  errno EPERM   dir.d/my file.json:2:10: default\n" HINT
	     "if that was not meant, write these lines to dir.d/my file-more.yml and use it "
	     "instead "
	     "(--policy dir.d/my file-more.yml):\n"
	     "version: 1\n"
	     "extends: \"./my file.json\"\n"
	     "allow:\n"
	     "  - getpid\n");
}

/* In the same file the stricter rule wins: a line more would change nothing. */
static void a_rule_that_refuses_by_name(void **state)
{
	(void)state;
	use("version: 1\ndefault: allow\ndeny:\n  - ptrace\n  - {kill: ESRCH}\n");
	refuse("ptrace", 0, "gdb");
	says("jail: system calls were refused 1 time by policy stale.yml:\n"
	     "    times  call    answer        by\n"
	     "        1  ptrace  errno EPERM   stale.yml:4:5: deny: ptrace, first in gdb\n"
	     "stale.yml:4:5 refuses ptrace by name: if that was not meant, take it "
	     "out there\n");
}

static void probes_are_apart(void **state)
{
	(void)state;
	use("version: 1\ndefault: ENOSYS\n");
	refuse("clone3", 0, "python3");
	refuse("rseq", 0, "python3");
	refuse("clone3", 0, "python3");
	assert_false(refusals_matter(refusals));
	says("jail: asked for and done without (when a kernel lacks them, programs have another "
	     "way): clone3 2 times, rseq 1 time\n");
	refuse("getpid", 0, "python3");
	assert_true(refusals_matter(refusals));
	says("jail: system calls were refused 4 times by policy stale.yml:\n"
	     "    times  call    answer        by\n"
	     "        1  getpid  errno ENOSYS  stale.yml:2:10: default, first in python3\n"
	     "asked for and done without (when a kernel lacks them, programs have another way): "
	     "clone3 2 times, rseq 1 time\n" HINT "if that was not meant, add to stale.yml:\n"
	     "allow:\n"
	     "  - getpid\n");
}

/* EPERM to a probe is no ENOSYS: the C library does not go on. */
static void a_probe_that_is_refused_otherwise(void **state)
{
	(void)state;
	use("version: 1\ndefault: EPERM\n");
	refuse("clone3", 0, "x");
	assert_true(refusals_matter(refusals));
	refuse("set_robust_list", 0, "x");
	says("jail: system calls were refused 2 times by policy stale.yml:\n"
	     "    times  call    answer        by\n"
	     "        1  clone3  errno EPERM   stale.yml:2:10: default, first in x\n"
	     "asked for and done without (when a kernel lacks them, programs have another way): "
	     "set_robust_list 1 time\n" HINT "if that was not meant, add to stale.yml:\n"
	     "allow:\n"
	     "  - clone3\n");
}

static void what_has_no_name(void **state)
{
	const uint64_t args[6] = {0};
	struct decision d;

	(void)state;
	use("version: 1\ndefault: kill\n");
	d = filter_decide(&model, filter_audit_arch(ARCH_AMD64), 1000, args);
	d.action = (struct policy_action){POLICY_KILL, 0};
	d.why = BY_DEFAULT;
	refusals_add(refusals, &d, ARCH_AMD64, 1000, args, "\033[31mred");
	d.why = BY_OTHER_ABI;
	refusals_add(refusals, &d, ARCH_AMD64, 5, args, NULL);
	says("jail: system calls were refused 2 times by policy stale.yml:\n"
	     "    times  call                   answer        by\n"
	     "        1  system call 1000       kill          stale.yml:2:10: default, first in "
	     "?[31mred\n"
	     "        1  call 5 of another ABI  kill          stale.yml:2:10: default (a 32-bit or "
	     "x32 call)\n"
	     "a policy cannot allow calls by a 32-bit or x32 ABI: run a program for this "
	     "architecture\n");
}

/* A program may make calls as it likes: no memory without end, no text without end. */
static void a_flood(void **state)
{
	auto_cleanup(buf) out = {0};
	const uint64_t args[6] = {0};
	struct decision d;

	(void)state;
	use("version: 1\ndefault: EPERM\n");
	for (uint64_t i = 0; i < 1000; i++)
		refuse("ioctl", i, "x");
	for (int nr = 0; nr < 5000; nr++) {
		d = filter_decide(&model, filter_audit_arch(ARCH_AMD64), nr, args);
		d.why = BY_DEFAULT;
		refusals_add(refusals, &d, ARCH_AMD64, nr, args, "x");
	}
	assert_int_equal(refusals_total(refusals), 6000);
	refusals_print(refusals, &policy, &out);
	assert_true(out.len < 40000);
	assert_non_null(strstr(out.data, "of more different ones than are told apart\n"));
	assert_non_null(strstr(out.data, "\n  - ioctl\n"));
}

static void as_json(void **state)
{
	auto_cleanup(buf) out = {0};
	auto_cleanup(yaml) read = {0};

	(void)state;
	use("version: 1\ndefault: EPERM\nallow: [read]\n");
	refuse("socket", 2, "a\"b");
	refuse("rseq", 0, "x");
	buf_adds(&out, "{");
	refusals_print_json(refusals, &policy, &out);
	buf_adds(&out, "}");
	assert_int_equal(yaml_parse("j", out.data, out.len, &read, NULL), 0);
	assert_string_equal(out.data,
			    "{\"refusals\": 2, \"refused\": [{\"call\": \"socket\", \"nr\": 41, "
			    "\"rule\": \"socket: {domain: AF_INET}\", \"count\": 1, "
			    "\"action\": \"errno EPERM\", \"by\": \"stale.yml:2:10: default\", "
			    "\"program\": \"a\\\"b\", \"done_without\": false}, "
			    "{\"call\": \"rseq\", \"nr\": 334, \"rule\": \"rseq\", \"count\": 1, "
			    "\"action\": \"errno EPERM\", \"by\": \"stale.yml:2:10: default\", "
			    "\"program\": \"x\", \"done_without\": true}], "
			    "\"add\": [\"socket: {domain: AF_INET}\"]}");
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_teardown(fn, end)
	const struct CMUnitTest tests[] = {
		TEST(nothing_was_refused),
		TEST(the_stale_policy),
		TEST(where_the_lines_go),
		TEST(a_rule_that_refuses_by_name),
		TEST(probes_are_apart),
		TEST(a_probe_that_is_refused_otherwise),
		TEST(what_has_no_name),
		TEST(a_flood),
		TEST(as_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
