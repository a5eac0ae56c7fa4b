/* jail [options] COMMAND: run a program in a sandbox; docs/jail.1 */
#include "jail/cmd-run.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/apply.h"
#include "jail/base/opts.h"
#include "jail/base/proc.h"
#include "jail/base/version.h"
#include "jail/caps.h"
#include "jail/namespace.h"
#include "jail/plan.h"
#include "jail/policy/policy-load.h"
#include "jail/sandbox.h"
#include "jail/seccomp.h"

enum { EXIT_USAGE = 2 };

struct args {
	struct jail_spec spec;
	struct strv namespaces;
	const char *caps;
	bool is_dry_run, is_json, wants_version;
};

static void args_deinit(struct args *args)
{
	strv_deinit(&args->namespaces);
	strv_deinit(&args->spec.uid_map);
	strv_deinit(&args->spec.gid_map);
	strv_deinit(&args->spec.ro);
	strv_deinit(&args->spec.rw);
}
DEFINE_CLEANUP(args, args_deinit)

#define AT(member) offsetof(struct args, member)
static const struct opt options[] = {
	{'p', "policy", "FILE", OPT_STRING, AT(spec.policy),
	 "system calls that are allowed: jail-policy(5)"},
	{'n', "namespace", "LIST", OPT_STRV, AT(namespaces),
	 "new namespaces: user, mount, pid, ipc, uts, net,\ncgroup, time, or all"},
	{0, "uid-map", "INSIDE:OUTSIDE:COUNT", OPT_APPEND, AT(spec.uid_map),
	 "user ids of the user namespace; repeatable\n(default: root inside is the caller)"},
	{0, "gid-map", "INSIDE:OUTSIDE:COUNT", OPT_APPEND, AT(spec.gid_map), "the same for groups"},
	{0, "root", "DIR", OPT_STRING, AT(spec.root), "the folder that becomes /"},
	{0, "ro", "PATH", OPT_APPEND, AT(spec.ro),
	 "a new root that shows PATH, read-only; repeatable"},
	{0, "rw", "PATH", OPT_APPEND, AT(spec.rw), "the same, writable"},
	{0, "hostname", "NAME", OPT_STRING, AT(spec.hostname), "host name inside"},
	{0, "boottime", "SECONDS", OPT_INT64, AT(spec.boottime_s),
	 "offset of the clock since boot"},
	{0, "monotonic", "SECONDS", OPT_INT64, AT(spec.monotonic_s),
	 "offset of the monotonic clock"},
	{0, "cwd", "DIR", OPT_STRING, AT(spec.cwd), "folder to start in"},
	{0, "caps", "LIST", OPT_STRING, AT(caps),
	 "capabilities to keep: all, none, or names\n(default: none)"},
	{0, "no-init", NULL, OPT_FLAG, AT(spec.no_init),
	 "the command itself is PID 1 of the pid namespace"},
	{0, "dry-run", NULL, OPT_FLAG, AT(is_dry_run), "print the steps and do nothing"},
	{0, "json", NULL, OPT_FLAG, AT(is_json), "with --dry-run: as JSON"},
	{0, "version", NULL, OPT_FLAG, AT(wants_version), "print the version"},
};

static int usage_error(const struct err *err)
{
	fprintf(stderr, "jail: %s\nTry 'jail --help' for more information.\n", err->msg);
	return EXIT_USAGE;
}

static int failure(const struct err *err, int exit_code)
{
	fprintf(stderr, "jail: %s\n", err->msg);
	return exit_code;
}

static int print_help(void)
{
	printf("Usage: jail [options] [--] COMMAND [ARGUMENT…]\n"
	       "       jail policy VERB …\n\n"
	       "Run COMMAND in a sandbox.\n\n");
	opts_print(stdout, options, array_len(options));
	printf("\nThe exit status is the command's, 128+N when signal N ended it; 125 when jail "
	       "failed,\n"
	       "126 when COMMAND cannot be executed, 127 when it is not found, 2 on a wrong "
	       "option.\n"
	       "More in jail(1).\n");
	return fflush(stdout) < 0 ? EXIT_FAILED : 0;
}

