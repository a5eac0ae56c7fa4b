#include <ctype.h>
#include <string.h>

#include "jail/plan/namespace.h"
#include "jail/policy/cap-names.h"
#include "jail/policy/policy-yaml-parts.h"

static bool is_word(const struct yaml_node *node, const char *word)
{
	return node->kind == YAML_SCALAR && str_eq(node->text, word);
}

/* One text, or each of a list: a row of nodes. */
static const struct yaml_node *texts(const struct yaml_node *node, size_t *n)
{
	*n = node->kind == YAML_LIST ? node->n : 1;
	return node->kind == YAML_LIST ? node->items : node;
}

/* --- limits --- */

enum unit { UNIT_COUNT, UNIT_BYTES, UNIT_MS, UNIT_CPUS };
enum { CPU_MILLIS = 1000, CPUS_MAX = 4096 };

static const struct {
	enum unit unit;
	uint64_t min;
} limit_rules[LIMIT_COUNT] = {
	[LIMIT_EXEC] = {UNIT_COUNT, 0},	      [LIMIT_FORK] = {UNIT_COUNT, 0},
	[LIMIT_PROCESSES] = {UNIT_COUNT, 1},  [LIMIT_OPEN_FILES] = {UNIT_COUNT, 1},
	[LIMIT_MEMORY] = {UNIT_BYTES, 65536}, [LIMIT_CPU_TIME] = {UNIT_MS, 1},
	[LIMIT_WALL_TIME] = {UNIT_MS, 1},     [LIMIT_FILE_SIZE] = {UNIT_BYTES, 0},
	[LIMIT_OUTPUT] = {UNIT_BYTES, 0},     [LIMIT_CPUS] = {UNIT_CPUS, 10},
};

/* "1.5" as thousandths */
static int parse_cpus(const char *text, uint64_t *ret)
{
	const char *point = text + strspn(text, "0123456789");
	size_t whole = point - text, part = 0;
	uint64_t v = 0;

	if (*point == '.') {
		part = strspn(point + 1, "0123456789");
		if (!part || part > 3 || point[1 + part])
			return -EINVAL;
	} else if (*point) {
		return -EINVAL;
	}
	if (!whole || whole > 4)
		return -EINVAL;
	for (size_t i = 0; i < whole; i++)
		v = 10 * v + (text[i] - '0');
	for (size_t i = 0; i < 3; i++)
		v = 10 * v + (i < part ? point[1 + i] - '0' : 0);
	*ret = v;
	return v <= CPUS_MAX * CPU_MILLIS ? 0 : -ERANGE;
}

static int parse_quantity(const char *text, enum unit unit, uint64_t *ret)
{
	int64_t ms;
	int r;

	switch (unit) {
	case UNIT_COUNT:
		return str_to_u64(text, 0, INT32_MAX, ret);
	case UNIT_BYTES:
		return str_to_bytes(text, ret);
	case UNIT_MS:
		r = str_to_ms(text, &ms);
		if (r == 0)
			*ret = ms;
		return r;
	default:
		return parse_cpus(text, ret);
	}
}

static int parse_limit(const struct yaml *y, const struct yaml_node *node, enum policy_limit limit,
		       struct policy *policy, struct err *err)
{
	static const char *const expected[] = {
		[UNIT_COUNT] = "a number",
		[UNIT_BYTES] = "a size such as 64K, 512M or 2G",
		[UNIT_MS] = "a time such as 500ms, 30s, 2m or 1h (at most a week)",
		[UNIT_CPUS] = "a number of processors such as 0.5 or 2",
	};
	enum unit unit = limit_rules[limit].unit;
	uint64_t min = limit_rules[limit].min, value = 0;
	bool is_none = is_word(node, "none");

