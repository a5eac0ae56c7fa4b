/*
 * learn-file.h - the policy that --learn writes: made, or merged with what earlier runs learned.
 */
#ifndef JAIL_RUN_LEARN_FILE_H
#define JAIL_RUN_LEARN_FILE_H

#include "jail/learn/learn.h"

/*
 * Before the run: the file is not there, or is a policy of jail's own format. A file that is none
 * is never overwritten. extends (may be NULL) names the policy of which only the difference is
 * kept; without one that is what the file extends already. Returns 0, or a negative errno.
 */
int learn_file_check(const char *path, const char *extends, struct err *err);
/*
 * After it: read the file again, if it is there, and replace it in one step. *n_rules is how many
 * rules it has now; unnamed as learn_finish(). Returns 0, or a negative errno: the file is then as
 * it was.
 */
int learn_file_write(const char *path, const char *extends, struct learn *learn, size_t *n_rules,
		     struct strv *unnamed, struct err *err);

/*
 * What learned extends is base: put its name as a file at path has to say it, relative to its own
 * folder or absolute.
 */
void learn_file_name_base(struct policy *learned, const struct policy *base, const char *path);

#endif
