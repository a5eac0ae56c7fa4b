#include "lab/scenario/scenario.h"

#include <ctype.h>
#include <string.h>

#include "jail/base/yaml.h"
#include "lab/scenario/scenario-expect.h"

enum { DEFAULT_TIMEOUT_MS = 30 * 1000, DEFAULT_MEMORY_MIB = 256 };

#define ALL_ARCHS ((1u << ARCH_COUNT) - 1)

/* One key of a map: the function that reads its value into the scenario. */
struct key {
	const char *name;
	int (*read)(const struct yaml *y, const struct yaml_node *node, const char *what,
		    struct scenario *s, struct err *err);
};

static int read_keys(const struct yaml *y, const struct yaml_node *map, const char *what,
		     const struct key *keys, size_t n, struct scenario *s, struct err *err)
{
	const char *names[32];

	for (size_t i = 0; i < n; i++)
		names[i] = keys[i].name;
	if (yaml_check_keys(y, map, what, names, n, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		const struct yaml_node *node = yaml_get(map, keys[i].name);

		if (node && keys[i].read(y, node, keys[i].name, s, err) < 0)
			return -EINVAL;
	}
	return 0;
}

/* Read a list of strings of which each must satisfy is_good; wanted says what that is. */
static int read_checked(const struct yaml *y, const struct yaml_node *node, const char *what,
			bool (*is_good)(const char *), const char *wanted, struct strv *ret,
			struct err *err)
{
	if (yaml_strings(y, node, what, ret, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ret->n; i++)
		if (!is_good(ret->items[i]))
			return yaml_error(y, node->kind == YAML_LIST ? &node->items[i] : node, err,
					  "%s: '%.80s' is not %s", what, ret->items[i], wanted);
	return 0;
}

/* A path of a file that is carried in: of files: and of jail: policy. */
static int add_file(const struct yaml *y, const struct yaml_node *node, const char *what,
		    struct scenario *s, struct err *err)
{
	const char *path;

	if (yaml_string(y, node, what, &path, err) < 0)
		return -EINVAL;
	if (!path_is_inside(path))
		return yaml_error(y, node, err,
				  "%s: '%.80s' must be a path inside the scenario's folder (no "
				  "'..', no leading '/')",
				  what, path);
	if (strv_has(&s->files, path))
		return 0;
	s->files_at = xreallocarray(s->files_at, s->files.n + 1, sizeof(*s->files_at));
	s->files_at[s->files.n] = (struct scenario_at){node->line, node->column};
	strv_add(&s->files, path);
	return 0;
}

/* --- jail: --- */

static void add_option(struct scenario *s, const char *key, const char *value)
{
	auto_free char *option = str_printf("--%s", key);

	for (char *p = option; *p; p++)
		if (*p == '_')
			*p = '-';
	strv_take(&s->jail_args, take_ptr(option));
	strv_add(&s->jail_args, value);
}

static const char *join(const struct strv *v, struct buf *out)
{
	for (size_t i = 0; i < v->n; i++)
		buf_addf(out, "%s%s", i ? "," : "", v->items[i]);
	return out->data;
}

static int read_namespaces(const struct yaml *y, const struct yaml_node *node, const char *what,
			   struct scenario *s, struct err *err)
{
	static const char *const known[] = {"user", "mount",  "pid",  "ipc", "uts",
					    "net",  "cgroup", "time", "all"};
	auto_cleanup(strv) list = {0};
	auto_cleanup(buf) text = {0};

	if (yaml_strings(y, node, what, &list, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < list.n; i++) {
		const struct yaml_node *at = node->kind == YAML_LIST ? &node->items[i] : node;
		size_t k = 0;

		while (k < array_len(known) && !str_eq(known[k], list.items[i]))
			k++;
		if (k == array_len(known))
			return yaml_error(y, at, err,
					  "unknown namespace '%.40s' (known: user, mount, pid, "
					  "ipc, uts, net, cgroup, time, all)",
					  list.items[i]);
	}
	if (list.n)
		add_option(s, "namespace", join(&list, &text));
	return 0;
}

static int read_jail_text(const struct yaml *y, const struct yaml_node *node, const char *what,
			  struct scenario *s, struct err *err)
{
	const char *value;

	if (yaml_string(y, node, what, &value, err) < 0)
		return -EINVAL;
	add_option(s, what, value);
	return 0;
}

static int read_jail_texts(const struct yaml *y, const struct yaml_node *node, const char *what,
			   struct scenario *s, struct err *err)
{
	auto_cleanup(strv) list = {0};

	if (yaml_strings(y, node, what, &list, err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < list.n; i++)
		add_option(s, what, list.items[i]);
	return 0;
}

/* Three numbers between colons; what they mean is for jail to judge. */
static bool is_map(const char *text)
{
	auto_cleanup(strv) fields = {0};
	uint64_t v;

	strv_split(&fields, text, ':');
	for (size_t i = 0; i < fields.n; i++)
		if (str_to_u64(fields.items[i], 0, UINT32_MAX, &v) < 0)
			return false;
	return fields.n == 3;
}

static int read_map(const struct yaml *y, const struct yaml_node *node, const char *what,
		    struct scenario *s, struct err *err)
{
	auto_cleanup(strv) list = {0};

	if (read_checked(y, node, what, is_map, "INSIDE:OUTSIDE:COUNT, such as 0:1000:1", &list,
			 err) < 0)
		return -EINVAL;
	for (size_t i = 0; i < list.n; i++)
		add_option(s, what, list.items[i]);
	return 0;
}

static int read_jail_seconds(const struct yaml *y, const struct yaml_node *node, const char *what,
			     struct scenario *s, struct err *err)
{
	const int64_t max = INT64_C(100) * 365 * 86400;
	auto_free char *text = NULL;
	int64_t v;

	if (yaml_int(y, node, what, -max, max, &v, err) < 0)
		return -EINVAL;
	text = str_printf("%lld", (long long)v);
	add_option(s, what, text);
	return 0;
}

static int read_caps(const struct yaml *y, const struct yaml_node *node, const char *what,
		     struct scenario *s, struct err *err)
{
	auto_cleanup(strv) list = {0};
	auto_cleanup(buf) text = {0};

	if (yaml_strings(y, node, what, &list, err) < 0)
		return -EINVAL;
	add_option(s, what, list.n ? join(&list, &text) : "none");
	return 0;
}

static int read_policy(const struct yaml *y, const struct yaml_node *node, const char *what,
		       struct scenario *s, struct err *err)
{
	const char *text;

	if (yaml_string(y, node, what, &text, err) < 0)
		return -EINVAL;
	/* a bare word is a profile that jail has built in (or refuses): jail-policy(5) */
	if (strpbrk(text, "./") || !*text)
		if (add_file(y, node, what, s, err) < 0)
			return -EINVAL;
	add_option(s, what, text);
	return 0;
}

static int read_init(const struct yaml *y, const struct yaml_node *node, const char *what,
		     struct scenario *s, struct err *err)
{
	bool init = true;

	if (yaml_bool(y, node, what, &init, err) < 0)
		return -EINVAL;
	if (!init)
		strv_add(&s->jail_args, "--no-init");
	return 0;
}

static int read_jail(const struct yaml *y, const struct yaml_node *node, const char *what,
		     struct scenario *s, struct err *err)
{
	static const struct key keys[] = {
		{"namespaces", read_namespaces},
		{"policy", read_policy},
		{"uid_map", read_map},
		{"gid_map", read_map},
		{"root", read_jail_text},
		{"ro", read_jail_texts},
		{"rw", read_jail_texts},
		{"hostname", read_jail_text},
		{"boottime", read_jail_seconds},
		{"monotonic", read_jail_seconds},
		{"caps", read_caps},
		{"init", read_init},
	};

	s->jailed = true;
	return read_keys(y, node, what, keys, array_len(keys), s, err);
}

/* --- the other keys --- */

static int read_summary(const struct yaml *y, const struct yaml_node *node, const char *what,
			struct scenario *s, struct err *err)
{
	const char *text;

	if (yaml_string(y, node, what, &text, err) < 0)
		return -EINVAL;
	if (strchr(text, '\n'))
		return yaml_error(y, node, err, "%s must be one line", what);
	s->summary = xstrdup(text);
	return 0;
}

static int read_run(const struct yaml *y, const struct yaml_node *node, const char *what,
		    struct scenario *s, struct err *err)
{
	if (node->kind == YAML_SCALAR) {
		strv_add(&s->argv, "/bin/sh");
		strv_add(&s->argv, "-c");
	}
	if (yaml_strings(y, node, what, &s->argv, err) < 0)
		return -EINVAL;
	if (!s->argv.n || !*s->argv.items[node->kind == YAML_SCALAR ? 2 : 0])
		return yaml_error(y, node, err,
				  "%s is empty: give shell text, or a program and its arguments",
				  what);
	return 0;
}

static int read_files(const struct yaml *y, const struct yaml_node *node, const char *what,
		      struct scenario *s, struct err *err)
{
	if (node->kind != YAML_LIST)
		return add_file(y, node, what, s, err);
	for (size_t i = 0; i < node->n; i++)
		if (add_file(y, &node->items[i], what, s, err) < 0)
			return -EINVAL;
	return 0;
}

/* A word for one of the project's, or a path with a slash in it. */
static bool is_module(const char *name)
{
	auto_free char *path = xstrdup(name);
	size_t n = strlen(path);

	if (!strchr(name, '/'))
		return isalpha((unsigned char)*name) && n <= 64 &&
		       !name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					  "0123456789_-")];
	if (n > 1 && path[n - 1] == '/')
		path[n - 1] = '\0';
	return path_is_inside(path);
}

static int read_modules(const struct yaml *y, const struct yaml_node *node, const char *what,
			struct scenario *s, struct err *err)
{
	if (read_checked(y, node, what, is_module,
			 "the name of a module of lab's (crashme), or a folder inside the "
			 "scenario's (driver/)",
			 &s->modules, err) < 0)
		return -EINVAL;
	s->modules_at = xcalloc(s->modules.n + 1, sizeof(*s->modules_at));
	for (size_t i = 0; i < s->modules.n; i++) {
		const struct yaml_node *at = node->kind == YAML_LIST ? &node->items[i] : node;

		s->modules_at[i] = (struct scenario_at){at->line, at->column};
	}
	return 0;
}

static bool is_package(const char *name)
{
	return islower((unsigned char)*name) && strlen(name) <= 128 &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+.-")];
}

static int read_packages(const struct yaml *y, const struct yaml_node *node, const char *what,
			 struct scenario *s, struct err *err)
{
	return read_checked(y, node, what, is_package, "the name of a Debian package", &s->packages,
			    err);
}

static int read_artefacts(const struct yaml *y, const struct yaml_node *node, const char *what,
			  struct scenario *s, struct err *err)
{
	return read_checked(y, node, what, path_is_inside,
			    "a path inside the working folder (no '..', no leading '/')",
			    &s->artefacts, err);
}

static int read_env(const struct yaml *y, const struct yaml_node *node, const char *what,
		    struct scenario *s, struct err *err)
{
	const char *value;

	if (node->kind != YAML_MAP)
		return yaml_error(y, node, err, "%s must be a map (NAME: value)", what);
	for (size_t i = 0; i < node->n; i++) {
		const char *name = node->keys[i].text;

		if (!*name || strlen(name) > 255 || strchr(name, '='))
			return yaml_error(y, &node->keys[i], err,
					  "%s: '%.60s' cannot be a variable's name", what, name);
		if (yaml_string(y, &node->items[i], name, &value, err) < 0)
			return -EINVAL;
		strv_addf(&s->env, "%s=%s", name, value);
	}
	return 0;
}

static int read_trace(const struct yaml *y, const struct yaml_node *node, const char *what,
		      struct scenario *s, struct err *err)
{
	return yaml_bool(y, node, what, &s->trace, err);
}

/* Of two words, the first one is the default; *ret: the second was written. */
static int read_choice(const struct yaml *y, const struct yaml_node *node, const char *what,
		       const char *first, const char *second, bool *ret, struct err *err)
{
	const char *text;

	if (yaml_string(y, node, what, &text, err) < 0)
		return -EINVAL;
	*ret = str_eq(text, second);
	if (!*ret && !str_eq(text, first))
		return yaml_error(y, node, err, "%s: '%.40s' is neither %s nor %s", what, text,
				  first, second);
	return 0;
}

static int read_oops(const struct yaml *y, const struct yaml_node *node, const char *what,
		     struct scenario *s, struct err *err)
{
	return read_choice(y, node, what, "stop", "continue", &s->oops_continue, err);
}

static int read_warnings(const struct yaml *y, const struct yaml_node *node, const char *what,
			 struct scenario *s, struct err *err)
{
	return read_choice(y, node, what, "fail", "note", &s->warnings_note, err);
}

static int read_timeout(const struct yaml *y, const struct yaml_node *node, const char *what,
			struct scenario *s, struct err *err)
{
	if (yaml_ms(y, node, what, &s->timeout_ms, err) < 0)
		return -EINVAL;
	if (s->timeout_ms < 1 || s->timeout_ms > SCENARIO_MAX_TIMEOUT_MS)
		return yaml_error(y, node, err, "%s must be more than 0 and at most 1h", what);
	return 0;
}

static int read_memory(const struct yaml *y, const struct yaml_node *node, const char *what,
		       struct scenario *s, struct err *err)
{
	uint64_t bytes = 0, mib;

	if (node->kind == YAML_SCALAR && str_to_u64(node->text, 1, 1 << 20, &mib) == 0)
		bytes = mib << 20; /* a plain number is MiB */
	else if (node->kind == YAML_SCALAR && str_to_bytes(node->text, &bytes) < 0)
		bytes = 0;
	if (bytes < (uint64_t)SCENARIO_MIN_MEMORY_MIB << 20 ||
	    bytes > (uint64_t)SCENARIO_MAX_MEMORY_MIB << 20)
		return yaml_error(y, node, err, "%s must be a size from %dM to %dM", what,
				  SCENARIO_MIN_MEMORY_MIB, SCENARIO_MAX_MEMORY_MIB);
	s->memory_mib = bytes >> 20;
	return 0;
}

static int read_arch(const struct yaml *y, const struct yaml_node *node, const char *what,
		     struct scenario *s, struct err *err)
{
	return scenario_read_archs(y, node, what, &s->archs, err);
}

static int read_requires_kernel(const struct yaml *y, const struct yaml_node *node,
				const char *what, struct scenario *s, struct err *err)
{
	return scenario_read_range(y, node, what, &s->requires_kernel, err);
}

static int read_requires_config(const struct yaml *y, const struct yaml_node *node,
				const char *what, struct scenario *s, struct err *err)
{
	return scenario_read_config(y, node, what, &s->requires_config, err);
}

static int read_requires(const struct yaml *y, const struct yaml_node *node, const char *what,
			 struct scenario *s, struct err *err)
{
	static const struct key keys[] = {
		{"kernel", read_requires_kernel},
		{"config", read_requires_config},
	};

	return read_keys(y, node, what, keys, array_len(keys), s, err);
}

static int read_expect(const struct yaml *y, const struct yaml_node *node, const char *what,
		       struct scenario *s, struct err *err)
{
	(void)what;
	return scenario_read_expects(y, node, s, err);
}

/* What an expectation looks at has to be brought home. */
static void add_expected_artefacts(struct scenario *s)
{
	for (size_t i = 0; i < s->n_expects; i++)
		for (size_t k = 0; k < s->expects[i].n_files; k++) {
			const char *path = s->expects[i].files[k].path;
			bool covered = false;

			for (size_t a = 0; a < s->artefacts.n && !covered; a++) {
				const char *has = s->artefacts.items[a];

				covered = str_starts(path, has) &&
					  (!path[strlen(has)] || path[strlen(has)] == '/');
			}
			if (!covered)
				strv_add(&s->artefacts, path);
		}
}

static char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t len = strlen(base);

	return xstrndup(base, str_ends(base, ".yml") ? len - 4 : len);
}

int scenario_parse(const char *path, const char *text, size_t len, struct scenario *ret,
		   struct err *err)
{
	static const struct key keys[] = {
		{"summary", read_summary},
		{"jail", read_jail},
		{"run", read_run},
		{"files", read_files},
		{"modules", read_modules},
		{"packages", read_packages},
		{"artefacts", read_artefacts},
		{"env", read_env},
		{"trace", read_trace},
		{"timeout", read_timeout},
		{"memory", read_memory},
		{"arch", read_arch},
		{"requires", read_requires},
		{"oops", read_oops},
		{"warnings", read_warnings},
		{"expect", read_expect},
	};
	auto_cleanup(yaml) y = {0};
	auto_cleanup(scenario) s = {
		.trace = true,
		.timeout_ms = DEFAULT_TIMEOUT_MS,
		.memory_mib = DEFAULT_MEMORY_MIB,
		.archs = ALL_ARCHS,
	};
	int r = yaml_parse(path, text, len, &y, err);

	if (r < 0)
		return r;
	if (read_keys(&y, &y.root, "a scenario", keys, array_len(keys), &s, err) < 0)
		return -EINVAL;
	if (!s.argv.n)
		return yaml_error(&y, &y.root, err,
				  "no 'run': say what to run (shell text, or a list)");
	add_expected_artefacts(&s);
	s.path = xstrdup(path);
	s.name = base_name(path);
	*ret = s;
	s = (struct scenario){0};
	return 0;
}

void scenario_deinit(struct scenario *s)
{
	free(s->name);
	free(s->path);
	free(s->summary);
	strv_deinit(&s->jail_args);
	strv_deinit(&s->argv);
	strv_deinit(&s->files);
	free(s->files_at);
	strv_deinit(&s->modules);
	free(s->modules_at);
	strv_deinit(&s->packages);
	strv_deinit(&s->artefacts);
	strv_deinit(&s->env);
	strv_deinit(&s->requires_config);
	for (size_t i = 0; i < s->n_expects; i++)
		scenario_expect_deinit(&s->expects[i]);
	free(s->expects);
	*s = (struct scenario){0};
}

static bool has_all(const struct strv *options,
		    bool (*has_option)(const void *data, const char *option), const void *data)
{
	for (size_t i = 0; i < options->n; i++)
		if (!has_option(data, options->items[i]))
			return false;
	return true;
}

const struct expect *scenario_expectation(const struct scenario *s, const struct kver *kernel,
					  enum arch arch,
					  bool (*has_option)(const void *data, const char *option),
					  const void *data)
{
	for (size_t i = 0; i < s->n_expects; i++) {
		const struct expect *e = &s->expects[i];

		if (kver_in_range(kernel, &e->kernel) && (!e->archs || e->archs & (1u << arch)) &&
		    has_all(&e->config, has_option, data))
			return e;
	}
	return NULL;
}
