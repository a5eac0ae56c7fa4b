/*
 * known.h - crashes that somebody knows about: a file of titles that pass for a while, each with
 * its reason, its link and its last day.
 *
 * Pure: text in, structs out. Every mistake is name:line:column: text. An entry remembers what it
 * was used for, so that one which is of no use any more can be told.
 */
#ifndef LAB_KNOWN_H
#define LAB_KNOWN_H

#include <stdatomic.h>

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/kver.h"
#include "jail/base/str.h"
#include "lab/crash/crash.h"

#define KNOWN_FILE "known-crashes.yml"
enum { KNOWN_MAX = 1000 };

struct known {
	bool regex;
	char *title; /* the whole title, or without the slashes */
	struct kver_range kernel;
	unsigned int archs; /* bit mask; 0: all */
	char *reason, *link, *until;
	bool over; /* until has passed: it hides nothing */
	char *file;
	unsigned int line;
	bool concerned;	     /* a kernel of this run is one that it names */
	atomic_bool matched; /* some crash, also when it is over */
};
struct known_list {
	struct known *items;
	size_t n;
};

/*
 * Parse a file. today: "2026-11-22", UTC. Adds to *ret, which the caller releases in any case.
 * Returns 0 or -EINVAL, -E2BIG.
 */
int known_parse(const char *name, const char *text, size_t len, const char *today,
		struct known_list *ret, struct err *err);
/* Something runs on this kernel: note which entries may match. */
void known_concern(struct known_list *list, const struct kver *kernel, enum arch arch);
/*
 * The first entry that is not over and names the crash, by its title or another; NULL: none. Notes
 * what matched; threads may call it at once.
 */
const struct known *known_find(struct known_list *list, const struct kver *kernel, enum arch arch,
			       const struct crash *crash);
/* "known.yml:3, known.yml:9": what may have matched and did not; nothing is added when all did. */
void known_add_unmatched(const struct known_list *list, struct buf *out);
void known_list_deinit(struct known_list *list);
DEFINE_CLEANUP(known_list, known_list_deinit)

#endif
