/*
 * learn-text.h - calls that somebody else wrote down: lists, strace's logs and its tables.
 *
 * Pure. Input is untrusted. A line is one of
 *	openat			a name; also with a count before or after it
 *	openat(AT_FDCWD, …) = 3	strace's, with or without pid and time; arguments are kept as
 *				learn.h says
 *	0.00 0.000000 0 12 3 openat	a row of strace -c, below its heading
 * or blank, or starts with #. What strace says besides calls is passed over.
 */
#ifndef JAIL_LEARN_LEARN_TEXT_H
#define JAIL_LEARN_LEARN_TEXT_H

#include "jail/base/err.h"
#include "jail/learn/learn.h"

/*
 * Add all calls of a text. name is used in messages only. Returns 0, or -EINVAL: err says
 * name:line:column, what was expected and the nearest known name. Arguments that could not be read,
 * so that the call counts as a whole, are said in notes, once for each call; so is a text without
 * any call.
 */
int learn_add_text(struct learn *learn, const char *name, const char *text, size_t len,
		   struct strv *notes, struct err *err);

#endif
