/*
 * A policy as one of Backend.AI Jail: a list of calls that are allowed whatever their arguments, a
 * list of those that are seen, EPERM for the rest. Nothing is allowed that was not before; what
 * does not fit is left out, and said.
 */
#include <errno.h>
#include <string.h>

#include "jail/base/json.h"
#include "jail/inspect/flat.h"
#include "jail/plan/namespace.h"
#include "jail/policy/policy-backend-ai.h"

/* What happens to a call, over both architectures. */
enum fate { FATE_NONE, FATE_REFUSED, FATE_ALLOWED, FATE_SEEN, FATE_MIXED };

struct printer {
	const struct policy *policy;
	struct strv *lost;
	struct buf *out;
	struct strv allowed, seen;
	unsigned int n_logged, n_other_errors;
};

static void printer_deinit(struct printer *p)
{
	strv_deinit(&p->allowed);
	strv_deinit(&p->seen);
}
DEFINE_CLEANUP(printer, printer_deinit)

/* Whether the call has rules only because it stands for others that the architecture lacks. */
static bool is_stand_in(const struct filter_model *model, const struct syscall_def *call)
{
	const int nr = call->nr[model->target.arch];
	const struct filter_call *rules = nr < 0 ? NULL : &model->calls[nr];

	for (size_t i = 0; rules && i < rules->n; i++)
		if (rules->rules[i].rule->call == call)
			return false;
	return rules && rules->n;
}

/* The same on each architecture that has the call, and for all its arguments, or mixed. */
static enum fate call_fate(struct printer *p, const struct filter_model models[ARCH_COUNT],
			   const struct syscall_def *call)
{
	enum fate fate = FATE_NONE;
	bool is_logged = false, is_other_error = false;

	for (int arch = 0; arch < ARCH_COUNT; arch++) {
		auto_cleanup(flat) flat = {0};

		if (is_stand_in(&models[arch], call))
			continue; /* what it stands for is listed */
		if (call->nr[arch] >= 0 && flat_call(&models[arch], call->nr[arch], &flat) < 0)
			return FATE_MIXED;
		for (size_t i = 0; i < flat.n; i++) {
			const struct policy_action *action = &flat.cases[i].action;
			enum fate one = action->kind == POLICY_NOTIFY	   ? FATE_SEEN
					: policy_kind_allows(action->kind) ? FATE_ALLOWED
									   : FATE_REFUSED;

			if (fate != FATE_NONE && fate != one &&
			    (fate == FATE_REFUSED || one == FATE_REFUSED))
				return FATE_MIXED;
			fate = one > fate ? one : fate;
			is_logged |= action->kind == POLICY_LOG;
			is_other_error |= one == FATE_REFUSED &&
					  (action->kind != POLICY_ERRNO || action->error != EPERM);
		}
	}
	p->n_logged += is_logged;
	p->n_other_errors += is_other_error;
	return fate;
}

/*
 * Whether a call that is allowed without capabilities on the newest kernel may be refused in
 * another situation: that format knows none.
 */
static bool may_be_refused(const struct policy *policy, const struct syscall_def *call)
{
	for (size_t i = 0; i < policy->n; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		const struct policy_when *when = &rule->when;

		if (rule->call != call)
			continue;
		if (policy_kind_allows(rule->action.kind)
			    ? !!when->no_caps
			    : when->caps || when->no_caps || when->kernel.n)
			return true;
	}
	for (size_t i = 0; i < policy->n_bases; i++)
		if (may_be_refused(&policy->bases[i], call))
			return true;
	return false;
}

