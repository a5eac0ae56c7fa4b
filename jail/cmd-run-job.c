/* jail [options] COMMAND: from the plan to the exit code */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "jail/cmd-run.h"
#include "jail/plan/limits.h"
#include "jail/run/apply.h"
#include "jail/run/learn-file.h"
#include "jail/run/sandbox.h"
#include "jail/supervise/plugins.h"
#include "jail/supervise/tracer.h"
#include "jail/system/seccomp.h"

enum { EXIT_USAGE = 2, MODE_LOG = 0644, TEXT_MAX = 1024, MS_PER_S = 1000, US_PER_MS = 1000 };

/* One run and what it needs. */
struct job {
	const struct job_options *options;
	const struct policy *policy; /* NULL: no filter */
	struct plan *plan;
	struct seccomp_features features;
	struct limits limits;
	struct resources resources;
	struct filter_model model;
	struct filter filter, plain;
	struct refusals *refusals;
	struct learn *learn;
	int log_fd;
	struct events events;
	struct plugins plugins;
	struct supervisor supervisor;
	struct tracer tracer;
	struct sandbox sandbox;
	struct sandbox_end end;
};

static void job_deinit(struct job *job)
{
	plugins_deinit(&job->plugins);
	tracer_deinit(&job->tracer);
	supervisor_deinit(&job->supervisor);
	resources_deinit(&job->resources);
	filter_deinit(&job->filter);
	filter_deinit(&job->plain);
	filter_model_deinit(&job->model);
	refusals_destroy(job->refusals);
	learn_destroy(job->learn);
	if (job->log_fd >= 0)
		close(job->log_fd);
}
DEFINE_CLEANUP(job, job_deinit)

int job_failure(const struct err *err, int exit_code)
{
	fprintf(stderr, "jail: %s\n", err->msg);
	return exit_code;
}

int job_check(const struct job_options *o, bool has_policy, struct err *err)
{
	if (o->watch && !has_policy)
		return err_set(err, EINVAL, "--watch: only with --policy");
	if (o->extends && !o->learn)
		return err_set(err, EINVAL, "--extends: only with --learn");
	if (o->watch && o->learn)
		return err_set(err, EINVAL, "--watch and --learn: one of them");
	if (o->debug && o->learn)
		return err_set(err, EINVAL, "--debug and --learn: one of them");
	if (o->plugins.n && o->learn)
		return err_set(err, EINVAL, "--plugin and --learn: one of them");
	for (size_t i = 0; i < o->plugins.n; i++)
		if (*o->plugins.items[i] != '/')
			return err_set(err, EINVAL, "--plugin %.200s: an absolute path expected",
				       o->plugins.items[i]);
	if (o->is_quiet && (o->watch || o->debug || o->learn))
		return err_set(err, EINVAL, "--quiet: not with --watch, --debug or --learn");
	if (o->grace_ms < 0)
		return err_set(err, EINVAL, "--grace: a time expected");
	if (o->status_fd != -1 &&
	    (o->status_fd < 0 || o->status_fd > INT32_MAX || fcntl((int)o->status_fd, F_GETFD) < 0))
		return err_set(err, EINVAL, "--status-fd %lld: no such open descriptor",
			       (long long)o->status_fd);
	return 0;
}

/* --- before ----------------------------------------------------------------------------------- */

/* What only a supervisor can do; NULL: nothing of it is asked for. */
static const char *needs_supervisor(const struct job *job)
{
	const struct job_options *o = job->options;

	if (o->learn)
		return "--learn";
	if (o->watch)
		return "--watch";
	if (o->debug)
		return "--debug";
	if (job->plugins.n)
		return "a plugin";
	if (limits_has(&job->limits, LIMIT_EXEC))
		return "the limit exec";
	return limits_has(&job->limits, LIMIT_FORK) ? "the limit fork" : NULL;
}

static enum filter_mode filter_mode_of(const struct job_options *o)
{
	if (o->learn)
		return FILTER_EVERYTHING;
	return o->watch ? FILTER_WATCH : FILTER_COUNT;
}

