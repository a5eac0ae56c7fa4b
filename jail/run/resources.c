#include "jail/run/resources.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "jail/base/proc.h"
#include "jail/plan/plan-limits.h"
#include "jail/system/landlock.h"

enum { CPU_CHECK_MIN_MS = 10, US_PER_MS = 1000, CPU_PERIOD_US = 100000 };

static const struct {
	enum policy_limit limit;
	unsigned int controller;
} by_cgroup[] = {
	{LIMIT_CPUS, CGROUP_CPU},
	{LIMIT_MEMORY, CGROUP_MEMORY},
	{LIMIT_PROCESSES, CGROUP_PIDS},
	{LIMIT_CPU_TIME, 0}, /* every group says how much it used */
};

/* A limit that cannot be enforced here: an error, or a line in notes. */
static int cannot(const struct policy *policy, enum policy_limit limit, const char *why,
		  struct strv *notes, struct err *err)
{
	auto_cleanup(buf) text = {0};

	limits_print(policy, limit, &text);
	if (policy->settings.best_effort != TRI_YES)
		return err_set(err, EOPNOTSUPP, "limit %s: %s; 'best-effort: true' does without",
			       text.data, why);
	strv_addf(notes, "limit %s: %s: %s", text.data, why,
		  limit == LIMIT_CPU_TIME ? "holds for each process alone" : "goes without");
	return 0;
}

static int set_memory(const struct cgroup *cgroup, uint64_t bytes, struct err *err)
{
	auto_free char *text = str_printf("%llu", (unsigned long long)bytes);
	int r = cgroup_set(cgroup, "memory.max", text, err);

	if (r < 0)
		return r;
	r = cgroup_set(cgroup, "memory.swap.max", "0", err);
	if (r < 0 && r != -ENOENT) /* a kernel without swap */
		return r;
	r = cgroup_set(cgroup, "memory.oom.group", "1", err); /* no half of it goes on */
	return r == -ENOENT ? 0 : r;			      /* Linux 4.19 */
}

static int set_cpus(const struct cgroup *cgroup, uint64_t thousandths, struct err *err)
{
	/* the kernel wants 1 ms a period at least */
	uint64_t period = thousandths < 10 ? 10 * CPU_PERIOD_US : CPU_PERIOD_US;
	auto_free char *text =
		str_printf("%llu %llu", (unsigned long long)(thousandths * (period / 1000)),
			   (unsigned long long)period);

	return cgroup_set(cgroup, "cpu.max", text, err);
}

/* none: why there is no cgroup at all */
static int set_limits(const struct resources *res, struct strv *notes, const struct err *none,
		      struct err *err)
{
	bool goes_without = res->policy && res->policy->settings.best_effort == TRI_YES;
	const struct cgroup *cgroup = &res->cgroup;
	int r = 0;

	for (size_t i = 0; i < array_len(by_cgroup) && r >= 0; i++) {
		enum policy_limit limit = by_cgroup[i].limit;
		unsigned int missing = by_cgroup[i].controller & ~cgroup->has;
		uint64_t value = res->limits.value[limit];
		auto_cleanup(buf) why = {0};

		if (!limits_has(&res->limits, limit))
			continue;
		if (missing)
			cgroup_print_missing(missing, !goes_without, &why);
		else
			buf_adds(&why, none->msg);
		if (missing || cgroup->dir_fd < 0)
			r = cannot(res->policy, limit, why.data, notes, err);
		else if (limit == LIMIT_MEMORY)
			r = set_memory(cgroup, value, err);
		else if (limit == LIMIT_CPUS)
			r = set_cpus(cgroup, value, err);
	}
	return r; /* pids.max is written by who enters: plan-limits.h */
}

static int make_cgroup(struct resources *res, bool wants_usage, struct strv *notes, struct err *err)
{
	unsigned int wanted = wants_usage ? CGROUP_MEMORY | CGROUP_PIDS : 0;
	bool is_needed = limits_need_cgroup(&res->limits);
	struct err none = {0};

	for (size_t i = 0; i < array_len(by_cgroup); i++)
		if (limits_has(&res->limits, by_cgroup[i].limit))
			wanted |= by_cgroup[i].controller;
	if (!is_needed && !wants_usage)
		return 0;
	cgroup_create(wanted, &res->cgroup, &none);
	return set_limits(res, notes, &none, err);
}

int resources_prepare(const struct policy *policy, bool wants_usage, struct resources *ret,
		      struct strv *notes, struct err *err)
{
	auto_cleanup(resources) res = RESOURCES_INIT;
	int r = policy ? landlock_check(policy, notes, err) : 0;

