#include "jail/learn-file.h"

#include <fcntl.h>
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

/* What the difference is made to: NULL, or *base loaded. */
static int load_base(const struct policy *present, const char *extends, struct policy *base,
		     struct err *err)
{
	if (!extends && present->extends.n == 0)
		return 0;
	if (!extends && present->extends.n > 1)
		return err_set(err, EINVAL,
			       "--learn: %s extends several policies: say with --extends which one "
			       "to compare with",
			       present->name);
	return policy_load(extends ? extends : present->extends.items[0], base, err);
}

int learn_file_check(const char *path, const char *extends, struct err *err)
{
	auto_cleanup(policy) present = {0}, base = {0};
	int r = load_present(path, &present, err);

	return r < 0 ? r : load_base(&present, extends, &base, err);
}

int learn_file_write(const char *path, const char *extends, struct learn *learn, size_t *n_rules,
		     struct strv *unnamed, struct err *err)
{
	auto_cleanup(policy) present = {0}, base = {0}, learned = {0};
	auto_cleanup(buf) text = {0};
	int r = load_present(path, &present, err);

	if (r >= 0)
		r = load_base(&present, extends, &base, err);
	if (r < 0)
		return r;
	if (present.name)
		learn_add_policy(learn, &present);
	learn_finish(learn, base.name ? &base : NULL, &learned, unnamed);
	if (present.name)
		learn_keep(&present, &learned);
	policy_print(&learned, &text);
	r = io_write_atomic(AT_FDCWD, path, text.data, text.len, MODE_FILE, err);
	if (r >= 0)
		*n_rules = learned.n;
	return r;
}
