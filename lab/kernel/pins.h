/*
 * pins.h - kernel-config/kernels.yml: which kernels we follow. Pure.
 */
#ifndef LAB_PINS_H
#define LAB_PINS_H

#include "jail/base/err.h"
#include "jail/base/str.h"

enum { PIN_MAX_URL = 2000 };

/* Where a kernel's source is: a tarball with its digest, or a Debian package of a suite. */
struct pin_source {
	char *url, *sha256;    /* its last part is the name of a file: letters, digits, ._+- */
	char *package, *suite; /* or NULL */
};
struct pin {
	char *name;
	char *suite, *flavour;	  /* Debian's binary package; NULL: there is none, it is built */
	char *series;		  /* "6.18": the version starts with these numbers: said, or the
				     name, or of a tarball's name */
	struct pin_source source; /* url or package is set when it can be built */
	struct strv config;	  /* fragments that every build of it has, as words; empty: not said
				     (flavour.h: then "guest") */
	bool is_default;
};
struct pins {
	struct pin *items; /* in the file's order */
	size_t n;
};

/*
 * name is for messages. Returns 0, -EINVAL (name:line:column, what was expected), -E2BIG. *ret is
 * the caller's, written only on success: pins_deinit().
 */
int pins_parse(const char *name, const char *text, size_t len, struct pins *ret, struct err *err);
const struct pin *pins_find(const struct pins *pins, const char *name);
/* -ENOENT with a text that lists the pins. */
int pins_unknown(const struct pins *pins, const char *name, struct err *err);
void pins_deinit(struct pins *pins);
DEFINE_CLEANUP(pins, pins_deinit)

#endif
