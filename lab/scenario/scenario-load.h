/*
 * scenario-load.h - scenario files on disk: find them, name them, read and check them.
 *
 * A scenario is a *.yml file that is not a *.policy.yml, below no folder called "files" and no
 * hidden folder. Its name is its path without .yml below the nearest folder called "scenarios"
 * above it, else below the folder asked for, else its base name: scenarios/userns/overlay.yml is
 * "userns/overlay" however it was asked for.
 * Files are untrusted: sizes are bounded, and what `files:` and `policy:` name must be regular
 * files inside the scenario's folder (no link leads out). What `modules:` names must be folders
 * with a Kbuild or Makefile.
 */
#ifndef LAB_SCENARIO_LOAD_H
#define LAB_SCENARIO_LOAD_H

#include "lab/scenario/scenario.h"

enum { SCENARIO_LOAD_MAX_MISTAKES = 20, SCENARIO_LOAD_MAX = 10000 };

struct scenario_set {
	struct scenario *items; /* sorted by name */
	size_t n;
};

/*
 * Load every scenario at or below paths[n]; filter is a glob (fnmatch) on names, NULL for all:
 * files that it leaves out are not read. Returns 0; -ENOENT (a path is not there, or there is no
 * scenario: err says which and why); -EINVAL when any file is wrong: then mistakes holds one line
 * for each (path:line:column: text, at most SCENARIO_LOAD_MAX_MISTAKES, then how many more) and err
 * the first of them. *ret is written only on success, and is the caller's: scenario_set_deinit().
 */
int scenario_load(char *const *paths, size_t n, const char *filter, struct scenario_set *ret,
		  struct strv *mistakes, struct err *err);

/*
 * The folder of one of the scenario's modules: the project's vm/NAME, or a folder beside the
 * scenario. Allocated, NULL with err; whether it is there is for scenario_load() to say.
 */
char *scenario_module_dir(const struct scenario *s, const char *module, struct err *err);

void scenario_set_deinit(struct scenario_set *set);
DEFINE_CLEANUP(scenario_set, scenario_set_deinit)

#endif
