/*
 * step.h - a plan: the list of set-up steps.
 *
 * Every step has a text that names it and its object ("mount proc on /proc"): --dry-run prints it,
 * and a failure begins with it.
 * Ownership: a plan owns its steps and their texts, released by plan_deinit(), not argv and envp.
 */
#ifndef JAIL_PLAN_STEP_H
#define JAIL_PLAN_STEP_H

#include "jail/base/cleanup.h"
#include "jail/base/str.h"
#include "jail/plan/limits.h"

enum step_op {
	STEP_CGROUP,	/* enter the cgroup of the limits */
	STEP_UNSHARE,	/* value: index of ns_kinds. A user namespace waits for its id maps */
	STEP_IDS,	/* become uid value, gid more in the new user namespace */
	STEP_CLOCKS,	/* data: text for timens_offsets */
	STEP_FORK,	/* go on in a child: the namespaces for children are now its own */
	STEP_HOSTNAME,	/* data */
	STEP_LOOPBACK,	/* bring lo up */
	STEP_PRIVATE,	/* no mount propagates out of the namespace or into it */
	STEP_NEW_ROOT,	/* an empty tmpfs to become the root; the sources of all binds are opened */
	STEP_ROOT_DIR,	/* source: a folder to become the root; the same */
	STEP_BIND,	/* source on target; value: STEP_RDONLY, STEP_IF_THERE */
	STEP_MOUNT,	/* type on target; value: MS_* flags; data: options */
	STEP_FOLDER,	/* make target; value: its mode */
	STEP_SYMLINK,	/* target, a link to source */
	STEP_COPY_LINK, /* target as a link, if the present root has one there */
	STEP_SYSFS,	/* a sysfs of the new net namespace on /sys, if the kernel lets us */
	STEP_RDONLY_ROOT, /* the tmpfs itself, not what is mounted on it */
	STEP_PIVOT,	  /* enter the new root and let go of the old one */
	STEP_CWD,	  /* target; value: STEP_IF_THERE goes to / when it is missing */
	STEP_INIT,	  /* go on in a child; the parent is PID 1: reaps and forwards signals */
	STEP_PROCESSES,	  /* data: text for pids.max of that cgroup */
	STEP_NO_NEW_PRIVS,
	STEP_CAPS,	    /* value: mask of those to keep; data: "all" keeps what is held */
	STEP_LANDLOCK,	    /* begin a ruleset; value: STEP_PATHS, STEP_PORTS; more: STEP_IF_THERE
			       takes what the kernel has */
	STEP_LANDLOCK_PATH, /* target may be used; value: PATH_*; more: STEP_IF_THERE */
	STEP_LANDLOCK_PORT, /* the port `more` may be used; value: PORT_* */
	STEP_RESTRICT,	    /* enforce the ruleset */
	STEP_OUTPUT,	    /* stdout and stderr become pipes to jail, which counts */
	STEP_RLIMIT,	    /* value: RLIMIT_*; more: the limit, soft and hard */
	STEP_SECCOMP,	    /* load the compiled policy */
	STEP_EXEC,	    /* argv */
};

enum { STEP_RDONLY = 1, STEP_IF_THERE = 2 };
enum { STEP_MAKE_TARGET = 1 };		 /* in more, of STEP_BIND and STEP_MOUNT */
enum { STEP_PATHS = 1, STEP_PORTS = 2 }; /* of STEP_LANDLOCK: what is forbidden unless listed */

struct step {
	enum step_op op;
	uint64_t value, more;
	char *source, *target, *type, *data; /* target: absolute, in the root to be */
	char *what;
	int fd; /* apply.c: the opened source of a bind; -1 */
};

struct plan {
	struct step *steps;
	size_t n;
	unsigned int namespaces;
	struct buf uid_map, gid_map; /* text for the kernel; empty without a user namespace */
	bool deny_setgroups;
	char **argv, **envp;  /* not owned */
	struct limits limits; /* all of them; some are steps, too */
};

/* Append a step; valid until the next one is appended. The text says what it does, and to what. */
struct step *plan_add(struct plan *plan, enum step_op op, uint64_t value, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

void plan_deinit(struct plan *plan);
DEFINE_CLEANUP(plan, plan_deinit)

#endif
