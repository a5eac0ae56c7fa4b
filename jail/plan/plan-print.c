#include <string.h>

#include "jail/base/json.h"
#include "jail/plan/namespace.h"
#include "jail/plan/plan.h"

enum { TEXT_MAX = 4096 };

static const char *const op_names[] = {
	[STEP_CGROUP] = "cgroup",
	[STEP_UNSHARE] = "unshare",
	[STEP_IDS] = "ids",
	[STEP_CLOCKS] = "clocks",
	[STEP_FORK] = "fork",
	[STEP_HOSTNAME] = "hostname",
	[STEP_LOOPBACK] = "loopback",
	[STEP_PRIVATE] = "private",
	[STEP_NEW_ROOT] = "new-root",
	[STEP_ROOT_DIR] = "root-dir",
	[STEP_BIND] = "bind",
	[STEP_MOUNT] = "mount",
	[STEP_FOLDER] = "folder",
	[STEP_SYMLINK] = "symlink",
	[STEP_COPY_LINK] = "copy-link",
	[STEP_SYSFS] = "sysfs",
	[STEP_RDONLY_ROOT] = "rdonly-root",
	[STEP_PIVOT] = "pivot",
	[STEP_CWD] = "cwd",
	[STEP_INIT] = "init",
	[STEP_NO_NEW_PRIVS] = "no-new-privs",
	[STEP_CAPS] = "caps",
	[STEP_SECCOMP] = "seccomp",
	[STEP_EXEC] = "exec",
	[STEP_PROCESSES] = "processes",
	[STEP_LANDLOCK] = "landlock",
	[STEP_LANDLOCK_PATH] = "landlock-path",
	[STEP_LANDLOCK_PORT] = "landlock-port",
	[STEP_RESTRICT] = "restrict",
	[STEP_RLIMIT] = "rlimit",
	[STEP_OUTPUT] = "output",
};

static void print_limits(const struct plan *plan, struct buf *out)
{
	const char *separator = "     limits: ";

	for (size_t i = 0; i < LIMIT_COUNT; i++) {
		if (!limits_has(&plan->limits, (enum policy_limit)i))
			continue;
		buf_addf(out, "%s%s ", separator, policy_limit_name((enum policy_limit)i));
		limits_print_value((enum policy_limit)i, plan->limits.value[i], out);
		separator = ", ";
	}
	if (*separator == ',')
		buf_adds(out, "\n");
}

static void print_environment(const struct plan *plan, struct buf *out)
{
	buf_adds(out, "     environment:");
	for (size_t i = 0; plan->envp[i]; i++) {
		buf_adds(out, " ");
		str_printable(out, plan->envp[i], strcspn(plan->envp[i], "="), TEXT_MAX, false);
	}
	buf_adds(out, "\n");
}

void plan_print(const struct plan *plan, struct buf *out)
{
	for (size_t i = 0; i < plan->n; i++) {
		buf_addf(out, "%3zu  ", i + 1);
		str_printable(out, plan->steps[i].what, strlen(plan->steps[i].what), TEXT_MAX,
			      false);
		buf_adds(out, "\n");
	}
	print_limits(plan, out);
	if (plan->envp)
		print_environment(plan, out);
}

static void json_step(const struct step *s, struct buf *out)
{
	buf_adds(out, "    {");
	json_add_text(out, "step", op_names[s->op]);
	json_add_text(out, "what", s->what);
	json_add_text(out, "source", s->source);
	json_add_text(out, "target", s->target);
	json_add_text(out, "type", s->type);
	json_add_text(out, "data", s->data);
	if (s->op == STEP_BIND || s->op == STEP_ROOT_DIR)
		buf_addf(out, ", \"read_only\": %s", s->value & STEP_RDONLY ? "true" : "false");
	if (s->op == STEP_LANDLOCK_PORT)
		json_add_u64(out, "port", s->more);
	if (s->op == STEP_RLIMIT)
		json_add_u64(out, "limit", s->more);
	buf_adds(out, "}");
}

static void json_limits(const struct plan *plan, struct buf *out)
{
	buf_adds(out, ",\n  \"limits\": {");
	for (size_t i = 0; i < LIMIT_COUNT; i++)
		if (limits_has(&plan->limits, (enum policy_limit)i))
			json_add_u64(out, policy_limit_name((enum policy_limit)i),
				     plan->limits.value[i]);
	buf_adds(out, "}");
}

/* Names only: a value may be a secret. */
static void json_environment(const struct plan *plan, struct buf *out)
{
	buf_adds(out, ",\n  \"environment\": [");
	for (size_t i = 0; plan->envp[i]; i++) {
		buf_adds(out, i ? ", " : "");
		json_add_string(out, plan->envp[i], strcspn(plan->envp[i], "="), TEXT_MAX);
	}
	buf_adds(out, "]");
}

static void add_string(struct buf *out, const char *s)
{
	json_add_string(out, s ? s : "", s ? strlen(s) : 0, TEXT_MAX);
}

static const char *network_of(const struct plan *plan)
{
	if (!(plan->namespaces & NS_NET))
		return "host";
	for (size_t i = 0; i < plan->n; i++)
		if (plan->steps[i].op == STEP_LOOPBACK)
			return "loopback";
	return "none";
}

void plan_print_json(const struct plan *plan, struct buf *out)
{
	auto_cleanup(buf) namespaces = {0};

	ns_print(plan->namespaces, &namespaces);
	buf_adds(out, "{\n  \"schema\": 1");
	buf_adds(out, ",\n  \"namespaces\": ");
	add_string(out, namespaces.data);
	buf_adds(out, ",\n  \"uid_map\": ");
	add_string(out, plan->uid_map.data);
	buf_adds(out, ",\n  \"gid_map\": ");
	add_string(out, plan->gid_map.data);
	buf_addf(out, ",\n  \"setgroups\": %s", plan->deny_setgroups ? "false" : "true");
	buf_adds(out, ",\n  \"network\": ");
	add_string(out, network_of(plan));
	buf_adds(out, ",\n  \"command\": [");
	for (size_t i = 0; plan->argv[i]; i++) {
		buf_adds(out, i ? ", " : "");
		add_string(out, plan->argv[i]);
	}
	buf_adds(out, "]");
	json_limits(plan, out);
	if (plan->envp)
		json_environment(plan, out);
	buf_adds(out, ",\n  \"steps\": [\n");
	for (size_t i = 0; i < plan->n; i++) {
		json_step(&plan->steps[i], out);
		buf_adds(out, i + 1 < plan->n ? ",\n" : "\n");
	}
	buf_adds(out, "  ]\n}\n");
}