static int sort_calls(struct printer *p, struct err *err)
{
	const struct filter_target targets[ARCH_COUNT] = {{ARCH_AMD64, FILTER_NEWEST_KERNEL, 0},
							  {ARCH_ARM64, FILTER_NEWEST_KERNEL, 0}};
	struct filter_model models[ARCH_COUNT] = {0};
	int r = 0;

	for (int arch = 0; arch < ARCH_COUNT && r == 0; arch++)
		r = filter_model_make(p->policy, &targets[arch], &models[arch], err);
	for (size_t i = 0; i < syscall_count && r == 0; i++) {
		const char *name = syscall_at(i)->name;
		enum fate fate = call_fate(p, models, syscall_at(i));

		if ((fate == FATE_ALLOWED || fate == FATE_SEEN) &&
		    may_be_refused(p->policy, syscall_at(i))) {
			strv_addf(p->lost,
				  "%s: refused with some capabilities or on some kernels: left out",
				  name);
			continue;
		}
		switch (fate) {
		case FATE_ALLOWED:
			strv_add(&p->allowed, name);
			break;
		case FATE_SEEN:
			strv_add(&p->seen, name);
			break;
		case FATE_MIXED:
			strv_addf(p->lost,
				  "%s: allowed for some arguments or on one architecture only: "
				  "left out",
				  name);
			break;
		case FATE_NONE:
		case FATE_REFUSED:
			break;
		}
	}
	for (int arch = 0; arch < ARCH_COUNT; arch++)
		filter_model_deinit(&models[arch]);
	return r;
}

static void print_strings(struct printer *p, const char *key, const struct strv *list)
{
	buf_addf(p->out, "%s: [", key);
	for (size_t i = 0; i < list->n; i++) {
		buf_adds(p->out, i ? ", " : "");
		json_add_string(p->out, list->items[i], strlen(list->items[i]), SIZE_MAX);
	}
	buf_adds(p->out, "]\n");
}

static void print_calls(struct printer *p, const char *key, const struct strv *list)
{
	buf_addf(p->out, "%s:%s\n", key, list->n ? "" : " []");
	for (size_t i = 0; i < list->n; i++)
		buf_addf(p->out, "  - %s\n", list->items[i]);
}

static bool is_system_folder(const char *path)
{
	for (int i = 0; i < BACKEND_AI_FOLDERS; i++)
		if (str_eq(path, policy_backend_ai_folders[i]))
			return true;
	return false;
}

/* All rights of a path that may be listed for each; 0 but for the first time. */
static unsigned int path_rights(const struct policy_settings *s, size_t i)
{
	unsigned int rights = 0;

	for (size_t k = 0; k < s->n_paths; k++) {
		if (!str_eq(s->paths[k].path, s->paths[i].path))
			continue;
		if (k < i)
			return 0;
		rights |= s->paths[k].rights;
	}
	return rights;
}

static void add_glob(struct strv *list, const char *path)
{
	strv_addf(list, "%s/*", str_eq(path, "/") ? "" : path);
}

static void print_paths(struct printer *p, bool exec_is_counted)
{
	const struct policy_settings *s = &p->policy->settings;
	auto_cleanup(strv) opened = {0}, executed = {0}, all = {0}, none = {0};
	bool exec_is_limited = false;

	strv_add(&all, "*");
	for (size_t i = 0; i < s->n_paths; i++) {
		const char *path = s->paths[i].path;
		const unsigned int rights = path_rights(s, i);
		const unsigned int rw = rights & (PATH_READ | PATH_WRITE);
		const bool is_open = rw == (PATH_READ | PATH_WRITE);

		if (!rights || is_system_folder(path))
			continue;
		if (is_open)
			add_glob(&opened, path);
		else if (rw && !(rights & PATH_EXECUTE))
			strv_addf(p->lost, "paths: %s: reading without writing: left out", path);
		if (rights & PATH_EXECUTE)
			add_glob(&executed, path);
		/* what may be opened may be run there, unless OP_EXEC lists some only */
		exec_is_limited |= is_open != !!(rights & PATH_EXECUTE);
	}
	/* what OP_EXEC lists is not counted */
	if (exec_is_limited && (exec_is_counted || !executed.n))
		strv_add(p->lost, "paths: execute: left out, since that program lists or counts");
	buf_adds(p->out, "whitelist_paths:\n");
	print_strings(p, "  OP_OPEN", s->has_paths ? &opened : &all);
	print_strings(p, "  OP_EXEC", exec_is_counted ? &none : exec_is_limited ? &executed : &all);
	print_strings(p, "  OP_ACCESS", &all);
	print_strings(p, "  OP_STAT", &all);
	print_strings(p, "  OP_CHMOD", &all);
	if (s->has_paths)
		strv_add(p->lost, "paths: that program checks open(2) only, not openat");
}

