#include "jail/policy/policy-oci.h"

#include <string.h>

#include "jail/policy/cap-names.h"
#include "jail/policy/policy-foreign.h"

struct reader {
	const struct yaml *y;
	struct policy *policy;
	struct err *err;
	unsigned int unknown_calls, unknown_keys, unknown_arches;
	bool has_trace, has_notify; /* said once */
};

static const struct yaml_node *find_profile(const struct yaml *y)
{
	const struct yaml_node *linux_part = foreign_get(&y->root, "linux");

	if (!linux_part)
		return &y->root;
	return linux_part->kind == YAML_MAP ? foreign_get(linux_part, "seccomp") : NULL;
}

bool policy_oci_is(const struct yaml *y)
{
	return yaml_get(&y->root, "defaultAction") || yaml_get(&y->root, "ociVersion") ||
	       (yaml_get(&y->root, "syscalls") && !yaml_get(&y->root, "version"));
}

static int parse_kind(struct reader *r, const struct yaml_node *node, struct policy_action *ret)
{
	static const char *const names[] = {
		"SCMP_ACT_ALLOW",	"SCMP_ACT_ERRNO",	 "SCMP_ACT_KILL",
		"SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP",
		"SCMP_ACT_LOG",		"SCMP_ACT_NOTIFY",	 "SCMP_ACT_TRACE",
	};
	static const struct policy_action actions[] = {
		{POLICY_ALLOW, 0},	 {POLICY_ERRNO, EPERM}, {POLICY_KILL_THREAD, 0},
		{POLICY_KILL_THREAD, 0}, {POLICY_KILL, 0},	{POLICY_TRAP, 0},
		{POLICY_LOG, 0},	 {POLICY_NOTIFY, 0},	{POLICY_ERRNO, ENOSYS},
	};
	const char *near;

	for (size_t i = 0; node->kind == YAML_SCALAR && i < array_len(names); i++) {
		if (!str_eq(node->text, names[i]))
			continue;
		*ret = actions[i];
		if (str_eq(node->text, "SCMP_ACT_TRACE") && !r->has_trace) {
			r->has_trace = true;
			policy_warn(r->policy, foreign_pos(node),
				    "SCMP_ACT_TRACE: nobody traces, so the kernel refuses the call "
				    "with ENOSYS");
		}
		if (ret->kind == POLICY_NOTIFY && !r->has_notify) {
			r->has_notify = true;
			policy_warn(r->policy, foreign_pos(node),
				    "SCMP_ACT_NOTIFY: no agent is asked: jail itself sees the call "
				    "and allows it");
		}
		return 0;
	}
	near = node->kind == YAML_SCALAR ? str_nearest(node->text, names, array_len(names)) : NULL;
	if (near)
		return yaml_error(r->y, node, r->err, "unknown action '%.60s' (did you mean '%s'?)",
				  node->text, near);
	return yaml_error(
		r->y, node, r->err,
		"an action expected: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_ACT_KILL_PROCESS, …");
}

/* errno (a name or number) counts before errnoRet (a number), as in Podman. */
static int parse_errno(struct reader *r, const struct yaml_node *name,
		       const struct yaml_node *number, struct policy_action *action)
{
	const struct yaml_node *node = name ? name : number;
	int error;

	if (name && name->kind == YAML_SCALAR && !*name->text)
		node = number; /* "errno": "" is none */
	if (!node)
		return 0;
	error = node->kind == YAML_SCALAR ? policy_errno_parse(node->text) : 0;
	if (!error)
		return yaml_error(r->y, node, r->err, "an error's %s from 1 to %d expected%s",
				  node == name ? "name, or number" : "number", POLICY_ERRNO_MAX,
				  node->kind == YAML_SCALAR && str_eq(node->text, "0")
					  ? ": with 0 the call would seem to succeed"
					  : "");
	if (action->kind == POLICY_ERRNO && action->error != ENOSYS) /* that is SCMP_ACT_TRACE's */
		action->error = error;
	return 0;
}

