#include "jail/run/learn-file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "jail/policy/policy-load.h"
#include "jail/policy/policy-print.h"

enum { MODE_FILE = 0644 };

/* The policy that is there; *ret stays empty when there is none. */
static int load_present(const char *path, struct policy *ret, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0 && errno == ENOENT)
		return 0;
	/* a link would be replaced, and a device has nothing to merge with */
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, EEXIST, "--learn %s: it is there, and is no file", path);
	if (policy_load_one(path, ret, err) < 0)
		return err_wrap(err, "--learn: %s is there and is no policy, and is left alone",
				path);
	if (ret->format != FORMAT_JAIL) {
		return err_set(err, EEXIST,
			       "--learn %s: a policy of another format: jail policy convert first",
			       path);
	}
	return 0;
}

/*
 * What the difference is made to: NULL, or *base loaded. Without --extends it is all that the file
 * has besides rules of its own.
 */
static int load_base(const char *path, const struct policy *present, const char *extends,
		     struct policy *base, struct err *err)
{
	int r;

	if (!extends && present->extends.n == 0)
		return 0;
	r = policy_load(extends ? extends : path, base, err);
	for (size_t i = 0; r == 0 && !extends && i < base->n; i++)
		policy_rule_deinit(&base->rules[i]);
	if (r == 0 && !extends)
		base->n = 0;
	return r;
}

static size_t folder_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

void learn_file_name_base(struct policy *learned, const struct policy *base, const char *path)
{
	size_t folder = folder_length(base->name);
	char *name;

	if (base->is_builtin || *base->name == '/')
		return;
	if (folder == folder_length(path) && strncmp(base->name, path, folder) == 0)
		name = str_printf("./%s", base->name + folder);
	else
		name = realpath(base->name, NULL);
	if (!name)
		return;
	free(learned->extends.items[0]);
	learned->extends.items[0] = name;
}

/* Whether a file can be made there: what was learned would be lost when it is found out then. */
static int check_folder(const char *path, struct err *err)
{
	size_t len = folder_length(path);
	auto_free char *folder = len ? xstrndup(path, len) : xstrdup(".");

	if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) < 0)
		return err_errno(err, "--learn %s", path);
	return 0;
}

int learn_file_check(const char *path, const char *extends, struct err *err)
{
	auto_cleanup(policy) present = {0}, base = {0};
	int r = load_present(path, &present, err);

	if (r >= 0)
		r = load_base(path, &present, extends, &base, err);
	return r < 0 ? r : check_folder(path, err);
}

static int merge(const char *path, const char *extends, struct learn *learn, size_t *n_rules,
		 struct strv *unnamed, struct err *err)
{
	auto_cleanup(policy) present = {0}, base = {0}, learned = {0};
	auto_cleanup(buf) text = {0};
	int r = load_present(path, &present, err);

	if (r >= 0)
		r = load_base(path, &present, extends, &base, err);
	if (r < 0)
		return r;
	if (present.name)
		learn_add_policy(learn, &present);
	learn_finish(learn, base.name ? &base : NULL, &learned, unnamed);
	if (extends)
		learn_file_name_base(&learned, &base, path);
	else
		strv_deinit(&learned.extends);
	if (present.name)
		learn_keep(&present, &learned);
	policy_print(&learned, &text);
	r = io_write_atomic(AT_FDCWD, path, text.data, text.len, MODE_FILE, err);
	if (r >= 0)
		*n_rules = learned.n;
	return r;
}

int learn_file_write(const char *path, const char *extends, struct learn *learn, size_t *n_rules,
		     struct strv *unnamed, struct err *err)
{
	auto_free char *lock = str_printf("%s.lock", path);
	auto_close int held =
		io_lock_file(lock, IO_LOCK_WAIT, err); /* runs at once merge in turn */
	int r;

	if (held < 0)
		return held;
	r = merge(path, extends, learn, n_rules, unnamed, err);
	unlink(lock);
	return r;
}
