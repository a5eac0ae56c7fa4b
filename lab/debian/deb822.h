/*
 * deb822.h - the stanzas of Debian's index files (InRelease's text, Packages).
 *
 * Pure: bytes in, fields out. Input is untrusted: the length of a stanza and its number of fields
 * are bounded, NUL bytes are refused.
 */
#ifndef LAB_DEB822_H
#define LAB_DEB822_H

#include <stdbool.h>
#include <sys/types.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { DEB822_MAX_STANZA = 4 << 20, DEB822_MAX_FIELDS = 256 };

/* One stanza. {0} is empty; reused from stanza to stanza. */
struct deb822 {
	struct buf text; /* the fields point into it */
	size_t n;
	struct deb822_field {
		const char *name, *value; /* further lines of a value follow '\n', blanks kept */
	} fields[DEB822_MAX_FIELDS];
};

/*
 * Take the next stanza off the start of data. last: no more bytes follow. Returns the bytes used
 * up (with what separates stanzas), 0 when a whole stanza is not there yet (or at the end, when
 * nothing is left), -EBADMSG (not "Field: value" lines), -E2BIG. *ret holds the stanza when the
 * return value is positive and ret->n is not 0.
 */
ssize_t deb822_next(const char *data, size_t len, bool last, struct deb822 *ret, struct err *err);

/* The value of a field (names are compared without case), or NULL. */
const char *deb822_get(const struct deb822 *d, const char *field);
void deb822_deinit(struct deb822 *d);
DEFINE_CLEANUP(deb822, deb822_deinit)

/*
 * Find "HASH SIZE NAME" for name among the lines of a checksum field (SHA256 of a Release file).
 * Returns 0, or -ENOENT.
 */
int deb822_checksum(const char *value, const char *name, char hex[65], uint64_t *size);

/*
 * The packages a Depends field asks for, one string per comma: alternatives keep their order,
 * joined by '|', stripped of versions, architectures and qualifiers ("debconf|debconf-2.0").
 */
void deb822_depends(const char *value, struct strv *ret);

#endif