/* The filter for a supervisor, and the one without where that may do as well. */
static int compile(struct job *job, bool is_supervised, struct err *err)
{
	const struct job_options *o = job->options;
	struct filter_options plain = {.mode = FILTER_PLAIN, .exec_cookie = job->sandbox.cookie};
	struct filter_options with = {
		.mode = filter_mode_of(o),
		.exec_cookie = job->sandbox.cookie,
		.notify_exec = o->report || limits_has(&job->limits, LIMIT_EXEC),
		.notify_fork = o->report || limits_has(&job->limits, LIMIT_FORK),
	};
	int notified[FILTER_CALLS_MAX], traced[FILTER_CALLS_MAX];
	int r = 0;

	with.notify_calls = notified;
	with.trace_calls = traced;
	for (int nr = 0; nr < FILTER_CALLS_MAX; nr++) {
		if (plugins_want_after(&job->plugins, nr))
			traced[with.n_trace_calls++] = nr;
		else if (o->debug || plugins_want_before(&job->plugins, nr))
			notified[with.n_notify_calls++] = nr;
	}
	if (is_supervised) {
		r = filter_compile(&job->model, &with, &job->filter, err);
		job->sandbox.filter = &job->filter;
	}
	if (r >= 0 && (!is_supervised || (job->features.is_filtered && !needs_supervisor(job)))) {
		r = filter_compile(&job->model, &plain, &job->plain, err);
		*(is_supervised ? &job->sandbox.plain : &job->sandbox.filter) = &job->plain;
	}
	return r < 0 ? r : seccomp_check_actions(&job->features, job->sandbox.filter, err);
}

static void prepare_supervisor(struct job *job)
{
	const struct job_options *o = job->options;
	struct supervisor *s = &job->supervisor;

	s->mode = o->learn ? SUPERVISE_LEARN : o->watch ? SUPERVISE_WATCH : SUPERVISE_ENFORCE;
	s->shows_refused = o->watch || o->debug;
	s->shows_all = o->debug;
	s->model = &job->model;
	s->refusals = job->refusals = refusals_create();
	s->learn = job->learn = learn_create();
	s->events = &job->events;
	s->exec_limit = job->limits.value[LIMIT_EXEC];
	s->fork_limit = job->limits.value[LIMIT_FORK];
	job->sandbox.supervisor = s;
	if (job->plugins.n)
		s->plugins = &job->plugins;
	if (plugins_need_tracer(&job->plugins)) {
		job->tracer.watcher = supervisor_watcher(s);
		job->sandbox.tracer = &job->tracer;
	}
	if (job->features.has[SECCOMP_HAS_KILLABLE])
		job->sandbox.filter_flags = SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
}

/* What refuses nothing asks no plugins. */
static int load_plugins(struct job *job, struct err *err)
{
	const struct policy_settings *settings = &job->policy->settings;
	auto_cleanup(strv) paths = {0};

	if (job->options->learn)
		return 0;
	for (size_t i = 0; i < settings->plugins.n; i++)
		strv_add(&paths, settings->plugins.items[i]);
	for (size_t i = 0; i < job->options->plugins.n; i++)
		strv_add(&paths, job->options->plugins.items[i]);
	return paths.n ? plugins_load(&paths, arch_native(), &job->plugins, err) : 0;
}

static int start_plugins(struct job *job, struct err *err)
{
	if (!job->plugins.n)
		return 0;
	job->plugins.events = &job->events;
	job->plugins.read_memory = supervisor_read;
	job->plugins.context = &job->supervisor;
	return plugins_start(&job->plugins, &job->policy->settings.plugin_args, err);
}