	if (!is_none && (node->kind != YAML_SCALAR || parse_quantity(node->text, unit, &value) < 0))
		return yaml_error(y, node, err, "%s: %s expected, or none",
				  policy_limit_name(limit), expected[unit]);
	if (!is_none && value < min)
		return yaml_error(y, node, err, "%s must be at least %s", policy_limit_name(limit),
				  unit == UNIT_BYTES  ? "64K"
				  : unit == UNIT_CPUS ? "0.01"
				  : unit == UNIT_MS   ? "1ms"
						      : "1");
	policy->settings.limits[limit].is_set = true;
	policy->settings.limits[limit].is_unlimited = is_none;
	policy->settings.limits[limit].value = value;
	policy->settings.limits[limit].at = policy_yaml_pos(node);
	return 0;
}

static int parse_limits(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
			struct err *err)
{
	const char *names[LIMIT_COUNT];
	int r;

	for (int i = 0; i < LIMIT_COUNT; i++)
		names[i] = policy_limit_name(i);
	r = yaml_check_keys(y, node, "limits", names, LIMIT_COUNT, err);
	for (int i = 0; r == 0 && i < LIMIT_COUNT; i++) {
		const struct yaml_node *limit = yaml_get(node, names[i]);

		r = limit ? parse_limit(y, limit, i, policy, err) : 0;
	}
	return r;
}

/* --- env --- */

static int check_variable(const struct yaml *y, const struct yaml_node *node, bool may_be_pattern,
			  struct err *err)
{
	const char *text = node->text, *star = strchr(text, '*');

	if (!*text || strchr(text, '='))
		return yaml_error(y, node, err, "the name of a variable expected%s",
				  *text ? ", without '='" : "");
	if (star && (!may_be_pattern || star[1]))
		return yaml_error(y, node, err,
				  may_be_pattern ? "'*' matches the rest of a name, and stands at "
						   "its end only"
						 : "'*' cannot be part of a name that is set");
	return 0;
}

static int parse_variables(const struct yaml *y, const struct yaml_node *node, const char *what,
			   struct strv *ret, struct err *err)
{
	size_t n;
	int r = yaml_strings(y, node, what, ret, err);

	node = texts(node, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = check_variable(y, &node[i], true, err);
	return r;
}

static int parse_env_set(const struct yaml *y, const struct yaml_node *node, struct strv *ret,
			 struct err *err)
{
	const char *value;

	if (node->kind != YAML_MAP)
		return yaml_error(y, node, err, "set: a map expected, such as {HOME: /tmp}");
	for (size_t i = 0; i < node->n; i++) {
		int r = check_variable(y, &node->keys[i], false, err);

		if (r == 0)
			r = yaml_string(y, &node->items[i], "a variable (\"\" makes it empty)",
					&value, err);
		if (r < 0)
			return r;
		strv_addf(ret, "%s=%s", node->keys[i].text, value);
	}
	return 0;
}

static int parse_env(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
		     struct err *err)
{
	static const char *const keys[] = {"preserve", "set", "unset"};
	const struct yaml_node *preserve = yaml_get(node, "preserve");
	const struct yaml_node *set = yaml_get(node, "set"), *unset = yaml_get(node, "unset");
	int r = yaml_check_keys(y, node, "env", keys, array_len(keys), err);

	if (r == 0 && preserve) {
		policy->settings.env.has_preserve = true;
		policy->settings.env.preserve_all = is_word(preserve, "all") ? TRI_YES : TRI_NO;
		if (policy->settings.env.preserve_all == TRI_NO)
			r = parse_variables(y, preserve, "preserve", &policy->settings.env.preserve,
					    err);
	}
	if (r == 0 && set)
		r = parse_env_set(y, set, &policy->settings.env.set, err);
	if (r == 0 && unset)
		r = parse_variables(y, unset, "unset", &policy->settings.env.unset, err);
	return r;
}

/* --- paths and ports --- */

static int parse_paths(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
		       struct err *err)
{
	static const char *const keys[] = {"read", "write", "execute"};
	static const unsigned int rights[] = {PATH_READ, PATH_WRITE, PATH_EXECUTE};
	struct policy_settings *s = &policy->settings;
	int r = yaml_check_keys(y, node, "paths", keys, array_len(keys), err);

