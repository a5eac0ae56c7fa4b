/*
 * git.h - what git says about a folder that may be anybody's.
 */
#ifndef LAB_GIT_H
#define LAB_GIT_H

/*
 * As `git describe --tags --always --dirty`, allocated, printable. NULL: dir is not the top of a
 * repository, it is another user's (git's safe.directory), there is no git, or no answer in time.
 * Nothing is written (describe --dirty writes the index), nothing is fetched, and no program that
 * the repository's own configuration names is run: hooks, monitors, filters. One with filters is
 * not asked for changes.
 */
char *git_describe(const char *dir);

#endif