static int prepare_filter(struct job *job, uint64_t caps, struct err *err)
{
	const struct filter_target target = seccomp_target(caps);
	const char *needs = needs_supervisor(job);
	bool can, is_supervised;
	int r = seccomp_probe(&job->features, err);

	if (r < 0)
		return r;
	if (needs) {
		r = seccomp_require(&job->features, SECCOMP_HAS_CONTINUE, needs, err);
		if (r < 0)
			return r;
	}
	can = job->features.has[SECCOMP_HAS_CONTINUE];
	is_supervised = can && (needs || !job->options->is_quiet);
	if (is_supervised)
		prepare_supervisor(job);
	r = seccomp_make_cookie(&job->sandbox.cookie, err);
	if (r >= 0)
		r = filter_model_make(job->policy, &target, &job->model, err);
	return r < 0 ? r : compile(job, is_supervised, err);
}

/* A cgroup for limits, or for --report; what is not to be had is said once. */
static int prepare_resources(struct job *job, struct err *err)
{
	const struct policy *limited_by =
		job->options->watch || job->options->learn ? NULL : job->policy;
	auto_cleanup(strv) notes = {0};
	int r = resources_prepare(limited_by, job->options->report, &job->resources, &notes, err);

	for (size_t i = 0; i < notes.n && !job->options->is_quiet; i++)
		fprintf(stderr, "jail: %s\n", notes.items[i]);
	job->sandbox.resources = &job->resources;
	return r;
}

static int open_log(struct job *job, struct err *err)
{
	const char *path = job->options->log;

	job->events.status_fd = (int)job->options->status_fd;
	if (!path)
		return 0;
	/* of a fifo nobody may have opened the other end, or read from it */
	job->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
			   MODE_LOG);
	if (job->log_fd < 0 && errno == ENXIO)
		return err_set(err, ENXIO, "--log %s: nobody reads this fifo", path);
	if (job->log_fd < 0)
		return err_errno(err, "--log %s", path);
	job->events.log_fd = job->log_fd;
	return 0;
}

static void log_start(struct job *job)
{
	auto_cleanup(buf) object = {0};

	if (!events_are_logged(&job->events))
		return;
	events_begin(&object, "start");
	json_add_u64(&object, "schema", 1);
	json_add_u64(&object, "pid", (uint64_t)getpid());
	json_add_key(&object, "command");
	for (char **arg = job->plan->argv; *arg && object.len < TEXT_MAX; arg++) {
		buf_adds(&object, arg == job->plan->argv ? "[" : ", ");
		json_add_string(&object, *arg, strlen(*arg), TEXT_MAX / 4);
	}
	buf_adds(&object, "]");
	json_add_text(&object, "policy", job->policy ? job->policy->name : NULL);
	events_end(&job->events, &object);
}

/* The first that is said; sandbox_run() sees to SIGPIPE only later. */
static int begin(struct job *job, struct err *err)
{
	const struct timespec now = {0};
	sigset_t pipe, saved;
	int r;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe, &saved);
	log_start(job);
	r = start_plugins(job, err);
	if (!sigismember(&saved, SIGPIPE))
		sigtimedwait(&pipe, NULL, &now);
	sigprocmask(SIG_SETMASK, &saved, NULL);
	return r;
}

/* --- after ------------------------------------------------------------------------------------ */

static int exit_code_of(const struct job *job)
{
	return job->end.is_killed_by_policy ? 128 + SIGSYS : proc_exit_code(job->end.wait_status);
}

static uint64_t refused(const struct job *job)
{
	return job->refusals ? refusals_total(job->refusals) : 0;
}

static uint64_t ms_of(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * MS_PER_S + (uint64_t)time->tv_usec / US_PER_MS;
}

static void log_exit(struct job *job)
{
	struct cgroup_usage peaks = cgroup_usage(&job->resources.cgroup);
	const struct rusage *usage = &job->end.usage;
	auto_cleanup(buf) object = {0};

	if (!events_are_logged(&job->events))
		return;
	events_begin(&object, "exit");
	json_add_u64(&object, "code", (uint64_t)exit_code_of(job));
	if (WIFSIGNALED(job->end.wait_status))
		json_add_u64(&object, "signal", (uint64_t)WTERMSIG(job->end.wait_status));
	json_add_u64(&object, "wall_ms", (uint64_t)job->end.wall_ms);
	json_add_u64(&object, "user_ms", ms_of(&usage->ru_utime));
	json_add_u64(&object, "system_ms", ms_of(&usage->ru_stime));
	json_add_u64(&object, "memory_bytes", (uint64_t)usage->ru_maxrss * 1024);
	if (peaks.memory_peak != UINT64_MAX)
		json_add_u64(&object, "memory_peak_bytes", peaks.memory_peak);
	if (peaks.pids_peak != UINT64_MAX)
		json_add_u64(&object, "processes_peak", peaks.pids_peak);
	if (job->refusals)
		refusals_print_json(job->refusals, job->policy, &object);
	events_end(&job->events, &object);
}