	res.policy = policy;
	res.limits = limits_of(policy ? &policy->settings : NULL);
	if (r >= 0)
		r = make_cgroup(&res, wants_usage, notes, err);
	if (r >= 0 && limits_has(&res.limits, LIMIT_OUTPUT))
		r = output_start(res.limits.value[LIMIT_OUTPUT], &res.output, err);
	if (r < 0)
		return r;
	*ret = res;
	res = (struct resources)RESOURCES_INIT;
	return 0;
}

void resources_deinit(struct resources *res)
{
	output_deinit(&res->output);
	cgroup_deinit(&res->cgroup);
}

/* --- while it runs --- */

static bool counts_cpu_time(const struct resources *res)
{
	return limits_has(&res->limits, LIMIT_CPU_TIME) && res->cgroup.dir_fd >= 0;
}

/* What is left of the processor time; at most as much passes on each processor meanwhile. */
static int64_t cpu_left_ms(const struct resources *res)
{
	uint64_t used_us = cgroup_cpu_us(&res->cgroup);

	if (used_us == UINT64_MAX)
		return INT64_MAX;
	return (int64_t)res->limits.value[LIMIT_CPU_TIME] - (int64_t)(used_us / US_PER_MS);
}

/* Sets when to look again: no limit of time can be passed before. */
static void plan_next(struct resources *res, int64_t now_ms)
{
	res->next_ms = INT64_MAX;
	if (res->reached >= 0)
		return;
	if (limits_has(&res->limits, LIMIT_WALL_TIME))
		res->next_ms = res->started_ms + (int64_t)res->limits.value[LIMIT_WALL_TIME];
	if (counts_cpu_time(res)) {
		long n = sysconf(_SC_NPROCESSORS_ONLN);
		int64_t left = cpu_left_ms(res) / (n > 0 ? n : 1);

		left = left < CPU_CHECK_MIN_MS ? CPU_CHECK_MIN_MS : left;
		if (left < res->next_ms - now_ms)
			res->next_ms = now_ms + left;
	}
}

void resources_started(struct resources *res)
{
	output_started(&res->output);
	res->started_ms = io_now_ms();
	plan_next(res, res->started_ms);
}

int resources_wait_ms(const struct resources *res)
{
	int64_t left;

	if (res->next_ms == INT64_MAX)
		return -1;
	left = res->next_ms - io_now_ms();
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

int resources_check(struct resources *res)
{
	int64_t now_ms;

	if (res->reached >= 0)
		return -1;
	if (output_over_limit(&res->output))
		res->reached = LIMIT_OUTPUT;
	now_ms = res->next_ms == INT64_MAX ? 0 : io_now_ms();
	if (res->reached < 0 && now_ms < res->next_ms)
		return -1;
	if (limits_has(&res->limits, LIMIT_WALL_TIME) && res->reached < 0 &&
	    now_ms - res->started_ms >= (int64_t)res->limits.value[LIMIT_WALL_TIME])
		res->reached = LIMIT_WALL_TIME;
	if (counts_cpu_time(res) && res->reached < 0 && cpu_left_ms(res) <= 0)
		res->reached = LIMIT_CPU_TIME;
	plan_next(res, now_ms);
	return res->reached;
}

/* --- the end --- */

void resources_say(const struct resources *res, enum policy_limit limit, const char *what,
		   struct strv *lines)
{
	auto_cleanup(buf) text = {0};

	limits_print(res->policy, limit, &text);
	strv_addf(lines, "limit %s reached: %s", text.data, what);
}

void resources_finish(struct resources *res, int wait_status, struct strv *lines)
{
	struct cgroup_usage usage = cgroup_usage(&res->cgroup);
	int sig = proc_exit_code(wait_status) - 128; /* a shell says of its child the same */
	auto_free char *refused = NULL;

	output_finish(&res->output);
	if (res->output.is_over_limit && res->reached < 0)
		res->reached = LIMIT_OUTPUT;
	if (res->reached >= 0)
		resources_say(res, (enum policy_limit)res->reached, "it was ended", lines);
	if (limits_has(&res->limits, LIMIT_MEMORY) && usage.oom_kills != UINT64_MAX &&
	    usage.oom_kills > 0)
		resources_say(res, LIMIT_MEMORY, "the kernel ended it", lines);
	if (limits_has(&res->limits, LIMIT_FILE_SIZE) && sig == SIGXFSZ)
		resources_say(res, LIMIT_FILE_SIZE, "it ended by SIGXFSZ", lines);
	if (limits_has(&res->limits, LIMIT_CPU_TIME) && sig == SIGXCPU && res->reached < 0)
		resources_say(res, LIMIT_CPU_TIME, "it ended by SIGXCPU", lines);
	if (!limits_has(&res->limits, LIMIT_PROCESSES) || usage.forks_refused == UINT64_MAX ||
	    usage.forks_refused == 0)
		return;
	refused = str_printf("%llu times no process could be started",
			     (unsigned long long)usage.forks_refused);
	resources_say(res, LIMIT_PROCESSES, refused, lines);
}
