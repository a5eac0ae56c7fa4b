#include "jail/policy/policy-backend-ai.h"

#include <string.h>

#include "jail/plan/namespace.h"
#include "jail/policy/call-args.h"
#include "jail/policy/policy-foreign.h"

/*
 * What that program does, by its source (src/jail.rs, policy/filebased.go): calls that are not
 * listed fail with EPERM; of the traced ones it looks at fork, vfork, clone and execve (counted),
 * at the paths of open, access, chmod and fchmodat, and at the target of kill, tkill and tgkill,
 * which it always traces; all others that are traced are allowed.
 */
static const char *const keys[] = {
	"allowed_syscalls", "traced_syscalls", "conditionally_allowed_syscalls",
	"whitelist_paths",  "exec_allowance",  "fork_allowance",
	"max_child_procs",  "extra_envs",      "preserved_env_keys",
	"diff_to_default"};

/* of its built-in default, which diff_to_default adds to */
static const char *const default_env_keys[] = {
	"HOME", "PATH", "LANG", "PYENV_ROOT", "PYTHONPATH", "LD_LIBRARY_PATH", "LD_PRELOAD"};

const char *const policy_backend_ai_folders[BACKEND_AI_FOLDERS] = {
	"/bin", "/lib", "/lib64", "/usr", "/etc", "/proc", "/dev"};

enum path_op { OP_OPEN, OP_ACCESS, OP_EXEC, OP_STAT, OP_CHMOD, OP_COUNT };
static const char *const op_names[OP_COUNT][2] = {[OP_OPEN] = {"OP_OPEN", "OpOpen"},
						  [OP_ACCESS] = {"OP_ACCESS", "OpAccess"},
						  [OP_EXEC] = {"OP_EXEC", "OpExec"},
						  [OP_STAT] = {"OP_STAT", "OpStat"},
						  [OP_CHMOD] = {"OP_CHMOD", "OpChmod"}};

struct reader {
	const struct yaml *y;
	struct policy *policy;
	struct err *err;
	unsigned int unknown_calls, unknown_keys, globs;
	struct {
		const struct yaml_node *list;
		bool is_everything; /* or not said at all */
	} ops[OP_COUNT];
};

bool policy_backend_ai_is(const struct yaml *y)
{
	for (size_t i = 0; i < array_len(keys); i++)
		if (yaml_get(&y->root, keys[i]))
			return true;
	return false;
}

static bool has_rule(const struct policy *policy, const char *call)
{
	for (size_t i = 0; i < policy->n; i++)
		if (str_eq(policy->rules[i].call->name, call))
			return true;
	return false;
}

/* Calls that are traced to be counted or for their path, which limits and Landlock do here. */
static bool has_other_means(const struct syscall_def *call)
{
	static const char *const counted[] = {"fork",	  "vfork", "clone", "clone3", "execve",
					      "execveat", "kill",  "tkill", "tgkill"};
	const struct arg_def *args = call_args(call);

	for (size_t i = 0; i < array_len(counted); i++)
		if (str_eq(call->name, counted[i]))
			return true;
	for (int i = 0; i < 6; i++)
		if (args[i].type == ARG_PATH)
			return true;
	return false;
}

static int parse_calls(struct reader *r, const char *key, bool are_traced)
{
	const struct yaml_node *list = foreign_get(&r->y->root, key);
	const size_t n_allowed = r->policy->n;
	auto_free bool *is_allowed = xcalloc(syscall_count, sizeof(*is_allowed));
	int e = foreign_check(r->y, list, YAML_LIST, key, r->err);

	for (size_t i = 0; i < n_allowed; i++)
		is_allowed[r->policy->rules[i].call - syscall_at(0)] = true;
	for (size_t i = 0; list && i < list->n && e >= 0; i++) {
		struct policy_action action = {POLICY_ALLOW, 0};
		const struct syscall_def *call;

		e = foreign_call(r->y, &list->items[i], r->policy, &r->unknown_calls, &call,
				 r->err);
		/* libseccomp keeps the first rule: what is allowed is not traced */
		if (e < 1 || is_allowed[call - syscall_at(0)])
			continue;
		if (are_traced && !has_other_means(call))
			action.kind = POLICY_NOTIFY;
		e = foreign_add_rule(r->y, &list->items[i], call, action, r->policy, NULL, r->err);
	}
	return e < 0 ? e : 0;
}

