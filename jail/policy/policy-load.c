#include "jail/policy/policy-load.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/base/io.h"
#include "jail/base/yaml.h"
#include "jail/policy/policy-backend-ai.h"
#include "jail/policy/policy-inherit.h"
#include "jail/policy/policy-oci.h"
#include "jail/policy/policy-yaml.h"

/* One file that is being read, with those that led to it. */
struct loading {
	const struct loading *from; /* the file that extends this one */
	const char *name;
	struct policy_pos at; /* where this file extends the next one */
	bool is_file;
	dev_t dev; /* is_file: a file is the same by any name */
	ino_t ino;
	size_t *count; /* of all files so far */
};

static int read_policy(const char *name, const char *text, size_t len, struct policy *ret,
		       struct err *err)
{
	auto_cleanup(yaml) y = {0};
	int r = yaml_parse(name, text, len, &y, err);

	if (r < 0)
		return r;
	if (policy_backend_ai_is(&y))
		return policy_from_backend_ai(&y, ret, err);
	if (policy_oci_is(&y))
		return policy_from_oci(&y, ret, err);
	return policy_from_yaml(&y, ret, err);
}

static const char *builtin_text(const char *name)
{
	return strchr(name, '/') ? NULL : policy_builtin_text(name);
}

static int not_there(const char *name, struct err *err)
{
	const char *near;

	if (strchr(name, '/'))
		return err_set(err, ENOENT, "%s: no such file", name);
	near = str_nearest(name, policy_builtin_names, policy_builtin_count);
	if (near)
		return err_set(err, ENOENT,
			       "%s: neither a built-in profile (did you mean '%s'?) nor a file",
			       name, near);
	return err_set(err, ENOENT, "%s: neither a built-in profile nor a file", name);
}

/* Open a file and see what it is before a byte is read: a pipe would block, a folder say nothing.
 */
static int open_policy(const char *name, struct stat *st, struct err *err)
{
	auto_close int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return not_there(name, err);
	if (fd < 0 || fstat(fd, st) < 0)
		return err_errno(err, "%s", name);
	if (S_ISDIR(st->st_mode))
		return err_set(err, EISDIR, "%s: a folder; a policy is a file", name);
	if (!S_ISREG(st->st_mode))
		return err_set(err, EINVAL, "%s: not a regular file; save the policy as one", name);
	if (st->st_size > YAML_MAX_BYTES)
		return err_set(err, E2BIG, "%s: %lld bytes; a policy has at most %d", name,
			       (long long)st->st_size, YAML_MAX_BYTES);
	return take_fd(fd);
}

/* Read the profile or file that loading names; what it is goes into loading. */
static int read_named(struct loading *loading, struct policy *ret, struct err *err)
{
	const char *builtin = builtin_text(loading->name);
	auto_cleanup(buf) text = {0};
	auto_close int fd = -1;
	struct stat st;

	if (builtin) {
		int r = read_policy(loading->name, builtin, strlen(builtin), ret, err);

		if (r == 0)
			ret->is_builtin = true;
		return r;
	}
	fd = open_policy(loading->name, &st, err);
	if (fd < 0)
		return fd;
	loading->is_file = true;
	loading->dev = st.st_dev;
	loading->ino = st.st_ino;
	if (io_read_fd(fd, YAML_MAX_BYTES, &text, err) < 0)
		return err_wrap(err, "%s", loading->name);
	return read_policy(loading->name, text.data, text.len, ret, err);
}

static bool is_same(const struct loading *a, const struct loading *b)
{
	if (a->is_file || b->is_file)
		return a->is_file && b->is_file && a->dev == b->dev && a->ino == b->ino;
	return str_eq(a->name, b->name);
}

/* "a.yml → b.yml → a.yml": from first down to last. */
static void add_way(struct buf *way, const struct loading *first, const struct loading *last)
{
	if (last != first)
		add_way(way, first, last->from);
	buf_addf(way, "%s%s", last != first ? " → " : "", last->name);
}

