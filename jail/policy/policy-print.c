#include "jail/policy/policy-print.h"

#include <string.h>

#include "jail/plan/namespace.h"
#include "jail/policy/cap-names.h"
#include "jail/policy/groups.h"
#include "jail/policy/policy-yaml-parts.h"

/* What YAML takes as it is, in lists and maps too. */
static bool is_plain(const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_/.+|*-";

	return *text && !strchr("+|*-", *text) && (*text != '.' || strchr(text, '/')) &&
	       strspn(text, safe) == strlen(text) && !str_eq(text, "null");
}

/* Of UTF-8 that is valid and that a YAML reader takes raw and unchanged: its length; else 0. */
static size_t raw_length(const unsigned char *s)
{
	auto_cleanup(buf) shown = {0};
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	if (s[0] < 0xc2 || strnlen((const char *)s, n) < n)
		return 0;
	str_printable(&shown, (const char *)s, n, n, false);
	/* U+2028 and U+2029 are line breaks, U+FFFE and U+FFFF are no characters */
	return shown.len == n && memcmp(shown.data, s, n) == 0 && memcmp(s, "\xe2\x80\xa8", 3) &&
			       memcmp(s, "\xe2\x80\xa9", 3) && memcmp(s, "\xef\xbf\xbe", 3) &&
			       memcmp(s, "\xef\xbf\xbf", 3)
		       ? n
		       : 0;
}

/* The code point of UTF-8 that raw_length() refuses; *n: its length. A stray byte stands for
 * itself. */
static uint32_t code_point(const unsigned char *s, size_t *n)
{
	uint32_t cp;

	*n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 1;
	cp = s[0] & (0xff >> (*n + 1));
	for (size_t i = 1; i < *n; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			*n = 1;
			break;
		}
		cp = cp << 6 | (s[i] & 0x3f);
	}
	return *n == 1 ? s[0] : cp;
}

static void add_text(struct buf *out, const char *text)
{
	if (is_plain(text)) {
		buf_adds(out, text);
		return;
	}
	buf_adds(out, "\"");
	for (const unsigned char *p = (const unsigned char *)text; *p;) {
		size_t n = *p >= 0x20 && *p < 0x7f ? 1 : raw_length(p);
		uint32_t cp;

		if (n) {
			buf_adds(out, *p == '"' || *p == '\\' ? "\\" : "");
			buf_add(out, p, n);
		} else {
			cp = code_point(p, &n);
			if (*p == '\n' || *p == '\t')
				buf_adds(out, *p == '\n' ? "\\n" : "\\t");
			else
				buf_addf(out, cp > 0xffff ? "\\U%08x" : "\\u%04x", cp);
		}
		p += n;
	}
	buf_adds(out, "\"");
}

static void add_key_text(struct buf *out, const char *key, const char *text)
{
	if (!text)
		return;
	buf_addf(out, "%s: ", key);
	add_text(out, text);
	buf_adds(out, "\n");
}

static void add_list(struct buf *out, const char *key, const struct strv *items)
{
	buf_addf(out, "%s: [", key);
	for (size_t i = 0; i < items->n; i++) {
		buf_adds(out, i ? ", " : "");
		add_text(out, items->items[i]);
	}
	buf_adds(out, "]\n");
}

/* NAME=VALUE each: lines of a map */
static void add_pairs(struct buf *out, const char *indent, const struct strv *pairs)
{
	for (size_t i = 0; i < pairs->n; i++) {
		const char *pair = pairs->items[i], *sign = strchrnul(pair, '=');
		auto_free char *name = xstrndup(pair, sign - pair);

		buf_adds(out, indent);
		add_text(out, name);
		buf_adds(out, ": ");
		add_text(out, *sign ? sign + 1 : "");
		buf_adds(out, "\n");
	}
}

static void add_caps(struct buf *out, const char *key, uint64_t caps)
{
	auto_cleanup(strv) names = {0};

	for (int cap = 0; cap < CAP_NAMES_COUNT; cap++)
		if (caps & UINT64_C(1) << cap)
			strv_add(&names, cap_name(cap));
	add_list(out, key, &names);
}