static int parse_rules(struct reader *r)
{
	static const char *const always[] = {"kill", "tkill", "tgkill"};
	const struct yaml_node *conditional =
		foreign_get(&r->y->root, "conditionally_allowed_syscalls");
	int e = parse_calls(r, "allowed_syscalls", false);

	if (e == 0)
		e = parse_calls(r, "traced_syscalls", true);
	for (size_t i = 0; i < array_len(always) && e == 0; i++)
		if (!has_rule(r->policy, always[i]))
			e = foreign_add_rule(r->y, &r->y->root, syscall_find(always[i]),
					     (struct policy_action){POLICY_ALLOW, 0}, r->policy,
					     NULL, r->err);
	if (conditional && (conditional->kind == YAML_SCALAR || conditional->n))
		policy_warn(r->policy, foreign_pos(conditional),
			    "conditionally_allowed_syscalls never had a meaning: ignored");
	return e;
}

/*
 * The author knew the kernel of the newest call in the file: later ones are unknown to it, and fail
 * with ENOSYS, for which libc has fallbacks.
 */
static void guess_known(struct policy *policy)
{
	policy->has_known = true;
	for (size_t i = 0; i < policy->n; i++)
		if (kver_compare(&policy->rules[i].call->since, &policy->known) > 0)
			policy->known = policy->rules[i].call->since;
	if (!policy->known.part[0])
		policy->known.part[0] = 3; /* what the table of calls has no older than */
}

static int parse_limit(struct reader *r, const char *key, enum policy_limit limit)
{
	const struct yaml_node *node = foreign_get(&r->y->root, key);
	int64_t n = -1;

	if (!node)
		policy_warn(r->policy, foreign_pos(&r->y->root), "%s is missing: no limit", key);
	else if (yaml_int(r->y, node, key, -1, INT32_MAX, &n, r->err) < 0)
		return -EINVAL;
	r->policy->settings.limits[limit].is_set = node;
	r->policy->settings.limits[limit].is_unlimited = n < 0;
	r->policy->settings.limits[limit].value = n < 0 ? 0 : n;
	r->policy->settings.limits[limit].at = foreign_pos(node ? node : &r->y->root);
	return 0;
}

