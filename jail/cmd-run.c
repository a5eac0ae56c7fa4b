/* jail [options] COMMAND: run a program in a sandbox; docs/jail.1 */
#include "jail/cmd-run.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "jail/base/opts.h"
#include "jail/base/version.h"
#include "jail/cmd-policy.h"
#include "jail/plan/env.h"
#include "jail/plan/namespace.h"
#include "jail/plan/settings.h"
#include "jail/policy/policy-load.h"
#include "jail/run/apply.h"
#include "jail/system/caps.h"
#include "jail/system/command.h"

enum { EXIT_USAGE = 2, GRACE_MS = 10000 };

struct args {
	struct jail_spec spec;
	struct strv namespaces, env;
	const char *caps, *network;
	bool is_noop, is_dry_run, is_json, wants_version;
	struct job_options job;
};

static void args_deinit(struct args *args)
{
	strv_deinit(&args->namespaces);
	strv_deinit(&args->env);
	strv_deinit(&args->spec.uid_map);
	strv_deinit(&args->spec.gid_map);
	strv_deinit(&args->spec.ro);
	strv_deinit(&args->spec.rw);
	strv_deinit(&args->job.plugins);
}
DEFINE_CLEANUP(args, args_deinit)

#define AT(member) offsetof(struct args, member)
static const struct opt options[] = {
	{'p', "policy", "NAME|FILE", OPT_STRING, AT(spec.policy),
	 "system calls that are allowed: a built-in profile\nor a file, jail-policy(5)"},
	{0, "watch", NULL, OPT_FLAG, AT(job.watch), "refuse nothing, show what would be refused"},
	{0, "debug", NULL, OPT_FLAG, AT(job.debug), "show every system call"},
	{0, "learn", "FILE", OPT_STRING, AT(job.learn),
	 "refuse nothing, write the smallest policy that\nwould have sufficed; merges with FILE"},
	{0, "extends", "NAME|FILE", OPT_STRING, AT(job.extends),
	 "with --learn: only what that policy lacks"},
	{0, "plugin", "FILE", OPT_APPEND, AT(job.plugins),
	 "ask this shared object about calls, an absolute\npath, jail-plugin(3); repeatable"},
	{'q', "quiet", NULL, OPT_FLAG, AT(job.is_quiet),
	 "count and report nothing: the kernel refuses alone"},
	{0, "report", NULL, OPT_FLAG, AT(job.report), "say at the end what was used"},
	{0, "log", "FILE", OPT_STRING, AT(job.log), "append what happens as JSON lines"},
	{0, "status-fd", "N", OPT_INT64, AT(job.status_fd), "the same to an open descriptor"},
	{0, "grace", "TIME", OPT_MS, AT(job.grace_ms), "from INT or TERM to KILL (default: 10s)"},
	{0, "noop", NULL, OPT_FLAG, AT(is_noop), "only execute the command: no sandbox at all"},
	{'n', "namespace", "LIST", OPT_STRV, AT(namespaces),
	 "new namespaces: user, mount, pid, ipc, uts, net,\ncgroup, time, or all"},
	{0, "uid-map", "INSIDE:OUTSIDE:COUNT", OPT_APPEND, AT(spec.uid_map),
	 "user ids of the user namespace; repeatable\n(default: root inside is the caller)"},
	{0, "gid-map", "INSIDE:OUTSIDE:COUNT", OPT_APPEND, AT(spec.gid_map), "the same for groups"},
	{0, "network", "KIND", OPT_STRING, AT(network),
	 "host, loopback or none (default: the policy's)"},
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
	if (r >= 0 && args->network)
		r = network_parse(args->network, &spec->network, err);
	if (r < 0)
		return r;
	spec->wants_usage = args->job.report;
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

/* Nothing of jail's: as if the command had been started without it. */
static int run_directly(char **argv)
{
	struct err err = {0};
	char path[PATH_MAX];
	bool is_missing = command_find(argv[0], env_search_path(environ), path, sizeof(path),
				       &err) == -ENOENT;

	if (!err.code)
		command_exec(path, argv, environ, 0, &err);
	err_wrap(&err, "run %s", argv[0]);
	return job_failure(&err, is_missing ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* These need a filter, whether or not there is a policy. */
static int load_policy(struct args *args, struct policy *policy, struct err *err)
{
	static const char all[] = "version: 1\ndefault: allow\n";

	if (args->spec.policy && !*args->spec.policy)
		return err_set(err, EINVAL, "--policy: an empty path");
	if (args->spec.policy)
		return policy_load(args->spec.policy, policy, err);
	if (!args->job.learn && !args->job.debug && !args->job.plugins.n)
		return 0;
	args->spec.policy = args->job.learn ? "--learn" : args->job.debug ? "--debug" : "--plugin";
	return policy_load_text(args->spec.policy, all, strlen(all), policy, err);
}

/* What refuses nothing has no limits either. */
static int apply_settings(struct args *args, const struct policy *policy, struct err *err)
{
	const struct settings_given given = {
		.caps = args->caps, .namespaces = args->namespaces.n, .network = args->network};
	struct jail_spec *spec = &args->spec;
	int r = settings_apply(policy, &given, environ, &args->env, spec, err);

	if (args->job.watch || args->job.learn)
		spec->limited_by = NULL;
	return r;
}

int cmd_run(int argc, char **argv)
{
	auto_free char *cwd = getcwd(NULL, 0);
	auto_cleanup(args) args = {.spec.present_cwd = cwd ? cwd : "/",
				   .job = {.status_fd = -1, .grace_ms = GRACE_MS}};
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
	if (r >= 0)
		r = job_check(&args.job, args.spec.policy, &err);
	if (r < 0)
		return usage_error(&err);
	args.spec.argv = argv + operands;
	if (args.is_noop)
		return run_directly(args.spec.argv);
	if (fill_spec(&args, &err) < 0)
		return usage_error(&err);
	if (load_policy(&args, &policy, &err) < 0)
		return job_failure(&err, EXIT_USAGE);
	if (policy.name && apply_settings(&args, &policy, &err) < 0)
		return job_failure(&err, EXIT_USAGE);
	if (plan_make(&args.spec, &plan, &err) < 0)
		return usage_error(&err);
	if (!args.job.is_quiet)
		cmd_policy_lines("jail: ", &policy.warnings);
	if (args.is_dry_run)
		return dry_run(&plan, args.is_json);
	if (!(plan.namespaces & NS_USER) && caps_check_held(args.spec.caps, &err) < 0)
		return job_failure(&err, EXIT_FAILED);
	return job_run(&args.job, &plan, &policy,
		       args.spec.caps_are_all ? caps_held() : args.spec.caps);
}
