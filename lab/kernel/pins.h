/*
 * pins.h - kernel-config/kernels.yml: which kernels we follow. Pure.
 */
#ifndef LAB_PINS_H
#define LAB_PINS_H

#include "jail/base/err.h"
#include "jail/base/str.h"

struct pin {
	char *name;
	char *suite, *flavour;
	char *series; /* "6.18": the version starts with these numbers */
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
void pins_deinit(struct pins *pins);
DEFINE_CLEANUP(pins, pins_deinit)

#endif
