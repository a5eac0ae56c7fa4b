#include "lab/debian/lock-deb.h"

#include <stdlib.h>
#include <string.h>

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

void lock_text_deinit(struct lock_text *t)
{
	free(t->suite);
	free(t->snapshot);
	*t = (struct lock_text){0};
}

static bool only(const char *s, const char *chars, size_t max)
{
	size_t n = strspn(s, chars);

	return n > 0 && n <= max && !s[n];
}

static bool word_ok(const char *s, enum lock_word kind)
{
	switch (kind) {
	case LOCK_NAME:
		return only(s, ALNUM "._+-", 128) && strchr(ALNUM, s[0]);
	case LOCK_VERSION:
		return only(s, ALNUM "._+-~:", 128) && strchr(ALNUM, s[0]);
	case LOCK_STAMP:
		return strlen(s) == 16 && s[8] == 'T' && s[15] == 'Z' &&
		       strspn(s, "0123456789") == 8 && strspn(s + 9, "0123456789") == 6;
	case LOCK_SHA256:
		return only(s, "0123456789abcdef", 64) && strlen(s) == 64;
	case LOCK_PATH:
		return path_is_inside(s) && only(s, ALNUM "._+-~/", 512) && str_ends(s, ".deb");
	}
	return false;
}

int lock_word(const struct lock_text *t, const struct yaml_node *map, const char *key,
	      enum lock_word kind, char **ret, struct err *err)
{
	static const char *const form[] = {
		"a name (letters, digits, . _ + -)",
		"a version",
		"a time like 20261121T000000Z",
		"64 hexadecimal digits in lower case",
		"a path inside the archive that ends in .deb",
	};
	const struct yaml_node *node = yaml_get(map, key);
	const char *text;

	if (!node)
		return yaml_error(t->yaml, map, err, "%s is missing", key);
	if (yaml_string(t->yaml, node, key, &text, err) < 0)
		return -EINVAL;
	if (!word_ok(text, kind))
		return yaml_error(t->yaml, node, err, "%s must be %s", key, form[kind]);
	*ret = xstrdup(text);
	return 0;
}

int lock_origin(struct lock_text *t, const struct yaml_node *map, struct err *err)
{
	char *suite = NULL, *snapshot = NULL;

	if (lock_word(t, map, "suite", LOCK_NAME, &suite, err) < 0)
		return -EINVAL;
	free(t->suite);
	t->suite = suite;
	if (lock_word(t, map, "snapshot", LOCK_STAMP, &snapshot, err) < 0)
		return -EINVAL;
	free(t->snapshot);
	t->snapshot = snapshot;
	return 0;
}

int lock_deb_parse(const struct lock_text *t, const struct yaml_node *map, const char *name,
		   struct deb *ret, struct err *err)
{
	static const char *const keys[] = {"name", "version", "path", "size", "sha256"};
	static const char *const keys_named[] = {"version", "path", "size", "sha256", "depends"};
	const struct yaml_node *size_node;
	int64_t size;

	if (yaml_check_keys(t->yaml, map, "a package", name ? keys_named : keys, array_len(keys),
			    err) < 0)
		return -EINVAL;
	size_node = yaml_get(map, "size");
	if (!size_node)
		return yaml_error(t->yaml, map, err, "size is missing");
	if (yaml_int(t->yaml, size_node, "size", 1, INT64_C(1) << 33, &size, err) < 0)
		return -EINVAL;
	ret->size = size;
	ret->suite = xstrdup(t->suite);
	ret->snapshot = xstrdup(t->snapshot);
	if (name)
		ret->name = xstrdup(name);
	else if (lock_word(t, map, "name", LOCK_NAME, &ret->name, err) < 0)
		return -EINVAL;
	if (lock_word(t, map, "version", LOCK_VERSION, &ret->version, err) < 0 ||
	    lock_word(t, map, "path", LOCK_PATH, &ret->path, err) < 0)
		return -EINVAL;
	return lock_word(t, map, "sha256", LOCK_SHA256, &ret->sha256, err);
}

void lock_deb_print(struct buf *out, const char *first, const char *rest, const struct deb *deb)
{
	buf_addf(out, "%sname: %s\n%sversion: \"%s\"\n%spath: %s\n%ssize: %llu\n%ssha256: \"%s\"\n",
		 first, deb->name, rest, deb->version, rest, deb->path, rest,
		 (unsigned long long)deb->size, rest, deb->sha256);
}

int lock_schema(const struct yaml *yaml, const char *const *keys, size_t n, struct err *err)
{
	const struct yaml_node *schema;
	int64_t version;

	if (yaml_check_keys(yaml, &yaml->root, "a lock", keys, n, err) < 0)
		return -EINVAL;
	schema = yaml_get(&yaml->root, "schema");
	if (!schema)
		return yaml_error(yaml, &yaml->root, err, "schema is missing");
	return yaml_int(yaml, schema, "schema", 1, 1, &version, err);
}