static int check_cycle(const struct loading *loading, struct err *err)
{
	for (const struct loading *l = loading->from; l; l = l->from) {
		auto_cleanup(buf) way = {0};

		if (!is_same(l, loading))
			continue;
		add_way(&way, l, loading);
		return err_set(err, ELOOP, "%s:%u:%u: extends itself: %s", l->name, l->at.line,
			       l->at.column, way.data);
	}
	return 0;
}

/* The name of what a file extends: a profile, an absolute path, or one relative to its folder. */
static char *resolve(const struct loading *from, const char *name)
{
	const char *slash = from->is_file ? strrchr(from->name, '/') : NULL;
	auto_free char *dir = NULL;

	if (builtin_text(name) || *name == '/' || !slash)
		return xstrdup(name);
	dir = xstrndup(from->name, slash - from->name + (slash == from->name));
	return path_join(dir, str_starts(name, "./") ? name + 2 : name);
}

static int load_bases(struct loading *loading, struct policy *policy, struct err *err);

static int load_base(struct loading *from, const char *name, struct policy *ret, struct err *err)
{
	auto_cleanup(policy) policy = {0};
	auto_free char *path = resolve(from, name);
	struct loading loading = {.from = from, .name = path, .count = from->count};
	unsigned int depth = 0;
	int r;

	for (const struct loading *l = from; l; l = l->from)
		depth++;
	if (++*from->count > POLICY_EXTENDS_MAX)
		return err_set(err, E2BIG, "%s:%u:%u: more than %d files in all", from->name,
			       from->at.line, from->at.column, POLICY_EXTENDS_MAX);
	r = read_named(&loading, &policy, err);
	if (r == -ENOENT || r == -EACCES || r == -EISDIR)
		return err_wrap(err, "%s:%u:%u: extends", from->name, from->at.line,
				from->at.column);
	if (r < 0)
		return r;
	r = check_cycle(&loading, err);
	if (r < 0)
		return r;
	if (depth > POLICY_EXTENDS_DEPTH_MAX)
		return err_set(err, E2BIG, "%s:%u:%u: extends: more than %d files deep", from->name,
			       from->at.line, from->at.column, POLICY_EXTENDS_DEPTH_MAX);
	r = load_bases(&loading, &policy, err);
	if (r < 0)
		return r;
	*ret = policy;
	policy = (struct policy){0};
	return 0;
}

static int load_bases(struct loading *loading, struct policy *policy, struct err *err)
{
	if (policy->extends.n)
		policy->bases = xcalloc(policy->extends.n, sizeof(*policy->bases));
	for (size_t i = 0; i < policy->extends.n; i++) {
		int r;

		loading->at = policy->extends_at[i];
		r = load_base(loading, policy->extends.items[i], &policy->bases[i], err);
		if (r < 0)
			return r;
		policy->n_bases++;
	}
	policy_inherit(policy);
	return 0;
}

static int load_rest(struct loading *loading, struct policy *policy, struct policy *ret,
		     struct err *err)
{
	int r = load_bases(loading, policy, err);

	if (r < 0)
		return r;
	if (!policy_has_fallback(policy))
		return err_set(err, EINVAL,
			       "%s:1:1: 'default' is missing: what happens to a call that is not "
			       "listed (allow, log, kill or {errno: EPERM})%s",
			       policy->name,
			       policy->extends.n ? "; what it extends does not say it" : "");
	*ret = *policy;
	*policy = (struct policy){0};
	return 0;
}

int policy_load(const char *name, struct policy *ret, struct err *err)
{
	auto_cleanup(policy) policy = {0};
	size_t count = 1;
	struct loading loading = {.name = name, .count = &count};
	int r = read_named(&loading, &policy, err);

	return r < 0 ? r : load_rest(&loading, &policy, ret, err);
}

int policy_load_one(const char *name, struct policy *ret, struct err *err)
{
	struct loading loading = {.name = name};

	return read_named(&loading, ret, err);
}

int policy_load_text(const char *name, const char *text, size_t len, struct policy *ret,
		     struct err *err)
{
	auto_cleanup(policy) policy = {0};
	size_t count = 1;
	struct loading loading = {.name = name, .count = &count};
	int r = read_policy(name, text, len, &policy, err);

	return r < 0 ? r : load_rest(&loading, &policy, ret, err);
}
