#include "jail/run/apply-limits.h"

#include <string.h>
#include <sys/resource.h>

#include "jail/system/landlock.h"

/* A limit that is lower already stays: nobody may raise it. */
static int set_rlimit(int resource, uint64_t value, struct err *err)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return err_errno(err, "getrlimit");
	if (value < limit.rlim_max)
		limit.rlim_max = value;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) < 0 ? err_errno(err, "setrlimit") : 0;
}

static int begin_landlock(const struct step *s, int *ruleset, struct err *err)
{
	unsigned int what = (s->value & STEP_PATHS ? LANDLOCK_PATHS : 0) |
			    (s->value & STEP_PORTS ? LANDLOCK_PORTS : 0);
	int r = landlock_begin(what, s->more & STEP_IF_THERE, err);

	*ruleset = r;
	return r == -ENOENT ? 0 : r;
}

static int allow(const struct step *s, int ruleset, struct err *err)
{
	int r;

	if (ruleset < 0)
		return 0;
	if (s->op == STEP_LANDLOCK_PORT)
		return landlock_allow_port(ruleset, (uint16_t)s->more, (unsigned int)s->value, err);
	r = landlock_allow_path(ruleset, s->target, (unsigned int)s->value, err);
	return r == -ENOENT && s->more & STEP_IF_THERE ? 0 : r;
}

static int restrict_self(int *ruleset, struct err *err)
{
	int r;

	if (*ruleset < 0)
		return 0;
	r = landlock_restrict(*ruleset, err);
	close(*ruleset);
	*ruleset = -1;
	return r;
}

int apply_limit(const struct resources *resources, const struct step *s, int *ruleset,
		struct err *err)
{
	switch (s->op) {
	case STEP_CGROUP:
		return resources && resources->cgroup.dir_fd >= 0
			       ? cgroup_enter(&resources->cgroup, err)
			       : 0;
	case STEP_PROCESSES:
		return resources ? cgroup_limit_pids(&resources->cgroup, s->data, err) : 0;
	case STEP_OUTPUT:
		return resources ? output_use(&resources->output, err) : 0;
	case STEP_RLIMIT:
		return set_rlimit((int)s->value, s->more, err);
	case STEP_LANDLOCK:
		return begin_landlock(s, ruleset, err);
	case STEP_RESTRICT:
		return restrict_self(ruleset, err);
	default:
		return allow(s, *ruleset, err);
	}
}