static void print_limit(struct printer *p, const char *key, enum policy_limit limit)
{
	const struct policy_settings *s = &p->policy->settings;

	if (s->limits[limit].is_set && !s->limits[limit].is_unlimited)
		buf_addf(p->out, "%s: %llu\n", key, (unsigned long long)s->limits[limit].value);
	else
		buf_addf(p->out, "%s: -1\n", key);
}

static void print_env(struct printer *p)
{
	const struct policy_settings *s = &p->policy->settings;
	auto_cleanup(strv) keep = {0};

	if (!s->env.has_preserve || s->env.preserve_all == TRI_YES) {
		strv_split(&keep, "HOME,PATH,LANG", ',');
		strv_add(p->lost, "env: all variables are kept: only HOME, PATH and LANG are");
	}
	for (size_t i = 0; i < s->env.preserve.n; i++) {
		if (strchr(s->env.preserve.items[i], '*'))
			strv_addf(p->lost, "env: preserve: %s: left out", s->env.preserve.items[i]);
		else if (!strv_has(&s->env.unset, s->env.preserve.items[i]))
			strv_add(&keep, s->env.preserve.items[i]);
	}
	print_strings(p, "preserved_env_keys", &keep);
	print_strings(p, "extra_envs", &s->env.set);
	for (size_t i = 0; i < s->env.set.n; i++)
		if (strchr(strchr(s->env.set.items[i], '=') + 1, '='))
			strv_addf(p->lost, "env: set: %s: that program cuts it at the second =",
				  s->env.set.items[i]);
}

static void say_lost(struct printer *p)
{
	const struct policy_settings *s = &p->policy->settings;
	const struct {
		bool is_lost;
		const char *text;
	} parts[] = {
		{s->has_ports, "ports"},
		{s->has_caps, "capabilities"},
		{s->has_namespaces && s->namespaces & ~(NS_PID | NS_MOUNT), "namespaces"},
		{s->network != NETWORK_UNSET, "network"},
		{s->plugins.n > 0, "plugins: that program loads those in its own folders"},
		{!strv_has(&p->allowed, "kill") || !strv_has(&p->allowed, "tkill") ||
			 !strv_has(&p->allowed, "tgkill"),
		 "kill, tkill and tgkill are always allowed there"},
	};

	for (int i = 0; i < LIMIT_COUNT; i++)
		if (s->limits[i].is_set && !s->limits[i].is_unlimited && i != LIMIT_EXEC &&
		    i != LIMIT_FORK && i != LIMIT_PROCESSES)
			strv_addf(p->lost, "limits: %s", policy_limit_name(i));
	for (size_t i = 0; i < array_len(parts); i++)
		if (parts[i].is_lost)
			strv_add(p->lost, parts[i].text);
	if (p->n_logged)
		strv_addf(p->lost, "log: calls that are allowed and not logged: %u", p->n_logged);
	if (p->n_other_errors)
		strv_addf(p->lost, "calls that fail with EPERM and not as they do here: %u",
			  p->n_other_errors);
}

void policy_print_backend_ai(const struct policy *policy, struct buf *out, struct strv *lost)
{
	auto_cleanup(printer) p = {.policy = policy, .lost = lost, .out = out};
	const struct policy_settings *s = &policy->settings;
	struct err err = {0};

	if (sort_calls(&p, &err) < 0)
		strv_addf(lost, "%s", err.msg);
	print_paths(&p, s->limits[LIMIT_EXEC].is_set && !s->limits[LIMIT_EXEC].is_unlimited);
	print_limit(&p, "exec_allowance", LIMIT_EXEC);
	print_limit(&p, "fork_allowance", LIMIT_FORK);
	print_limit(&p, "max_child_procs", LIMIT_PROCESSES);
	print_env(&p);
	buf_adds(out, "diff_to_default: false\n");
	print_calls(&p, "traced_syscalls", &p.seen);
	print_calls(&p, "allowed_syscalls", &p.allowed);
	say_lost(&p);
}