static void add_action(struct buf *out, const char *key, const struct policy_action *action)
{
	auto_cleanup(buf) text = {0};

	if (action->kind == POLICY_UNSET)
		return;
	policy_action_print(action, &text);
	if (action->kind == POLICY_ERRNO)
		buf_addf(out, "%s: {errno: %s}\n", key, text.data + strlen("errno "));
	else
		buf_addf(out, "%s: %s\n", key, text.data);
}

static void add_head(struct buf *out, const struct policy *policy)
{
	const unsigned int *known = policy->known.part;

	buf_adds(out, "version: 1\n");
	add_key_text(out, "summary", policy->summary);
	if (policy->extends.n)
		add_list(out, "extends", &policy->extends);
	add_key_text(out, "source", policy->source);
	add_key_text(out, "date", policy->date);
	if (policy->has_known) {
		buf_addf(out, "known: %u.%u", known[0], known[1]);
		if (known[2])
			buf_addf(out, ".%u", known[2]);
		buf_adds(out, "\n");
	}
	add_action(out, "default", &policy->fallback);
	add_action(out, "unknown", &policy->unknown);
}

/* The largest unit that holds the value whole. */
static void add_quantity(struct buf *out, uint64_t value, const char *const *units,
			 const uint64_t *sizes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (value && value % sizes[i] == 0) {
			buf_addf(out, "%llu%s", (unsigned long long)(value / sizes[i]), units[i]);
			return;
		}
	}
	buf_addf(out, "%llu", (unsigned long long)value);
}

static void add_limit(struct buf *out, enum policy_limit limit, uint64_t value)
{
	static const char *const size_units[] = {"G", "M", "K"};
	static const uint64_t sizes[] = {1 << 30, 1 << 20, 1 << 10};
	static const char *const time_units[] = {"h", "m", "s", "ms"};
	static const uint64_t times[] = {3600000, 60000, 1000, 1};

	if (limit == LIMIT_MEMORY || limit == LIMIT_FILE_SIZE || limit == LIMIT_OUTPUT)
		add_quantity(out, value, size_units, sizes, array_len(sizes));
	else if (limit == LIMIT_CPU_TIME || limit == LIMIT_WALL_TIME)
		add_quantity(out, value, time_units, times, array_len(times));
	else if (limit == LIMIT_CPUS && value % 1000)
		buf_addf(out, value % 100 ? value % 10 ? "%.3f" : "%.2f" : "%.1f",
			 (double)value / 1000);
	else
		add_quantity(out, limit == LIMIT_CPUS ? value / 1000 : value, NULL, NULL, 0);
}

static void add_limits(struct buf *out, const struct policy_settings *s)
{
	bool has_any = false;

	for (int i = 0; i < LIMIT_COUNT; i++) {
		if (!s->limits[i].is_set)
			continue;
		buf_addf(out, "%s  %s: ", has_any ? "" : "limits:\n", policy_limit_name(i));
		has_any = true;
		if (s->limits[i].is_unlimited)
			buf_adds(out, "none");
		else
			add_limit(out, i, s->limits[i].value);
		buf_adds(out, "\n");
	}
}

static void add_env(struct buf *out, const struct policy_settings *s)
{
	if (!s->env.has_preserve && !s->env.set.n && !s->env.unset.n)
		return;
	buf_adds(out, "env:\n");
	if (s->env.has_preserve && s->env.preserve_all == TRI_YES)
		buf_adds(out, "  preserve: all\n");
	else if (s->env.has_preserve)
		add_list(out, "  preserve", &s->env.preserve);
	if (s->env.set.n) {
		buf_adds(out, "  set:\n");
		add_pairs(out, "    ", &s->env.set);
	}
	if (s->env.unset.n)
		add_list(out, "  unset", &s->env.unset);
}

