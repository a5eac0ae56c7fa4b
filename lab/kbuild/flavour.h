/*
 * flavour.h - which configuration of a kernel: a set of fragments, and the name it has.
 *
 * Pure. A kernel's name is PIN for what kernels.yml says, else PIN+FRAGMENT[+FRAGMENT...]: "6.5",
 * "6.1+guest", "6.1+debug+kasan". Under every fragment lies "minimal", and on that "guest" unless
 * the flavour names "minimal" itself; neither is repeated in a name, except when it is all there
 * is. Fragments are joined by '+' (a comma separates flavours where several may be given; a command
 * that takes one flavour takes a comma as '+'). "default" is the pin's own.
 */
#ifndef LAB_FLAVOUR_H
#define LAB_FLAVOUR_H

#include "jail/base/err.h"
#include "jail/base/str.h"

struct flavour {
	struct strv fragments; /* in the order they are merged: "minimal", "guest", then sorted; a
				  user's own is the path as given (it ends in ".config") */
	char *word; /* "guest", "debug+kasan", "minimal": what the name of a kernel ends in */
};

/*
 * text: "debug+kasan"; own: what the pin lists ("config:"), which every flavour of it contains.
 * Whether the fragments exist is not looked at. Returns 0 or -EINVAL. *ret is the caller's.
 */
int flavour_parse(const char *text, const struct strv *own, struct flavour *ret, struct err *err);
void flavour_deinit(struct flavour *f);
DEFINE_CLEANUP(flavour, flavour_deinit)

/*
 * "6.1+debug+kasan" into "6.1" and "debug+kasan" (NULL when there is no '+'). Both allocated.
 * A spec that is a path is not split.
 */
void flavour_split(const char *spec, char **pin, char **text);

#endif