static int parse_caps(struct reader *r, const struct yaml_node *list, uint64_t *ret)
{
	int cap;

	if (foreign_check(r->y, list, YAML_LIST, "caps", r->err) < 0)
		return -EINVAL;
	for (size_t i = 0; list && i < list->n; i++) {
		const struct yaml_node *node = &list->items[i];
		const char *near;

		if (node->kind != YAML_SCALAR || !str_starts(node->text, "CAP_"))
			return yaml_error(r->y, node, r->err,
					  "a capability expected, such as CAP_SYS_ADMIN");
		cap = cap_name_find(node->text);
		near = cap_name_suggest(node->text);
		if (cap < 0)
			return yaml_error(r->y, node, r->err, "unknown capability '%.60s'%s%s%s",
					  node->text, near ? " (did you mean 'CAP_" : "",
					  near ? near : "", near ? "'?)" : "");
		*ret |= UINT64_C(1) << cap;
	}
	return 0;
}

/* The architectures of a list that jail runs on, as a mask; *any: it had others or none too. */
static int parse_arches(struct reader *r, const struct yaml_node *list, unsigned int *ret)
{
	/* libseccomp's names, as the engines compare them */
	static const char *const known[] = {
		"amd64",       "arm64",	      "x86",	   "x32",      "arm",
		"mips",	       "mips64",      "mips64n32", "mipsel",   "mipsel64",
		"mipsel64n32", "mips3l64n32", "parisc",	   "parisc64", "ppc",
		"ppc64",       "ppc64le",     "riscv64",   "s390",     "s390x",
		"loong64",     "loongarch64", "m68k",	   "sh",       "sheb"};

	if (foreign_check(r->y, list, YAML_LIST, "arches", r->err) < 0)
		return -EINVAL;
	for (size_t i = 0; list && i < list->n; i++) {
		const struct yaml_node *node = &list->items[i];
		size_t k = 0;

		if (node->kind != YAML_SCALAR)
			return yaml_error(r->y, node, r->err,
					  "an architecture expected, such as amd64");
		while (k < array_len(known) && !str_eq(known[k], node->text))
			k++;
		if (k < ARCH_COUNT)
			*ret |= 1u << arch_parse(node->text);
		else if (k == array_len(known) && r->unknown_arches++ < FOREIGN_WARNINGS_MAX)
			policy_warn(r->policy, foreign_pos(node),
				    "container engines know no architecture '%.40s': it never "
				    "matches",
				    node->text);
	}
	return 0;
}

static int parse_kernel(struct reader *r, const struct yaml_node *node, const char *op,
			struct policy_when *when)
{
	auto_cleanup(buf) text = {0};
	struct err why = {0};

	if (!node || (node->kind == YAML_SCALAR && !*node->text))
		return 0;
	if (node->kind != YAML_SCALAR)
		return yaml_error(r->y, node, r->err, "minKernel: a version expected");
	kver_range_print(&text, &when->kernel);
	buf_addf(&text, "%s%s%.40s", text.len ? " " : "", op, node->text);
	if (kver_range_parse(text.data, &when->kernel, &why) < 0)
		return yaml_error(r->y, node, r->err, "minKernel: a version such as 5.11 expected");
	return 0;
}

/* includes: all of it must be so; excludes: none of it may be. */
static int parse_when(struct reader *r, const struct yaml_node *entry, struct policy_when *ret)
{
	static const char *const keys[] = {"caps", "arches", "minKernel"};
	const unsigned int all = (1u << ARCH_COUNT) - 1;
	const struct yaml_node *in = foreign_get(entry, "includes");
	const struct yaml_node *ex = foreign_get(entry, "excludes"), *arches;
	unsigned int out = 0;

	if (foreign_check(r->y, in, YAML_MAP, "includes", r->err) < 0 ||
	    foreign_check(r->y, ex, YAML_MAP, "excludes", r->err) < 0)
		return -EINVAL;
	if (in) {
		foreign_check_keys(r->policy, in, "includes", keys, array_len(keys),
				   &r->unknown_keys);
		arches = foreign_get(in, "arches");
		if (parse_caps(r, foreign_get(in, "caps"), &ret->caps) < 0 ||
		    parse_arches(r, arches, &ret->arches) < 0 ||
		    parse_kernel(r, foreign_get(in, "minKernel"), ">=", ret) < 0)
			return -EINVAL;
		ret->never = arches && arches->n && !ret->arches;
	}
	if (ex) {
		foreign_check_keys(r->policy, ex, "excludes", keys, array_len(keys),
				   &r->unknown_keys);
		if (parse_caps(r, foreign_get(ex, "caps"), &ret->no_caps) < 0 ||
		    parse_arches(r, foreign_get(ex, "arches"), &out) < 0 ||
		    parse_kernel(r, foreign_get(ex, "minKernel"), "<", ret) < 0)
			return -EINVAL;
	}
	if (out)
		ret->arches = (ret->arches ? ret->arches : all) & ~out;
	ret->never |= out && !ret->arches;
	return 0;
}