static void add_paths(struct buf *out, const struct policy_settings *s)
{
	static const char *const keys[] = {"read", "write", "execute"};
	static const unsigned int rights[] = {PATH_READ, PATH_WRITE, PATH_EXECUTE};

	if (!s->has_paths)
		return;
	buf_adds(out, s->n_paths ? "paths:\n" : "paths: {}\n");
	for (size_t k = 0; k < array_len(keys); k++) {
		bool has_any = false;

		for (size_t i = 0; i < s->n_paths; i++) {
			if (!(s->paths[i].rights & rights[k]))
				continue;
			if (!has_any)
				buf_addf(out, "  %s:\n", keys[k]);
			has_any = true;
			buf_adds(out, "    - ");
			add_text(out, s->paths[i].path);
			buf_adds(out, "\n");
		}
	}
}

static void add_ports(struct buf *out, const struct policy_settings *s)
{
	static const char *const keys[] = {"bind", "connect"};
	static const unsigned int rights[] = {PORT_BIND, PORT_CONNECT};
	const char *comma = "";

	if (!s->has_ports)
		return;
	buf_adds(out, "ports: {");
	for (size_t k = 0; k < array_len(keys); k++) {
		const char *separator = "";

		for (size_t i = 0; i < s->n_ports; i++) {
			if (!(s->ports[i].rights & rights[k]))
				continue;
			if (!*separator)
				buf_addf(out, "%s%s: [", comma, keys[k]);
			buf_addf(out, "%s%u", separator, s->ports[i].port);
			separator = comma = ", ";
		}
		buf_adds(out, *separator ? "]" : "");
	}
	buf_adds(out, "}\n");
}

static void add_plugins(struct buf *out, const struct policy_settings *s)
{
	if (!s->plugin_args.n && s->plugins.n)
		add_list(out, "plugins", &s->plugins);
	if (!s->plugin_args.n || !s->plugins.n)
		return;
	buf_adds(out, "plugins:\n");
	for (size_t i = 0; i < s->plugins.n; i++) {
		buf_adds(out, "  ");
		add_text(out, s->plugins.items[i]);
		buf_adds(out, i ? ": {}\n" : ":\n");
		if (i == 0)
			add_pairs(out, "    ", &s->plugin_args);
	}
}

static void add_settings(struct buf *out, const struct policy_settings *s)
{
	static const char *const networks[] = {NULL, "host", "none", "loopback"};
	auto_cleanup(strv) names = {0};

	if (s->best_effort != TRI_UNSET)
		buf_addf(out, "best-effort: %s\n", s->best_effort == TRI_YES ? "true" : "false");
	if (s->has_caps && (s->caps_are_all || !s->caps))
		buf_addf(out, "capabilities: %s\n", s->caps_are_all ? "all" : "none");
	else if (s->has_caps)
		add_caps(out, "capabilities", s->caps);
	for (size_t i = 0; i < NS_COUNT; i++)
		if (s->namespaces & ns_kinds[i].bit)
			strv_add(&names, ns_kinds[i].name);
	if (s->has_namespaces && s->namespaces)
		add_list(out, "namespaces", &names);
	else if (s->has_namespaces)
		buf_adds(out, "namespaces: none\n");
	if (s->network != NETWORK_UNSET)
		buf_addf(out, "network: %s\n", networks[s->network]);
	add_limits(out, s);
	add_env(out, s);
	add_paths(out, s);
	add_ports(out, s);
	add_plugins(out, s);
}

/* --- rules --- */

static char *when_text(const struct policy_when *when)
{
	auto_cleanup(buf) out = {0};

	buf_adds(&out, "");
	if (when->never)
		buf_adds(&out, "arch: none\n");
	else if (when->arches)
		buf_addf(&out, "arch: %s\n",
			 when->arches == 1U << ARCH_AMD64   ? "amd64"
			 : when->arches == 1U << ARCH_ARM64 ? "arm64"
							    : "[amd64, arm64]");
	if (when->kernel.n) {
		buf_adds(&out, "kernel: \"");
		kver_range_print(&out, &when->kernel);
		buf_adds(&out, "\"\n");
	}
	if (when->caps)
		add_caps(&out, "capabilities", when->caps);
	if (when->no_caps)
		add_caps(&out, "without-capabilities", when->no_caps);
	return take_ptr(out.data);
}