	s->has_paths = true;
	s->paths_at = policy_yaml_pos(node);
	for (size_t k = 0; r == 0 && k < array_len(keys); k++) {
		const struct yaml_node *list = yaml_get(node, keys[k]);
		size_t n = 0;

		if (list)
			list = texts(list, &n);
		for (size_t i = 0; i < n; i++) {
			const char *path;

			r = yaml_string(y, &list[i], "a path", &path, err);
			if (r < 0)
				return r;
			if (!*path)
				return yaml_error(y, &list[i], err, "a path expected");
			if (*path == '~')
				return yaml_error(y, &list[i], err,
						  "'~' is not expanded: write the whole path");
			s->paths = xreallocarray(s->paths, s->n_paths + 1, sizeof(*s->paths));
			s->paths[s->n_paths++] =
				(struct policy_path){.path = xstrdup(path),
						     .rights = rights[k],
						     .at = policy_yaml_pos(&list[i])};
		}
	}
	return r;
}

static int parse_ports(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
		       struct err *err)
{
	static const char *const keys[] = {"bind", "connect"};
	static const unsigned int rights[] = {PORT_BIND, PORT_CONNECT};
	struct policy_settings *s = &policy->settings;
	int r = yaml_check_keys(y, node, "ports", keys, array_len(keys), err);

	s->has_ports = true;
	s->ports_at = policy_yaml_pos(node);
	for (size_t k = 0; r == 0 && k < array_len(keys); k++) {
		const struct yaml_node *list = yaml_get(node, keys[k]);
		size_t n = 0;

		if (list)
			list = texts(list, &n);
		for (size_t i = 0; i < n; i++) {
			int64_t port;

			r = yaml_int(y, &list[i], "a port", 0, UINT16_MAX, &port, err);
			if (r < 0)
				return r;
			s->ports = xreallocarray(s->ports, s->n_ports + 1, sizeof(*s->ports));
			s->ports[s->n_ports++] = (struct policy_port){
				.port = port, .rights = rights[k], .at = policy_yaml_pos(&list[i])};
		}
	}
	return r;
}

/* --- the rest --- */

int policy_yaml_caps(const struct yaml *y, const struct yaml_node *node, const char *what,
		     uint64_t *ret, struct err *err)
{
	uint64_t mask = 0;
	size_t n;

	if (node->kind == YAML_MAP)
		return yaml_error(y, node, err, "%s: a list of capabilities expected", what);
	node = texts(node, &n);
	for (size_t i = 0; i < n; i++) {
		const char *text;
		int cap, r = yaml_string(y, &node[i], "a capability", &text, err);

		if (r < 0)
			return r;
		cap = cap_name_find(text);
		if (cap < 0)
			return policy_yaml_unknown(y, &node[i], "capability",
						   cap_name_suggest(text),
						   "names such as NET_BIND_SERVICE expected", err);
		mask |= UINT64_C(1) << cap;
	}
	*ret = mask;
	return 0;
}

static int parse_caps(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
		      struct err *err)
{
	struct policy_settings *s = &policy->settings;

	s->has_caps = true;
	s->caps_at = policy_yaml_pos(node);
	s->caps_are_all = is_word(node, "all");
	if (s->caps_are_all || is_word(node, "none"))
		return 0;
	return policy_yaml_caps(y, node, "capabilities", &s->caps, err);
}

static int parse_namespaces(const struct yaml *y, const struct yaml_node *node,
			    struct policy *policy, struct err *err)
{
	struct policy_settings *s = &policy->settings;
	const char *names[NS_COUNT];
	size_t n;

	s->has_namespaces = true;
	s->namespaces_at = policy_yaml_pos(node);
	if (is_word(node, "none"))
		return 0;
	if (node->kind == YAML_MAP)
		return yaml_error(y, node, err, "namespaces: a list of names expected, or none");
	node = texts(node, &n);
	for (size_t i = 0; i < NS_COUNT; i++)
		names[i] = ns_kinds[i].name;
	for (size_t i = 0; i < n; i++) {
		const char *text;
		int r = yaml_string(y, &node[i], "a namespace", &text, err);

		if (r < 0)
			return r;
		if (ns_parse(text, &s->namespaces, NULL) < 0)
			return policy_yaml_unknown(
				y, &node[i], "namespace", str_nearest(text, names, NS_COUNT),
				"user, mount, pid, ipc, uts, net, cgroup, time or all", err);
	}
	return 0;
}

static int parse_network(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
			 struct err *err)
{
	static const char *const names[] = {"host", "none", "loopback"};
	static const enum policy_network kinds[] = {NETWORK_HOST, NETWORK_NONE, NETWORK_LOOPBACK};

