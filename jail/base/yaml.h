/*
 * yaml.h - a YAML document as a tree with positions (over libyaml).
 *
 * Input is untrusted: size, depth and node count are bounded, tabs (but between the tokens of JSON,
 * a document that starts with a brace) and duplicate keys are errors, aliases and anchors are
 * refused (no file of ours needs them, and they make trees into graphs).
 * Every error text starts with name:line:column (counted from 1).
 * Ownership: yaml_parse() fills *ret, the caller releases it with yaml_deinit(); nodes and their
 * strings live as long as the document.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jail/base/cleanup.h"
#include "jail/base/err.h"

enum {
	YAML_MAX_BYTES = 1 << 20,
	YAML_MAX_DEPTH = 32,
	YAML_MAX_NODES = 100000,
	YAML_MAX_KEYS = 4096, /* of one map */
};

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_kind kind;
	unsigned int line, column; /* from 1 */
	bool is_flow; /* list: written [a, b]; then line and column are those of the bracket, else
			 those of the first - */
	bool quoted;  /* scalar given in quotes or as a block: never null, bool or number */
	char *text;   /* scalar: NUL-terminated; embedded NULs are refused at parse */
	size_t n;     /* list: items; map: pairs */
	struct yaml_node *items; /* list: the items; map: the values */
	struct yaml_node *keys;	 /* map only: scalars */
};

struct yaml {
	char *name;
	struct yaml_node root; /* an empty document is an empty map at 1:1 */
};

/* name is used in messages only. Returns 0, -EINVAL, -E2BIG. *ret is written only on success. */
int yaml_parse(const char *name, const char *text, size_t len, struct yaml *ret, struct err *err);
/* Read a file (dirfd may be AT_FDCWD) and parse it; path is the name in messages. */
int yaml_parse_file(int dirfd, const char *path, struct yaml *ret, struct err *err);
void yaml_deinit(struct yaml *y);
DEFINE_CLEANUP(yaml, yaml_deinit)

/* "name:line:column: text", made printable. Returns -EINVAL. */
int yaml_error(const struct yaml *y, const struct yaml_node *at, struct err *err, const char *fmt,
	       ...) __attribute__((format(printf, 4, 5)));

/* The value under key, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/*
 * Check that node is a map whose keys are all among keys[n]; an unknown key is an error that
 * suggests the nearest one or lists them all. what names the thing ("a scenario").
 */
int yaml_check_keys(const struct yaml *y, const struct yaml_node *node, const char *what,
		    const char *const *keys, size_t n, struct err *err);

/* Typed scalars; what names the value in the message ("timeout"). Written only on success. */
int yaml_string(const struct yaml *y, const struct yaml_node *node, const char *what,
		const char **ret, struct err *err);
int yaml_bool(const struct yaml *y, const struct yaml_node *node, const char *what, bool *ret,
	      struct err *err); /* true, false; not yes/no/on/off */
int yaml_int(const struct yaml *y, const struct yaml_node *node, const char *what, int64_t min,
	     int64_t max, int64_t *ret, struct err *err);
int yaml_ms(const struct yaml *y, const struct yaml_node *node, const char *what, int64_t *ret_ms,
	    struct err *err); /* str_to_ms() */
/* A list of strings; one string counts as a list of one. Adds to *ret (struct strv, str.h). */
struct strv;
int yaml_strings(const struct yaml *y, const struct yaml_node *node, const char *what,
		 struct strv *ret, struct err *err);

#endif