/* How many rules from i on are a whole group, as the file's author wrote it; 0: it is not one. */
static size_t group_length(const struct policy *policy, const size_t *sections, size_t i)
{
	const struct policy_rule *first = &policy->rules[i];
	const struct call_group *group = first->group ? group_find(first->group) : NULL;
	size_t n;

	for (n = 0; group && group->calls[n]; n++) {
		const struct policy_rule *rule = &policy->rules[i + n];

		if (i + n >= policy->n || sections[i + n] != sections[i] || rule->n_conds ||
		    rule->group != first->group || !str_eq(rule->call->name, group->calls[n]) ||
		    rule->action.kind != first->action.kind ||
		    rule->action.error != first->action.error)
			return 0;
	}
	return n;
}

static void add_group(struct buf *out, const struct policy_rule *rule)
{
	const char *error = strerrorname_np(rule->action.error);

	buf_addf(out, "\"%s\"", rule->group);
	if (rule->action.kind == POLICY_ERRNO && rule->action.error != EPERM && error)
		buf_addf(out, ": %s", error);
	else if (rule->action.kind == POLICY_ERRNO && rule->action.error != EPERM)
		buf_addf(out, ": %d", rule->action.error);
}

/* The lists of one section. */
static void add_lists(struct buf *out, const struct policy *policy, const size_t *sections,
		      size_t section, const char *indent)
{
	for (size_t list = 0; list < POLICY_LISTS; list++) {
		bool has_any = false;

		for (size_t i = 0; i < policy->n; i++) {
			const struct policy_rule *rule = &policy->rules[i];
			size_t group;

			if (sections[i] != section || rule->action.kind != policy_list_kinds[list])
				continue;
			if (!has_any)
				buf_addf(out, "%s%s:\n", indent, policy_list_names[list]);
			has_any = true;
			buf_addf(out, "%s  - ", indent);
			group = group_length(policy, sections, i);
			if (group)
				add_group(out, rule);
			else
				policy_rule_print(rule, out);
			if (!group && rule->count)
				buf_addf(out, "  # %llu", (unsigned long long)rule->count);
			buf_adds(out, "\n");
			i += group ? group - 1 : 0;
		}
	}
}

static void add_rules(struct buf *out, const struct policy *policy)
{
	auto_free size_t *sections = xcalloc(policy->n, sizeof(*sections));
	auto_cleanup(strv) whens = {0};

	strv_add(&whens, ""); /* section 0: always */
	for (size_t i = 0; i < policy->n; i++) {
		auto_free char *text = when_text(&policy->rules[i].when);

		while (sections[i] < whens.n && !str_eq(whens.items[sections[i]], text))
			sections[i]++;
		if (sections[i] == whens.n)
			strv_add(&whens, text);
	}
	add_lists(out, policy, sections, 0, "");
	if (whens.n > 1)
		buf_adds(out, "when:\n");
	for (size_t s = 1; s < whens.n; s++) {
		auto_cleanup(strv) lines = {0};

		strv_split(&lines, whens.items[s], '\n');
		for (size_t i = 0; i < lines.n; i++)
			buf_addf(out, "%s%s\n", i ? "    " : "  - ", lines.items[i]);
		add_lists(out, policy, sections, s, "    ");
	}
}

void policy_print(const struct policy *policy, struct buf *out)
{
	add_head(out, policy);
	add_settings(out, &policy->settings);
	add_rules(out, policy);
	if (policy->n_frequency)
		buf_adds(out, "frequency:\n");
	for (size_t i = 0; i < policy->n_frequency; i++)
		buf_addf(out, "  %s: %llu\n", policy->frequency[i].call->name,
			 (unsigned long long)policy->frequency[i].count);
}