static int parse_env(struct reader *r)
{
	const struct yaml_node *set = foreign_get(&r->y->root, "extra_envs");
	const struct yaml_node *keep = foreign_get(&r->y->root, "preserved_env_keys");
	struct policy_settings *s = &r->policy->settings;
	auto_cleanup(strv) kept = {0};

	s->env.has_preserve = true;
	s->env.preserve_all = TRI_NO;
	if (r->policy->extends.n)
		for (size_t i = 0; i < array_len(default_env_keys); i++)
			strv_add(&s->env.preserve, default_env_keys[i]);
	else if (!keep)
		policy_warn(r->policy, foreign_pos(&r->y->root),
			    "preserved_env_keys is missing: no variable is kept, not even PATH");
	if (keep && yaml_strings(r->y, keep, "preserved_env_keys", &kept, r->err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < kept.n; i++)
		if (!strv_has(&s->env.preserve, kept.items[i]))
			strv_add(&s->env.preserve, kept.items[i]);
	if (foreign_check(r->y, set, YAML_LIST, "extra_envs", r->err) < 0)
		return -EINVAL;
	for (size_t i = 0; set && i < set->n; i++) {
		const struct yaml_node *node = &set->items[i];

		if (node->kind != YAML_SCALAR || !strchr(node->text, '=') || *node->text == '=')
			return yaml_error(r->y, node, r->err, "extra_envs: NAME=VALUE expected");
		strv_add(&s->env.set, node->text);
	}
	return 0;
}

static void add_path(struct policy *policy, const char *path, size_t len, unsigned int rights,
		     struct policy_pos at)
{
	struct policy_settings *s = &policy->settings;

	s->paths = xreallocarray(s->paths, s->n_paths + 1, sizeof(*s->paths));
	s->paths[s->n_paths++] =
		(struct policy_path){.path = xstrndup(path, len), .rights = rights, .at = at};
}

static bool is_everything(const char *glob)
{
	return str_eq(glob, "*") || str_eq(glob, "**") || str_eq(glob, "/*") ||
	       str_eq(glob, "/**") || str_eq(glob, "/");
}

/* A pattern as a folder: what comes before its first wildcard. */
static void add_glob(struct reader *r, const struct yaml_node *node, unsigned int rights)
{
	const char *glob = node->text, *rest;
	size_t len = strcspn(glob, "*?[{");

	if (*glob != '/' && *glob != '*') {
		policy_warn(r->policy, foreign_pos(node),
			    "'%.60s' is not absolute, so it never matched: ignored", glob);
		return;
	}
	while (glob[len] && len && glob[len - 1] != '/')
		len--;
	rest = glob + len;
	while (len > 1 && glob[len - 1] == '/')
		len--;
	if (!len) {
		glob = "/";
		len = 1;
	}
	if (rest[strspn(rest, "*")] && r->globs++ < FOREIGN_WARNINGS_MAX)
		policy_warn(r->policy, foreign_pos(node),
			    "'%.60s': Landlock knows folders, not patterns: all of %.*s counts",
			    node->text, (int)len, glob);
	add_path(r->policy, glob, len, rights, foreign_pos(node));
}

static int parse_ops(struct reader *r, const struct yaml_node *map)
{
	const char *known[2 * OP_COUNT];

	if (foreign_check(r->y, map, YAML_MAP, "whitelist_paths", r->err) < 0)
		return -EINVAL;
	memcpy(known, op_names, sizeof(known));
	if (map)
		foreign_check_keys(r->policy, map, "whitelist_paths", known, array_len(known),
				   &r->unknown_keys);
	for (int op = 0; op < OP_COUNT; op++) {
		const struct yaml_node *one = map ? foreign_get(map, op_names[op][0]) : NULL;
		const struct yaml_node *other = map ? foreign_get(map, op_names[op][1]) : NULL;
		const struct yaml_node *list = one ? one : other;

		if (one && other)
			return yaml_error(r->y, other, r->err, "%s and %s are the same: give one",
					  op_names[op][0], op_names[op][1]);
		if (foreign_check(r->y, list, YAML_LIST, op_names[op][0], r->err) < 0)
			return -EINVAL;
		r->ops[op].list = list;
		r->ops[op].is_everything = !list;
		for (size_t i = 0; list && i < list->n; i++) {
			if (list->items[i].kind != YAML_SCALAR || !*list->items[i].text)
				return yaml_error(r->y, &list->items[i], r->err,
						  "a path expected, such as /home/user/*");
			r->ops[op].is_everything |= is_everything(list->items[i].text);
		}
	}
	return 0;
}

static void warn_of_ops(struct reader *r, bool exec_is_limited)
{
	static const char *const never[OP_COUNT] = {
		[OP_ACCESS] = "OP_ACCESS was checked for access(2) only; no kernel facility limits "
			      "such questions, and jail does not",
		[OP_STAT] = "OP_STAT was never enforced; no kernel facility limits such questions, "
			    "and jail does not",
		[OP_CHMOD] = "OP_CHMOD cannot be held: Landlock has no right for it; leave chmod, "
			     "fchmod and fchmodat out of the lists to refuse them",
	};

	for (int op = 0; op < OP_COUNT; op++)
		if (never[op] && !r->ops[op].is_everything)
			policy_warn(r->policy, foreign_pos(r->ops[op].list), "%s", never[op]);
	if (!r->ops[OP_OPEN].is_everything)
		policy_warn(
			r->policy, foreign_pos(r->ops[OP_OPEN].list),
			"OP_OPEN was checked for open(2) only, never for openat: now it holds "
			"for every way to open a file, and programs elsewhere cannot be run (the "
			"system's folders stay readable)");
	if (exec_is_limited)
		policy_warn(r->policy, foreign_pos(r->ops[OP_EXEC].list),
			    "OP_EXEC was compared with the program that calls execve: now it says "
			    "which files may be executed, beside the system's folders; "
			    "exec_allowance no longer counts");
}

/* whitelist_paths as paths for Landlock, when they leave anything out. */
static int parse_paths(struct reader *r)
{
	const struct yaml_node *map = foreign_get(&r->y->root, "whitelist_paths");
	struct policy_settings *s = &r->policy->settings;
	const struct yaml_node *opened, *executed;
	bool exec_is_limited;

	if (parse_ops(r, map) < 0)
		return -EINVAL;
	opened = r->ops[OP_OPEN].list;
	executed = r->ops[OP_EXEC].list;
	/* with an empty OP_EXEC it is exec_allowance that says how often */
	exec_is_limited = executed && executed->n && !r->ops[OP_EXEC].is_everything;
	warn_of_ops(r, exec_is_limited);
	if (executed && executed->n) {
		s->limits[LIMIT_EXEC].is_unlimited = true; /* who matches is not counted */
		s->limits[LIMIT_EXEC].value = 0;
	}
	if (r->ops[OP_OPEN].is_everything && !exec_is_limited)
		return 0;
	s->has_paths = true;
	s->paths_at = foreign_pos(map);
	if (r->ops[OP_OPEN].is_everything)
		add_path(r->policy, "/", 1, PATH_READ | PATH_WRITE, s->paths_at);
	for (int i = 0; i < BACKEND_AI_FOLDERS; i++) {
		const char *folder = policy_backend_ai_folders[i];

		add_path(r->policy, folder, strlen(folder),
			 PATH_READ | (str_eq(folder, "/dev") ? PATH_WRITE : PATH_EXECUTE),
			 s->paths_at);
	}
	for (size_t i = 0; !r->ops[OP_OPEN].is_everything && i < opened->n; i++)
		add_glob(r, &opened->items[i],
			 PATH_READ | PATH_WRITE | (exec_is_limited ? 0 : PATH_EXECUTE));
	for (size_t i = 0; exec_is_limited && i < executed->n; i++)
		add_glob(r, &executed->items[i], PATH_READ | PATH_EXECUTE);
	return 0;
}

static int parse_policy(struct reader *r)
{
	const struct yaml_node *diff = foreign_get(&r->y->root, "diff_to_default");
	struct policy *policy = r->policy;
	bool is_diff = false;
	int e;

	foreign_check_keys(policy, &r->y->root, "Backend.AI Jail", keys, array_len(keys),
			   &r->unknown_keys);
	if (diff && yaml_bool(r->y, diff, "diff_to_default", &is_diff, r->err) < 0)
		return -EINVAL;
	if (is_diff) {
		strv_add(&policy->extends, "compute");
		policy->extends_at = xcalloc(1, sizeof(*policy->extends_at));
		policy->extends_at[0] = foreign_pos(diff);
	}
	policy->fallback = (struct policy_action){POLICY_ERRNO, EPERM};
	policy->fallback_at = foreign_pos(&r->y->root);
	e = parse_rules(r);
	if (e < 0)
		return e;
	guess_known(policy);
	/* it kept signals away from itself; and it refused no start for what it could not do */
	policy->settings.has_namespaces = true;
	policy->settings.namespaces = NS_PID | NS_MOUNT;
	policy->settings.namespaces_at = policy->fallback_at;
	policy->settings.best_effort = TRI_YES;
	if (parse_limit(r, "exec_allowance", LIMIT_EXEC) < 0 ||
	    parse_limit(r, "fork_allowance", LIMIT_FORK) < 0 ||
	    parse_limit(r, "max_child_procs", LIMIT_PROCESSES) < 0 || parse_env(r) < 0)
		return -EINVAL;
	return parse_paths(r);
}

int policy_from_backend_ai(const struct yaml *y, struct policy *ret, struct err *err)
{
	auto_cleanup(policy) policy = {.name = xstrdup(y->name), .format = FORMAT_BACKEND_AI};
	struct reader r = {.y = y, .policy = &policy, .err = err};
	int e = y->root.kind == YAML_MAP ? parse_policy(&r)
					 : yaml_error(y, &y->root, err, "a map expected");

	if (e < 0)
		return e;
	*ret = policy;
	policy = (struct policy){0};
	return 0;
}
