/*
 * lock-deb.h - what kernels.lock and packages.lock have in common: one package as text. For
 * lock*.c.
 */
#ifndef LAB_LOCK_DEB_H
#define LAB_LOCK_DEB_H

#include "jail/base/yaml.h"
#include "lab/debian/deb.h"

/* A lock being read; suite and snapshot are those of the entries that follow. */
struct lock_text {
	const struct yaml *yaml;
	char *suite, *snapshot;
};
void lock_text_deinit(struct lock_text *t);
DEFINE_CLEANUP(lock_text, lock_text_deinit)

enum lock_word { LOCK_NAME, LOCK_VERSION, LOCK_STAMP, LOCK_SHA256, LOCK_PATH };

/* The value of key as a word of that kind, allocated. Missing or of another form: -EINVAL. */
int lock_word(const struct lock_text *t, const struct yaml_node *map, const char *key,
	      enum lock_word kind, char **ret, struct err *err);
/* The keys "suite" and "snapshot" into *t. */
int lock_origin(struct lock_text *t, const struct yaml_node *map, struct err *err);
/* name NULL: it is a key of the map; else depends is allowed as a key. *ret must be empty. */
int lock_deb_parse(const struct lock_text *t, const struct yaml_node *map, const char *name,
		   struct deb *ret, struct err *err);
/* The fields of deb, the first line after first, the others after rest. */
void lock_deb_print(struct buf *out, const char *first, const char *rest, const struct deb *deb);
/* The keys of the file, and that its schema is the one we know. */
int lock_schema(const struct yaml *yaml, const char *const *keys, size_t n, struct err *err);

#endif
