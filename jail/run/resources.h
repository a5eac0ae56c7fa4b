/*
 * resources.h - what holds a sandbox within its policy's limits from outside: its cgroup, the
 * copier of its output, the clocks.
 *
 * Made before the command starts, asked while it runs, and told at its end. exec and fork are
 * counted by the supervisor: limits.value[] has their numbers.
 */
#ifndef JAIL_RUN_RESOURCES_H
#define JAIL_RUN_RESOURCES_H

#include "jail/plan/limits.h"
#include "jail/system/cgroup.h"
#include "jail/system/output.h"

struct resources {
	const struct policy *policy; /* not owned */
	struct limits limits;
	struct cgroup cgroup;
	struct output output;
	int64_t started_ms, next_ms; /* when to look again; INT64_MAX: never */
	int reached;		     /* enum policy_limit; -1: none so far */
};
#define RESOURCES_INIT                                                      \
	{                                                                   \
		.cgroup = CGROUP_INIT, .output = OUTPUT_INIT, .reached = -1 \
	}

/*
 * Make what the policy's limits need. policy may be NULL: no limits. wants_usage: a cgroup to say
 * what was used, if one can be had. What this machine cannot enforce (limits, paths, ports) is an
 * error with its place in the policy, or with best-effort a line in notes. *ret only on success.
 */
int resources_prepare(const struct policy *policy, bool wants_usage, struct resources *ret,
		      struct strv *notes, struct err *err);
/* Ends all that is in the cgroup, and the copier. */
void resources_deinit(struct resources *resources);
DEFINE_CLEANUP(resources, resources_deinit)

/* After the fork of who becomes the command: closes what is the child's, starts the clock. */
void resources_started(struct resources *resources);

/* For the loop: an fd that becomes readable when something is to be checked, or -1. */
static inline int resources_fd(const struct resources *resources)
{
	return resources->output.event_fd;
}
/* Milliseconds until the next check; -1: none is needed. */
int resources_wait_ms(const struct resources *resources);
/*
 * The limit that is reached, once, or -1. The caller then ends the sandbox: by TERM, grace and KILL
 * for LIMIT_WALL_TIME, at once otherwise.
 */
int resources_check(struct resources *resources);

/*
 * When the sandbox has ended: wait for the rest of its output, and add to lines what is to be said
 * to the user: which limit ended it or stood in its way.
 */
void resources_finish(struct resources *resources, int wait_status, struct strv *lines);

/* "limit exec 10 (policy.yml:3:9) reached: what" */
void resources_say(const struct resources *resources, enum policy_limit limit, const char *what,
		   struct strv *lines);

#endif
