/*
 * plugins.h - the shared objects that are asked about calls: loading them, and calling their hooks.
 *
 * jail-plugin.h is what they see. A plugin is trusted as jail is: what is checked is who may have
 * written the file, and what is easily got wrong.
 */
#ifndef JAIL_SUPERVISE_PLUGINS_H
#define JAIL_SUPERVISE_PLUGINS_H

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/str.h"
#include "jail/filter/model.h"
#include "jail/jail-plugin.h"
#include "jail/supervise/events.h"

struct plugin;

/* {0}: none. May not be moved once it is started. */
struct plugins {
	/* set by the caller before plugins_start() */
	struct events *events;
	int64_t (*read_memory)(void *context, int tid, uint64_t address, void *to, size_t len);
	void *context;

	/* filled in by plugins_load() */
	enum arch arch;
	struct plugin *items;
	size_t n;
};

/*
 * Load what is at these absolute paths; the same one only once. Returns 0; -EPERM when somebody
 * else than root and the caller may have written a file, or may replace it; -EINVAL when it is no
 * plugin or wants what is not there; -ENOSYS in a static build; or another negative errno. *ret is
 * written only on success.
 */
int plugins_load(const struct strv *paths, enum arch arch, struct plugins *ret, struct err *err);
/* Their start hooks; options are NAME=VALUE. Returns 0 or what a hook returned. */
int plugins_start(struct plugins *p, const struct strv *options, struct err *err);
/* Their end hooks, the last one's first. */
void plugins_end(struct plugins *p);
/* The same, if that is still to be done, and they are unloaded. */
void plugins_deinit(struct plugins *p);
DEFINE_CLEANUP(plugins, plugins_deinit)

/* Whether one wants results or processes: that takes a tracer. */
bool plugins_need_tracer(const struct plugins *p);
/*
 * Whether a call is one whose result a plugin wants (then its before hooks belong to the same stop,
 * too), or only one to be asked about before. False for a number that is no native call's.
 */
bool plugins_want_after(const struct plugins *p, int nr);
bool plugins_want_before(const struct plugins *p, int nr);

/*
 * Ask about a call, size and name of which are filled in here, until one does not say JAIL_GO_ON;
 * *by is then its name. A verdict that makes no sense is JAIL_REFUSE with EPERM.
 */
struct jail_verdict plugins_before(struct plugins *p, struct jail_call *call, const char **by);
void plugins_after(struct plugins *p, struct jail_call *call);
void plugins_process_start(struct plugins *p, pid_t pid, pid_t parent);
void plugins_process_end(struct plugins *p, pid_t pid, int status);

/* Lines for the end, one for each that refused something: which calls, how often. */
void plugins_print_refused(const struct plugins *p, struct buf *out);

#endif
