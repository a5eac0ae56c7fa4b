/*
 * flavour.h - which configuration of a kernel: a set of fragments, and the name it has.
 *
 * Pure. A kernel's name is PIN for what kernels.yml says, else PIN+FRAGMENT[+FRAGMENT...]: "6.5",
 * "6.1+guest", "6.1+debug+kasan". Under every fragment lies "minimal", and on that "guest" unless
 * "minimal" is named; "guest" is repeated in a name only when it is all there is. Fragments are
 * joined by '+' (a comma separates flavours where several may be given; a command that takes one
 * flavour takes a comma as '+'). "default" is the pin's own.
 */
#ifndef LAB_FLAVOUR_H
#define LAB_FLAVOUR_H

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { FLAVOUR_MAX_FRAGMENTS = 16 };

struct flavour {
	struct strv fragments; /* in the order they are merged: "minimal", "guest", then sorted; a
				  user's own is the path as given (it ends in ".config") */
	char *word; /* "guest", "debug+kasan", "minimal+debug": what the name of a kernel ends in;
		       of a user's own fragment its file's name */
};

/*
 * text: "debug+kasan" or "debug,kasan"; NULL or "default": own alone. own (may be NULL): what the
 * pin lists ("config:"), which every flavour of it contains (but for "guest", when text names
 * "minimal"). Whether the fragments exist is not looked at. Two texts of one set give one word.
 * Returns 0 or -EINVAL. *ret is the caller's.
 */
int flavour_parse(const char *text, const struct strv *own, struct flavour *ret, struct err *err);
void flavour_deinit(struct flavour *f);
DEFINE_CLEANUP(flavour, flavour_deinit)

/* Is it fit to name a fragment: a word, or the path of a user's own? */
bool flavour_fragment_ok(const char *name);

/*
 * "6.1+debug+kasan" into "6.1" and "debug+kasan" (NULL when there is no '+'). Both allocated.
 * A spec that is a path ('/' before the first '+', or ".deb" at its end) is not split.
 */
void flavour_split(const char *spec, char **pin, char **text);

#endif
