/*
 * cgroup.h - a cgroup (v2) of the sandbox's own: limits for all its processes together, what they
 * used, and a way to end them all.
 *
 * Version 2 only. The group is made below jail's own one or the nearest group above it in which
 * the controllers are there for the children, or can be switched on: for root mostly, for an
 * ordinary user in a group that was delegated. Where the only process of jail's own group is jail,
 * it moves itself into a group beside the sandbox's, since one with processes can have no
 * controllers for its children; at the end it moves back.
 */
#ifndef JAIL_SYSTEM_CGROUP_H
#define JAIL_SYSTEM_CGROUP_H

#include <stdbool.h>

#include "jail/base/cleanup.h"
#include "jail/base/err.h"
#include "jail/base/str.h"

enum { CGROUP_CPU = 1, CGROUP_MEMORY = 2, CGROUP_PIDS = 4 }; /* controllers */

struct cgroup {
	int dir_fd;		/* -1: there is none */
	int procs_fd, pids_fd;	/* for the child: to enter it; pids.max, -1 without CGROUP_PIDS */
	unsigned int has;	/* CGROUP_* */
	char *parent, *name;	/* the folder it is in, and its own name there */
	char *own;		/* the group beside it that jail moved itself to; NULL */
	unsigned int turned_on; /* CGROUP_* of the parent, for the move back */
};
#define CGROUP_INIT                                         \
	{                                                   \
		.dir_fd = -1, .procs_fd = -1, .pids_fd = -1 \
	}

/*
 * Make a group with as many of the wanted controllers as can be had. Returns 0 (ret->has says
 * which), or a negative errno when no group can be made at all (err says why, and what to do).
 */
int cgroup_create(unsigned int wanted, struct cgroup *ret, struct err *err);
/* "controller memory is not …": why a group has not got these, and what to do. Appends to out. */
void cgroup_print_missing(unsigned int missing, bool with_advice, struct buf *out);
/* End all that is in it, and remove it; waits up to two seconds for the end. */
void cgroup_deinit(struct cgroup *cgroup);
DEFINE_CLEANUP(cgroup, cgroup_deinit)
/* SIGKILL to all that is in it. */
void cgroup_kill(const struct cgroup *cgroup);

/* Write a value to one of its files. A file that is not there: -ENOENT. */
int cgroup_set(const struct cgroup *cgroup, const char *file, const char *value, struct err *err);

/* For the child: become a member; allocates nothing. */
int cgroup_enter(const struct cgroup *cgroup, struct err *err);
/* For the child: write pids.max; allocates nothing. */
int cgroup_limit_pids(const struct cgroup *cgroup, const char *text, struct err *err);

/* What was used so far, by all of them together; UINT64_MAX: this kernel does not say. */
struct cgroup_usage {
	uint64_t cpu_us, user_us, system_us;
	uint64_t memory_peak; /* bytes; Linux 5.19 */
	uint64_t pids_peak;   /* Linux 6.1 */
	uint64_t oom_kills, forks_refused;
};
struct cgroup_usage cgroup_usage(const struct cgroup *cgroup);
/* Microseconds of processor time alone. */
uint64_t cgroup_cpu_us(const struct cgroup *cgroup);

#endif