static void print_killed(const struct job *job, struct buf *out)
{
	int status = job->end.wait_status;
	const char *name = job->plan->argv[0];

	if (job->end.is_killed_by_policy && job->supervisor.killed_by)
		buf_addf(out, "jail: %s was killed by the plugin %s\n", name,
			 job->supervisor.killed_by);
	else if (job->end.is_killed_by_policy)
		buf_addf(out,
			 "jail: %s was killed by the policy %s: it made a system call that is not "
			 "allowed\n",
			 name, job->policy->name);
	else if (job->policy && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		buf_addf(out,
			 "jail: %s was killed by SIGSYS, as the policy %s does with a system call "
			 "that is not allowed (its number is in the kernel's log)\n",
			 name, job->policy->name);
	else if (job->end.is_killed_after_grace)
		buf_addf(out, "jail: %s did not end within %lld ms and was killed\n", name,
			 (long long)job->options->grace_ms);
	if (job->policy && (job->options->report || events_are_logged(&job->events)) &&
	    (!job->sandbox.supervisor || job->end.is_unsupervised))
		buf_adds(out, "jail: what was refused was not counted: the kernel is older than "
			      "5.5, or another sandbox supervises this one\n");
	if (job->events.log_error)
		buf_addf(out, "jail: --log %s: %s: it is not whole\n", job->options->log,
			 strerror(job->events.log_error));
	if (job->end.has_survivors)
		buf_adds(out, "jail: processes of the command are left that cannot be killed\n");
}

static void print_limits(struct job *job, struct buf *out)
{
	auto_cleanup(strv) lines = {0};

	resources_finish(&job->resources, job->end.wait_status, &lines);
	if (job->supervisor.is_exec_over)
		resources_say(&job->resources, LIMIT_EXEC, "the execs after it were refused",
			      &lines);
	if (job->supervisor.is_fork_over)
		resources_say(&job->resources, LIMIT_FORK, "what it would start after it was not",
			      &lines);
	for (size_t i = 0; i < lines.n; i++)
		buf_addf(out, "jail: %s\n", lines.items[i]);
}

/* Of a cgroup: what the kernel does not say is left out. */
static void print_usage(const struct job *job, struct buf *out)
{
	struct cgroup_usage usage = cgroup_usage(&job->resources.cgroup);

	if (usage.memory_peak != UINT64_MAX)
		buf_addf(out, "jail: most memory at once %llu KiB\n",
			 (unsigned long long)usage.memory_peak / 1024);
	if (usage.pids_peak != UINT64_MAX)
		buf_addf(out, "jail: most processes and threads at once %llu\n",
			 (unsigned long long)usage.pids_peak);
}

static void print_report(const struct job *job, struct buf *out)
{
	const struct rusage *usage = &job->end.usage;
	uint64_t user = ms_of(&usage->ru_utime), system = ms_of(&usage->ru_stime);
	uint64_t wall = (uint64_t)job->end.wall_ms;

	buf_addf(out, "jail: wall %llu.%03llu s, user %llu.%03llu s, system %llu.%03llu s\n",
		 (unsigned long long)wall / MS_PER_S, (unsigned long long)wall % MS_PER_S,
		 (unsigned long long)user / MS_PER_S, (unsigned long long)user % MS_PER_S,
		 (unsigned long long)system / MS_PER_S, (unsigned long long)system % MS_PER_S);
	buf_addf(out,
		 "jail: largest process %ld KiB, page faults %ld, read %ld, written %ld blocks\n",
		 usage->ru_maxrss, usage->ru_majflt, usage->ru_inblock, usage->ru_oublock);
	if (job->sandbox.supervisor && !job->end.is_unsupervised)
		buf_addf(out, "jail: processes and threads started: %llu, programs: %llu\n",
			 (unsigned long long)job->supervisor.forks,
			 (unsigned long long)job->supervisor.execs);
}

static int finish_learning(struct job *job)
{
	const char *path = job->options->learn;
	auto_cleanup(strv) notes = {0};
	auto_cleanup(buf) name = {0};
	struct err err = {0};
	size_t n;

	if (learn_file_write(path, job->options->extends, job->learn, &n, &notes, &err) < 0)
		return job_failure(&err, EXIT_FAILED);
	for (size_t i = 0; i < notes.n; i++)
		fprintf(stderr, "jail: --learn: %s\n", notes.items[i]);
	if (job->supervisor.other_abi)
		fprintf(stderr,
			"jail: --learn: %llu calls by another ABI (32-bit, x32), which no policy "
			"can allow\n",
			(unsigned long long)job->supervisor.other_abi);
	str_printable(&name, path, strlen(path), PATH_MAX, false);
	fprintf(stderr, "jail: %s has %zu rule%s now\n", name.data, n, n == 1 ? "" : "s");
	return exit_code_of(job);
}

/* A command that did well has lost nothing by ENOSYS to a call that it only tried. */
static bool is_worth_telling(const struct job *job)
{
	return refused(job) && (refusals_matter(job->refusals) || exit_code_of(job));
}

static int conclude(struct job *job)
{
	auto_cleanup(buf) out = {0};

	log_exit(job);
	print_limits(job, &out);
	if (job->options->is_quiet)
		buf_reset(&out);
	else
		print_killed(job, &out);
	if (job->options->report) {
		print_report(job, &out);
		print_usage(job, &out);
	}
	if (job->options->watch && is_worth_telling(job))
		buf_adds(&out, "jail: --watch: nothing was refused; without it it would be:\n");
	if (is_worth_telling(job) && !job->options->is_quiet)
		refusals_print(job->refusals, job->policy, &out);
	if (!job->options->is_quiet)
		plugins_print_refused(&job->plugins, &out);
	fputs(out.data ? out.data : "", stderr);
	return job->options->learn ? finish_learning(job) : exit_code_of(job);
}

int job_run(const struct job_options *options, struct plan *plan, const struct policy *policy,
	    uint64_t caps)
{
	auto_cleanup(job)
		job = {.options = options,
		       .policy = policy->name ? policy : NULL,
		       .plan = plan,
		       .log_fd = -1,
		       .limits = plan->limits,
		       .resources = RESOURCES_INIT,
		       .events = {.show_fd = STDERR_FILENO, .log_fd = -1, .status_fd = -1},
		       .supervisor = SUPERVISOR_INIT};
	struct err err = {0};
	int exit_code = EXIT_FAILED;

	job.sandbox.plan = plan;
	job.sandbox.events = &job.events;
	job.sandbox.grace_ms = options->grace_ms;
	if (options->learn && learn_file_check(options->learn, options->extends, &err) < 0)
		return job_failure(&err, EXIT_USAGE);
	if (options->is_quiet)
		job.events.show_fd = -1;
	if (job.policy && (load_plugins(&job, &err) < 0 || prepare_filter(&job, caps, &err) < 0))
		return job_failure(&err, EXIT_FAILED);
	if (open_log(&job, &err) < 0)
		return job_failure(&err, EXIT_FAILED);
	if (prepare_resources(&job, &err) < 0)
		return job_failure(&err, EXIT_FAILED);
	if (begin(&job, &err) < 0)
		return job_failure(&err, EXIT_FAILED);
	if (sandbox_run(&job.sandbox, &job.end, &exit_code, &err) < 0)
		return job_failure(&err, exit_code);
	plugins_end(&job.plugins);
	return conclude(&job);
}
