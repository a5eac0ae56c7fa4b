#include "jail/plan/plan-limits.h"

#include <sys/resource.h>

#include "jail/plan/namespace.h"

bool limits_need_cgroup(const struct limits *limits)
{
	return limits_has(limits, LIMIT_PROCESSES) || limits_has(limits, LIMIT_MEMORY) ||
	       limits_has(limits, LIMIT_CPUS) || limits_has(limits, LIMIT_CPU_TIME);
}

static struct limits limits_in(const struct policy *policy)
{
	return limits_of(policy ? &policy->settings : NULL);
}

void plan_add_cgroup(const struct policy *policy, bool wants_usage, struct plan *plan)
{
	struct limits limits = limits_in(policy);

	if (limits_need_cgroup(&limits))
		plan_add(plan, STEP_CGROUP, 0, "enter a cgroup of its own");
	else if (wants_usage)
		plan_add(plan, STEP_CGROUP, 0, "enter a cgroup of its own, if there can be one");
}

void plan_add_processes(const struct policy *policy, bool has_init, struct plan *plan)
{
	struct limits limits = limits_in(policy);
	uint64_t n = limits.value[LIMIT_PROCESSES];
	/* who entered the cgroup before PID 1 was started has that in it as well */
	bool holds_init = has_init && (plan->namespaces & NS_CGROUP);

	if (!limits_has(&limits, LIMIT_PROCESSES))
		return;
	plan_add(plan, STEP_PROCESSES, 0, "limit the processes at once to %llu",
		 (unsigned long long)n)
		->data = str_printf("%llu", (unsigned long long)n + holds_init);
}

/* --- paths and ports --- */

static void print_rights(unsigned int rights, unsigned int first, const char *const *names,
			 size_t n, struct buf *out)
{
	const char *separator = "";

	for (size_t i = 0; i < n; i++) {
		if (!(rights & first << i))
			continue;
		buf_addf(out, "%s%s", separator, names[i]);
		separator = ", ";
	}
}

static void add_path(const struct policy *policy, const struct policy_path *path, struct plan *plan)
{
	static const char *const names[] = {"read", "write", "execute"};
	bool if_there = policy->settings.best_effort == TRI_YES;
	auto_cleanup(buf) rights = {0};
	struct step *s;

	print_rights(path->rights, PATH_READ, names, array_len(names), &rights);
	s = plan_add(plan, STEP_LANDLOCK_PATH, path->rights, "%s:%u:%u: let it %s %s",
		     path->file ? path->file : policy->name, path->at.line, path->at.column,
		     rights.data ? rights.data : "reach", path->path);
	s->target = xstrdup(path->path);
	s->more = if_there ? STEP_IF_THERE : 0;
}

static void add_port(const struct policy *policy, const struct policy_port *port, struct plan *plan)
{
	static const char *const names[] = {"bind", "connect to"};
	auto_cleanup(buf) rights = {0};

	print_rights(port->rights, PORT_BIND, names, array_len(names), &rights);
	plan_add(plan, STEP_LANDLOCK_PORT, port->rights, "%s:%u:%u: let it %s TCP port %u",
		 port->file ? port->file : policy->name, port->at.line, port->at.column,
		 rights.data ? rights.data : "know", port->port)
		->more = port->port;
}

static void add_landlock(const struct policy *policy, struct plan *plan)
{
	const struct policy_settings *s = &policy->settings;
	unsigned int what = (s->has_paths ? STEP_PATHS : 0) | (s->has_ports ? STEP_PORTS : 0);
	static const char *const names[] = {"paths", "TCP ports"};
	auto_cleanup(buf) text = {0};

	if (!what)
		return;
	print_rights(what, STEP_PATHS, names, array_len(names), &text);
	plan_add(plan, STEP_LANDLOCK, what, "forbid all %s but these, by Landlock", text.data)
		->more = s->best_effort == TRI_YES ? STEP_IF_THERE : 0;
	for (size_t i = 0; s->has_paths && i < s->n_paths; i++)
		add_path(policy, &s->paths[i], plan);
	for (size_t i = 0; s->has_ports && i < s->n_ports; i++)
		add_port(policy, &s->ports[i], plan);
	plan_add(plan, STEP_RESTRICT, 0, "enforce these rules of Landlock");
}

/* --- limits of a process --- */

static void add_rlimit(const struct limits *limits, enum policy_limit limit, int resource,
		       struct plan *plan)
{
	uint64_t value = limits->value[limit];
	auto_cleanup(buf) text = {0};

	if (!limits_has(limits, limit))
		return;
	limits_print_value(limit, value, &text);
	plan_add(plan, STEP_RLIMIT, (uint64_t)resource, "limit %s to %s", policy_limit_name(limit),
		 text.data)
		->more = value;
}

int plan_add_restrictions(const struct policy *policy, struct plan *plan, struct err *err)
{
	struct limits limits = limits_in(policy);
	auto_cleanup(buf) text = {0};

	if (!policy)
		return 0;
	if (limits.value[LIMIT_OPEN_FILES] < LIMIT_OPEN_FILES_MIN) {
		limits_print(policy, LIMIT_OPEN_FILES, &text);
		return err_set(err, EINVAL, "limit %s: at least %d, or the command cannot start",
			       text.data, LIMIT_OPEN_FILES_MIN);
	}
	add_landlock(policy, plan);
	if (limits_has(&limits, LIMIT_OUTPUT)) {
		limits_print_value(LIMIT_OUTPUT, limits.value[LIMIT_OUTPUT], &text);
		plan_add(plan, STEP_OUTPUT, 0, "limit output to %s", text.data);
	}
	/* a backstop: jail itself counts the time of all processes together */
	if (limits_has(&limits, LIMIT_CPU_TIME)) {
		uint64_t s = (limits.value[LIMIT_CPU_TIME] + 999) / 1000 + 1;

		plan_add(plan, STEP_RLIMIT, RLIMIT_CPU,
			 "limit the cpu-time of each process to %llus", (unsigned long long)s)
			->more = s;
	}
	add_rlimit(&limits, LIMIT_OPEN_FILES, RLIMIT_NOFILE, plan);
	add_rlimit(&limits, LIMIT_FILE_SIZE, RLIMIT_FSIZE, plan);
	return 0;
}