static int parse_u64(struct reader *r, const struct yaml_node *arg, const char *key, uint64_t max,
		     uint64_t *ret)
{
	const struct yaml_node *node = foreign_get(arg, key);

	*ret = 0;
	if (!node)
		return 0;
	if (node->kind == YAML_SCALAR && str_to_u64(node->text, 0, max, ret) == 0)
		return 0;
	return yaml_error(r->y, node, r->err, "%s: a number from 0 to %llu expected", key,
			  (unsigned long long)max);
}

static int parse_op(struct reader *r, const struct yaml_node *arg, enum policy_op *ret)
{
	static const char *const names[] = {
		[POLICY_EQ] = "SCMP_CMP_EQ",
		[POLICY_NE] = "SCMP_CMP_NE",
		[POLICY_LT] = "SCMP_CMP_LT",
		[POLICY_LE] = "SCMP_CMP_LE",
		[POLICY_GT] = "SCMP_CMP_GT",
		[POLICY_GE] = "SCMP_CMP_GE",
		[POLICY_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
	};
	const struct yaml_node *node = foreign_get(arg, "op");
	const char *near;

	for (size_t i = 0; node && node->kind == YAML_SCALAR && i < array_len(names); i++) {
		if (str_eq(node->text, names[i])) {
			*ret = i;
			return 0;
		}
	}
	near = node && node->kind == YAML_SCALAR ? str_nearest(node->text, names, array_len(names))
						 : NULL;
	if (near)
		return yaml_error(r->y, node, r->err, "unknown op '%.60s' (did you mean '%s'?)",
				  node->text, near);
	return yaml_error(r->y, node ? node : arg, r->err,
			  "'op' expected: SCMP_CMP_EQ, NE, LT, LE, GT, GE or MASKED_EQ");
}

static int parse_arg(struct reader *r, const struct yaml_node *arg, struct policy_cond *ret)
{
	static const char *const keys[] = {"index", "value", "valueTwo", "op"};
	uint64_t index, value, two;

	if (arg->kind != YAML_MAP)
		return yaml_error(r->y, arg, r->err, "args: {index, value, valueTwo, op} expected");
	foreign_check_keys(r->policy, arg, "args", keys, array_len(keys), &r->unknown_keys);
	if (parse_u64(r, arg, "index", 5, &index) < 0 ||
	    parse_u64(r, arg, "value", UINT64_MAX, &value) < 0 ||
	    parse_u64(r, arg, "valueTwo", UINT64_MAX, &two) < 0 || parse_op(r, arg, &ret->op) < 0)
		return -EINVAL;
	ret->arg = index;
	for (int a = 0; a < ARCH_COUNT; a++) {
		ret->mask[a] = ret->op == POLICY_MASKED_EQ ? value : 0;
		/* libseccomp drops the bits of valueTwo that are not in the mask */
		ret->value[a] = ret->op == POLICY_MASKED_EQ ? two & value : value;
	}
	return 0;
}

struct entry {
	struct policy_action action;
	struct policy_when when;
	struct policy_cond *conds; /* owned; they own nothing */
	size_t n_conds;
	bool are_alternatives; /* two on one argument: the engines make a rule of each */
};

static void entry_deinit(struct entry *entry)
{
	free(entry->conds);
}
DEFINE_CLEANUP(entry, entry_deinit)

static int parse_args(struct reader *r, const struct yaml_node *list, struct entry *entry)
{
	unsigned int seen = 0;

	if (foreign_check(r->y, list, YAML_LIST, "args", r->err) < 0)
		return -EINVAL;
	if (!list || !list->n)
		return 0;
	entry->conds = xcalloc(list->n, sizeof(*entry->conds));
	for (; entry->n_conds < list->n; entry->n_conds++) {
		struct policy_cond *cond = &entry->conds[entry->n_conds];

		if (parse_arg(r, &list->items[entry->n_conds], cond) < 0)
			return -EINVAL;
		entry->are_alternatives |= seen >> cond->arg & 1;
		seen |= 1u << cond->arg;
	}
	return 0;
}

static int add_call(struct reader *r, const struct yaml_node *name, const struct entry *entry)
{
	size_t rules = entry->are_alternatives ? entry->n_conds : 1;
	size_t each = entry->are_alternatives ? 1 : entry->n_conds;
	const struct syscall_def *call;
	int found = foreign_call(r->y, name, r->policy, &r->unknown_calls, &call, r->err);

	for (size_t i = 0; found == 1 && i < rules; i++) {
		struct policy_rule *rule;
		int e = foreign_add_rule(r->y, name, call, entry->action, r->policy, &rule, r->err);

		if (e < 0)
			return e;
		rule->when = entry->when;
		for (size_t k = 0; k < each; k++)
			*policy_add_cond(rule) = entry->conds[i * each + k];
	}
	return found < 0 ? found : 0;
}

static int parse_entry(struct reader *r, const struct yaml_node *node)
{
	static const char *const keys[] = {"names", "name",    "action",   "errno",   "errnoRet",
					   "args",  "comment", "includes", "excludes"};
	auto_cleanup(entry) entry = {0};
	const struct yaml_node *names, *name, *action;
	int e = 0;

	if (node->kind != YAML_MAP)
		return yaml_error(r->y, node, r->err, "{names, action, …} expected");
	foreign_check_keys(r->policy, node, "an entry of syscalls", keys, array_len(keys),
			   &r->unknown_keys);
	names = foreign_get(node, "names");
	name = foreign_get(node, "name");
	action = foreign_get(node, "action");
	if (name && name->kind == YAML_SCALAR && !*name->text)
		name = NULL;
	if (names && name && names->n)
		return yaml_error(r->y, name, r->err, "'name' and 'names' exclude each other");
	if (!names && !name)
		return yaml_error(r->y, node, r->err, "'names' is missing");
	if (!action)
		return yaml_error(r->y, node, r->err, "'action' is missing");
	if (foreign_check(r->y, names, YAML_LIST, "names", r->err) < 0 ||
	    parse_kind(r, action, &entry.action) < 0 ||
	    parse_errno(r, foreign_get(node, "errno"), foreign_get(node, "errnoRet"),
			&entry.action) < 0 ||
	    parse_when(r, node, &entry.when) < 0 ||
	    parse_args(r, foreign_get(node, "args"), &entry) < 0)
		return -EINVAL;
	if (name)
		return add_call(r, name, &entry);
	for (size_t i = 0; i < names->n && e == 0; i++)
		e = add_call(r, &names->items[i], &entry);
	return e;
}

/* What container engines do with calls that are listed more than once; by the call's index. */
struct call_rules {
	const struct policy_rule *plain; /* the first one that always counts */
	bool has_other;			 /* than the default action */
};

static size_t call_index(const struct policy_rule *rule)
{
	return rule->call - syscall_at(0);
}

static bool is_plain(const struct policy_rule *rule)
{
	return !rule->n_conds && policy_when_is_always(&rule->when);
}

/*
 * The engines skip rules that repeat the default action: where such a call has other rules too, it
 * is these that count. And where a call is listed with and without conditions, libseccomp keeps
 * what has none; a stricter rule is kept here, and the difference is said.
 */
static void settle(struct policy *policy)
{
	auto_free struct call_rules *calls = xcalloc(syscall_count, sizeof(*calls));
	unsigned int warned = 0;
	size_t kept = 0;

	for (size_t i = 0; i < policy->n; i++)
		calls[call_index(&policy->rules[i])].has_other |=
			!policy_action_equal(&policy->rules[i].action, &policy->fallback);
	for (size_t i = 0; i < policy->n; i++) {
		struct policy_rule *rule = &policy->rules[i];

		if (policy_action_equal(&rule->action, &policy->fallback) &&
		    calls[call_index(rule)].has_other)
			policy_rule_deinit(rule);
		else
			policy->rules[kept++] = *rule;
	}
	policy->n = kept;
	for (size_t i = 0; i < kept; i++)
		if (is_plain(&policy->rules[i]) && !calls[call_index(&policy->rules[i])].plain)
			calls[call_index(&policy->rules[i])].plain = &policy->rules[i];
	for (size_t i = 0; i < kept; i++) {
		const struct policy_rule *rule = &policy->rules[i];
		const struct policy_rule *plain = calls[call_index(rule)].plain;

		if (plain && rule->action.kind > plain->action.kind &&
		    warned++ < FOREIGN_WARNINGS_MAX)
			policy_warn(policy, rule->at,
				    "%s: container engines go by line %u, which has no conditions; "
				    "jail by this, the stricter one",
				    rule->call->name, plain->at.line);
	}
}

static int check_architectures(struct reader *r, const struct yaml_node *root)
{
	const struct yaml_node *list = foreign_get(root, "architectures");
	const struct yaml_node *map = foreign_get(root, "archMap");

	if (foreign_check(r->y, list, YAML_LIST, "architectures", r->err) < 0 ||
	    foreign_check(r->y, map, YAML_LIST, "archMap", r->err) < 0)
		return -EINVAL;
	if (list && map && list->n && map->n)
		return yaml_error(r->y, map, r->err,
				  "'architectures' and 'archMap' exclude each other");
	for (size_t i = 0; list && i < list->n; i++)
		if (list->items[i].kind != YAML_SCALAR ||
		    !str_starts(list->items[i].text, "SCMP_ARCH_"))
			return yaml_error(r->y, &list->items[i], r->err,
					  "an architecture expected, such as SCMP_ARCH_X86_64");
	return 0;
}

/* What an engine does beside the filter. */
static int check_rest(struct reader *r, const struct yaml_node *root)
{
	static const char *const agents[] = {"listenerPath", "listenerMetadata"};
	const struct yaml_node *flags = foreign_get(root, "flags"), *node;

	if (foreign_check(r->y, flags, YAML_LIST, "flags", r->err) < 0)
		return -EINVAL;
	for (size_t i = 0; flags && i < flags->n; i++) {
		node = &flags->items[i];
		if (node->kind != YAML_SCALAR || !str_starts(node->text, "SECCOMP_FILTER_FLAG_"))
			return yaml_error(r->y, node, r->err,
					  "a flag expected, such as SECCOMP_FILTER_FLAG_LOG");
		if (!str_eq(node->text, "SECCOMP_FILTER_FLAG_TSYNC") && i < FOREIGN_WARNINGS_MAX)
			policy_warn(r->policy, foreign_pos(node), "%.60s: jail does not set it",
				    node->text);
	}
	for (size_t i = 0; i < array_len(agents); i++) {
		node = foreign_get(root, agents[i]);
		if (node && (node->kind != YAML_SCALAR || *node->text))
			policy_warn(r->policy, foreign_pos(node), "%s: jail asks no agent",
				    agents[i]);
	}
	return 0;
}

static int parse_profile(struct reader *r, const struct yaml_node *root)
{
	static const char *const keys[] = {
		"defaultAction", "defaultErrno", "defaultErrnoRet", "architectures",	"archMap",
		"syscalls",	 "flags",	 "listenerPath",    "listenerMetadata", "comment"};
	const struct yaml_node *action = foreign_get(root, "defaultAction");
	const struct yaml_node *syscalls = foreign_get(root, "syscalls");

	foreign_check_keys(r->policy, root, "a seccomp profile", keys, array_len(keys),
			   &r->unknown_keys);
	if (!action)
		return yaml_error(r->y, root, r->err, "'defaultAction' is missing");
	r->policy->fallback_at = foreign_pos(action);
	if (parse_kind(r, action, &r->policy->fallback) < 0 ||
	    parse_errno(r, foreign_get(root, "defaultErrno"), foreign_get(root, "defaultErrnoRet"),
			&r->policy->fallback) < 0 ||
	    check_architectures(r, root) < 0 || check_rest(r, root) < 0 ||
	    foreign_check(r->y, syscalls, YAML_LIST, "syscalls", r->err) < 0)
		return -EINVAL;
	for (size_t i = 0; syscalls && i < syscalls->n; i++) {
		int e = parse_entry(r, &syscalls->items[i]);

		if (e < 0)
			return e;
	}
	return 0;
}

int policy_from_oci(const struct yaml *y, struct policy *ret, struct err *err)
{
	auto_cleanup(policy) policy = {.name = xstrdup(y->name), .format = FORMAT_OCI};
	struct reader r = {.y = y, .policy = &policy, .err = err};
	const struct yaml_node *root = y->root.kind == YAML_MAP ? find_profile(y) : NULL;
	int e;

	if (!root || root->kind != YAML_MAP)
		return yaml_error(
			y, root ? root : &y->root, err, "%s: there is no seccomp profile in it",
			yaml_get(&y->root, "ociVersion") ? "linux.seccomp" : "a map expected");
	e = parse_profile(&r, root);
	if (e < 0)
		return e;
	settle(&policy);
	*ret = policy;
	policy = (struct policy){0};
	return 0;
}