static int fill_spec(struct args *args, struct err *err)
{
	const uint64_t set_ids = UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID;
	struct jail_spec *spec = &args->spec;
	uint64_t held = caps_held();
	int r = 0;

	for (size_t i = 0; i < args->namespaces.n && r >= 0; i++)
		r = ns_parse(args->namespaces.items[i], &spec->namespaces, err);
	if (r >= 0 && args->caps)
		r = caps_parse(args->caps, &spec->caps, &spec->caps_are_all, err);
	if (r < 0)
		return r;
	spec->uid = geteuid();
	spec->gid = getegid();
	spec->may_set_ids = (held & set_ids) == set_ids;
	spec->may_admin = held & UINT64_C(1) << CAP_SYS_ADMIN;
	return 0;
}

static int dry_run(const struct plan *plan, bool is_json)
{
	auto_cleanup(buf) out = {0};

	if (is_json)
		plan_print_json(plan, &out);
	else
		plan_print(plan, &out);
	fputs(out.data ? out.data : "", stdout);
	return fflush(stdout) < 0 ? EXIT_FAILED : 0;
}

static int end(const struct plan *plan, const struct policy *policy, int wait_status)
{
	if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS &&
	    policy->fallback.kind == POLICY_KILL)
		fprintf(stderr,
			"jail: %s was killed by the policy %s: it made a system call that is not "
			"allowed (its number is in the kernel's log)\n",
			plan->argv[0], policy->name);
	return proc_exit_code(wait_status);
}

/* The filter of a policy for this machine; caps are those that the command keeps. */
static int make_filter(const struct policy *policy, uint64_t caps, uint64_t *cookie,
		       struct filter *ret, struct err *err)
{
	const struct filter_target target = seccomp_target(caps);
	auto_cleanup(filter_model) model = {0};
	struct filter_options compile = {.mode = FILTER_PLAIN};
	struct seccomp_features features;
	int r = seccomp_probe(&features, err);

	if (r >= 0)
		r = seccomp_make_cookie(cookie, err);
	compile.exec_cookie = *cookie;
	if (r >= 0)
		r = filter_model_make(policy, &target, &model, err);
	if (r >= 0)
		r = filter_compile(&model, &compile, ret, err);
	return r < 0 ? r : seccomp_check_actions(&features, ret, err);
}

static int run(struct plan *plan, const struct policy *policy, uint64_t caps)
{
	auto_cleanup(filter) filter = {0};
	int wait_status, exit_code;
	uint64_t cookie = 0;
	struct err err = {0};

	if (policy->name && make_filter(policy, caps, &cookie, &filter, &err) < 0)
		return failure(&err, EXIT_FAILED);
	if (sandbox_run(plan, policy->name ? &filter : NULL, cookie, &wait_status, &exit_code,
			&err) < 0)
		return failure(&err, exit_code);
	return end(plan, policy, wait_status);
}

int cmd_run(int argc, char **argv)
{
	auto_free char *cwd = getcwd(NULL, 0);
	auto_cleanup(args) args = {.spec.present_cwd = cwd ? cwd : "/"};
	auto_cleanup(policy) policy = {0};
	auto_cleanup(plan) plan = {0};
	struct err err = {0};
	int operands = 0, r;

	r = opts_parse(options, array_len(options), OPTS_BEFORE_CMD, argc, argv, &args, &operands,
		       &err);
	if (r > 0)
		return print_help();
	if (r >= 0 && args.wants_version)
		return puts("jail " PROJECT_VERSION) < 0 ? EXIT_FAILED : 0;
	if (r >= 0 && operands == argc)
		r = err_set(&err, EINVAL, "no command given");
	if (r >= 0 && args.is_json && !args.is_dry_run)
		r = err_set(&err, EINVAL, "--json: only with --dry-run");
	if (r < 0)
		return usage_error(&err);
	args.spec.argv = argv + operands;
	if (fill_spec(&args, &err) < 0 || plan_make(&args.spec, &plan, &err) < 0)
		return usage_error(&err);
	if (args.spec.policy && policy_load(args.spec.policy, &policy, &err) < 0)
		return failure(&err, EXIT_USAGE);
	if (args.is_dry_run)
		return dry_run(&plan, args.is_json);
	if (!(plan.namespaces & NS_USER) && caps_check_held(args.spec.caps, &err) < 0)
		return failure(&err, EXIT_FAILED);
	return run(&plan, &policy, args.spec.caps_are_all ? caps_held() : args.spec.caps);
}