	policy->settings.network_at = policy_yaml_pos(node);
	for (size_t i = 0; i < array_len(names); i++) {
		if (is_word(node, names[i])) {
			policy->settings.network = kinds[i];
			return 0;
		}
	}
	if (node->kind != YAML_SCALAR)
		return yaml_error(y, node, err, "network: none, host or loopback expected");
	return policy_yaml_unknown(y, node, "network", str_nearest(node->text, names, 3),
				   "none, host or loopback", err);
}

static int add_plugin(const struct yaml *y, const struct yaml_node *path, struct policy *policy,
		      struct err *err)
{
	const char *text;
	int r = yaml_string(y, path, "a plugin", &text, err);

	if (r < 0)
		return r;
	if (*text != '/')
		return yaml_error(y, path, err,
				  "the absolute path of a plugin expected, such as "
				  "/usr/lib/jail/count.so");
	strv_add(&policy->settings.plugins, text);
	return 0;
}

static int add_plugin_args(const struct yaml *y, const struct yaml_node *map, struct policy *policy,
			   struct err *err)
{
	struct strv *args = &policy->settings.plugin_args;

	if (map->kind != YAML_MAP)
		return yaml_error(y, map, err, "a map of arguments expected, such as {key: value}");
	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_node *key = &map->keys[i];
		auto_free char *start = str_printf("%s=", key->text);
		const char *value;
		int r = yaml_string(y, &map->items[i], "an argument", &value, err);

		if (r < 0)
			return r;
		if (!*key->text || strchr(key->text, '='))
			return yaml_error(y, key, err, "an argument's name expected, without '='");
		for (size_t k = 0; k < args->n; k++)
			if (str_starts(args->items[k], start))
				return yaml_error(y, key, err,
						  "'%.60s' is given to two plugins; arguments are "
						  "for all of them",
						  key->text);
		strv_addf(args, "%s%s", start, value);
	}
	return 0;
}

/* [/a.so, /b.so] or {/a.so: {key: value}} */
static int parse_plugins(const struct yaml *y, const struct yaml_node *node, struct policy *policy,
			 struct err *err)
{
	bool is_map = node->kind == YAML_MAP;
	const struct yaml_node *paths = is_map ? node->keys : node;
	size_t n = node->n;
	int r = 0;

	if (!is_map)
		paths = texts(node, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = add_plugin(y, &paths[i], policy, err);
		if (r == 0 && is_map)
			r = add_plugin_args(y, &node->items[i], policy, err);
	}
	return r;
}

static int parse_best_effort(const struct yaml *y, const struct yaml_node *node,
			     struct policy *policy, struct err *err)
{
	bool is_on;
	int r = yaml_bool(y, node, "best-effort", &is_on, err);

	if (r == 0)
		policy->settings.best_effort = is_on ? TRI_YES : TRI_NO;
	return r;
}

int policy_yaml_settings(const struct yaml *y, struct policy *policy, struct err *err)
{
	static const struct {
		const char *key;
		int (*parse)(const struct yaml *y, const struct yaml_node *node,
			     struct policy *policy, struct err *err);
	} sections[] = {
		{"limits", parse_limits},
		{"env", parse_env},
		{"paths", parse_paths},
		{"ports", parse_ports},
		{"best-effort", parse_best_effort},
		{"capabilities", parse_caps},
		{"namespaces", parse_namespaces},
		{"network", parse_network},
		{"plugins", parse_plugins},
	};

	for (size_t i = 0; i < array_len(sections); i++) {
		const struct yaml_node *node = yaml_get(&y->root, sections[i].key);
		int r = node ? sections[i].parse(y, node, policy, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}
