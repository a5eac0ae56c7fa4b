#include "jail/base/yaml.h"

#include <fcntl.h>
#include <string.h>
#include <yaml.h>

#include "jail/base/io.h"
#include "jail/base/str.h"

struct loader {
	const char *name, *text;
	size_t len;
	yaml_parser_t parser;
	yaml_event_t event;
	size_t nodes;
	struct err *err;
};

static void node_deinit(struct yaml_node *node)
{
	for (size_t i = 0; i < node->n; i++) {
		node_deinit(&node->items[i]);
		if (node->keys)
			node_deinit(&node->keys[i]);
	}
	free(node->items);
	free(node->keys);
	free(node->text);
}

void yaml_deinit(struct yaml *y)
{
	node_deinit(&y->root);
	free(y->name);
	*y = (struct yaml){0};
}

static int load_error(struct loader *l, yaml_mark_t at, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Parts of the text come of the file: nothing of it may reach a terminal as more than text. */
static int set_error(struct err *err, int code, const char *name, size_t line, size_t column,
		     const char *fmt, va_list ap)
{
	auto_cleanup(buf) raw = {0}, text = {0};

	buf_addf(&raw, "%s:%zu:%zu: ", name, line, column);
	buf_vaddf(&raw, fmt, ap);
	str_printable(&text, raw.data, raw.len, sizeof(err->msg) - 4, false);
	return err_set(err, code, "%s", text.data);
}

static int load_error(struct loader *l, yaml_mark_t at, int code, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = set_error(l->err, code, l->name, at.line + 1, at.column + 1, fmt, ap);
	va_end(ap);
	return r;
}

/* The byte at a mark, whose index counts characters. */
static char byte_at(const struct loader *l, yaml_mark_t at)
{
	size_t i = 0;

	for (size_t left = at.index; i < l->len && left; left--)
		do
			i++;
		while (i < l->len && (l->text[i] & 0xc0) == 0x80);
	return i < l->len ? l->text[i] : '\0';
}

/* The reader below the parser knows an offset alone. */
static yaml_mark_t mark_of(const struct loader *l, size_t offset)
{
	yaml_mark_t at = {0};

	for (size_t i = 0; i < offset && i < l->len; i++) {
		if (l->text[i] == '\n') {
			at.line++;
			at.column = 0;
		} else if ((l->text[i] & 0xc0) != 0x80) {
			at.column++;
		}
	}
	return at;
}

static int parser_error(struct loader *l)
{
	const char *problem = l->parser.problem ?: "not YAML";
	yaml_mark_t at = l->parser.problem_mark;
	char c = byte_at(l, at);

	if (l->parser.error == YAML_READER_ERROR) {
		at = mark_of(l, l->parser.problem_offset);
		return strstr(problem, "UTF-8")
			       ? load_error(l, at, EINVAL, "text in UTF-8 expected (%s)", problem)
			       : load_error(l, at, EINVAL, "%s", problem);
	}
	if (strstr(problem, "character that cannot start any token") && (c == '@' || c == '`'))
		return load_error(l, at, EINVAL,
				  "a value that begins with %c must be in quotes: \"%c…\"", c, c);
	if (strstr(problem, "character that cannot start any token"))
		return load_error(
			l, at, EINVAL,
			"a tab or a reserved character cannot stand here (indent with spaces)");
	return load_error(l, at, EINVAL, "%s%s%s", problem, l->parser.context ? ", " : "",
			  l->parser.context ? l->parser.context : "");
}

static int next_event(struct loader *l)
{
	yaml_event_delete(&l->event);
	if (yaml_parser_parse(&l->parser, &l->event))
		return 0;
	memset(&l->event, 0, sizeof(l->event));
	return parser_error(l);
}

static int load_node(struct loader *l, unsigned int depth, struct yaml_node *ret);

static int load_scalar(struct loader *l, struct yaml_node *ret)
{
	size_t len = l->event.data.scalar.length;
	const char *text = (const char *)l->event.data.scalar.value;

	if (memchr(text, '\0', len))
		return load_error(l, l->event.start_mark, EINVAL, "a NUL byte in a value");
	ret->kind = YAML_SCALAR;
	ret->quoted = l->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	ret->text = xstrndup(text, len);
	return 0;
}

static struct yaml_node *grow(struct yaml_node *items, size_t n)
{
	if (n & (n - 1)) /* room is there: arrays double at powers of two */
		return items;
	items = xreallocarray(items, n ? n * 2 : 1, sizeof(*items));
	return items;
}

static int load_list(struct loader *l, unsigned int depth, struct yaml_node *ret)
{
	int r;

	ret->kind = YAML_LIST;
	ret->is_flow = l->event.data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
	while ((r = next_event(l)) == 0 && l->event.type != YAML_SEQUENCE_END_EVENT) {
		ret->items = grow(ret->items, ret->n);
		ret->items[ret->n] = (struct yaml_node){0};
		ret->n++;
		r = load_node(l, depth + 1, &ret->items[ret->n - 1]);
		if (r < 0)
			return r;
	}
	return r;
}

static int load_map(struct loader *l, unsigned int depth, struct yaml_node *ret)
{
	int r;

	ret->kind = YAML_MAP;
	while ((r = next_event(l)) == 0 && l->event.type != YAML_MAPPING_END_EVENT) {
		yaml_mark_t at = l->event.start_mark;
		struct yaml_node *key;

		if (l->event.type != YAML_SCALAR_EVENT)
			return load_error(l, at, EINVAL, "a key must be a plain word");
		if (l->event.data.scalar.anchor)
			return load_error(l, at, EINVAL,
					  "anchors and aliases (& and *) are not accepted");
		if (ret->n == YAML_MAX_KEYS)
			return load_error(l, at, E2BIG, "more than %d keys in one map",
					  YAML_MAX_KEYS);
		ret->keys = grow(ret->keys, ret->n);
		ret->items = grow(ret->items, ret->n);
		key = &ret->keys[ret->n];
		*key = (struct yaml_node){.line = at.line + 1, .column = at.column + 1};
		ret->items[ret->n] = (struct yaml_node){0};
		ret->n++;
		r = load_scalar(l, key);
		if (r < 0)
			return r;
		for (size_t i = 0; i + 1 < ret->n; i++)
			if (str_eq(ret->keys[i].text, key->text))
				return load_error(l, at, EINVAL,
						  "'%.60s' is given twice (first in line %u)",
						  key->text, ret->keys[i].line);
		r = next_event(l);
		if (r == 0)
			r = load_node(l, depth + 1, &ret->items[ret->n - 1]);
		if (r < 0)
			return r;
	}
	return r;
}

/* Load the node that the current event starts. On failure *ret holds what node_deinit() frees. */
static int load_node(struct loader *l, unsigned int depth, struct yaml_node *ret)
{
	yaml_mark_t at = l->event.start_mark;
	const unsigned char *anchor = NULL;

	ret->line = at.line + 1;
	ret->column = at.column + 1;
	if (depth > YAML_MAX_DEPTH)
		return load_error(l, at, E2BIG, "nested deeper than %d levels", YAML_MAX_DEPTH);
	if (++l->nodes > YAML_MAX_NODES)
		return load_error(l, at, E2BIG, "more than %d values in one file", YAML_MAX_NODES);
	if (l->event.type == YAML_SCALAR_EVENT)
		anchor = l->event.data.scalar.anchor;
	else if (l->event.type == YAML_SEQUENCE_START_EVENT)
		anchor = l->event.data.sequence_start.anchor;
	else if (l->event.type == YAML_MAPPING_START_EVENT)
		anchor = l->event.data.mapping_start.anchor;
	if (anchor || l->event.type == YAML_ALIAS_EVENT)
		return load_error(l, at, EINVAL,
				  "anchors and aliases (& and *) are not accepted; quote the value "
				  "if it is text");
	switch (l->event.type) {
	case YAML_SCALAR_EVENT:
		return load_scalar(l, ret);
	case YAML_SEQUENCE_START_EVENT:
		return load_list(l, depth, ret);
	case YAML_MAPPING_START_EVENT:
		return load_map(l, depth, ret);
	default:
		return load_error(l, at, EINVAL, "a value was expected here");
	}
}

static int load_document(struct loader *l, struct yaml_node *root)
{
	int r;

	do {
		r = next_event(l);
	} while (r == 0 && (l->event.type == YAML_STREAM_START_EVENT ||
			    l->event.type == YAML_DOCUMENT_START_EVENT));
	if (r < 0)
		return r;
	if (l->event.type == YAML_STREAM_END_EVENT ||
	    (l->event.type == YAML_SCALAR_EVENT && !l->event.data.scalar.length &&
	     l->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE)) {
		*root = (struct yaml_node){.kind = YAML_MAP, .line = 1, .column = 1};
		return 0;
	}
	r = load_node(l, 0, root);
	if (r < 0)
		return r;
	do {
		r = next_event(l);
	} while (r == 0 && l->event.type == YAML_DOCUMENT_END_EVENT);
	if (r == 0 && l->event.type != YAML_STREAM_END_EVENT)
		return load_error(l, l->event.start_mark, EINVAL, "a second document in one file");
	return r;
}

/*
 * JSON (a document that starts with a brace) is YAML but for tabs between its tokens, which libyaml
 * takes for indentation: the same text with blanks for them. NULL when there is nothing to do.
 */
static char *json_without_tabs(const char *text, size_t len)
{
	size_t start = 0;
	bool in_string = false;
	char *copy;

	while (start < len && strchr(" \t\r\n", text[start]) && text[start])
		start++;
	if (start == len || text[start] != '{' || !memchr(text, '\t', len))
		return NULL;
	copy = xmalloc(len);
	memcpy(copy, text, len);
	for (size_t i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (text[i] == '\t' && !in_string)
			copy[i] = ' ';
	}
	return copy;
}

int yaml_parse(const char *name, const char *text, size_t len, struct yaml *ret, struct err *err)
{
	struct loader l = {.name = name, .err = err};
	auto_free char *blanked = NULL;
	struct yaml_node root = {0};
	int r;

	if (len > YAML_MAX_BYTES)
		return err_set(err, E2BIG, "%s:1:1: %zu bytes; at most %d are read", name, len,
			       YAML_MAX_BYTES);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
		text += 3;
		len -= 3;
	}
	l.text = text;
	l.len = len;
	if (!yaml_parser_initialize(&l.parser))
		return err_set(err, ENOMEM, "%s: out of memory", name);
	blanked = json_without_tabs(text, len);
	yaml_parser_set_input_string(&l.parser, (const unsigned char *)(blanked ? blanked : text),
				     len);
	yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
	r = load_document(&l, &root);
	yaml_event_delete(&l.event);
	yaml_parser_delete(&l.parser);
	if (r < 0) {
		node_deinit(&root);
		return r;
	}
	*ret = (struct yaml){.name = xstrdup(name), .root = root};
	return 0;
}

int yaml_parse_file(int dirfd, const char *path, struct yaml *ret, struct err *err)
{
	auto_cleanup(buf) text = {0};
	int r = io_read_file(dirfd, path, YAML_MAX_BYTES, &text, err);

	if (r == -EFBIG)
		return err_set(
			err, E2BIG,
			"%s:1:1: larger than %d KiB, which is too much for a file of settings",
			path, YAML_MAX_BYTES >> 10);
	if (r < 0)
		return r;
	return yaml_parse(path, text.data, text.len, ret, err);
}

int yaml_error(const struct yaml *y, const struct yaml_node *at, struct err *err, const char *fmt,
	       ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = set_error(err, EINVAL, y->name, at->line, at->column, fmt, ap);
	va_end(ap);
	return r;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	if (map->kind != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (str_eq(map->keys[i].text, key))
			return &map->items[i];
	return NULL;
}

int yaml_check_keys(const struct yaml *y, const struct yaml_node *node, const char *what,
		    const char *const *keys, size_t n, struct err *err)
{
	if (node->kind != YAML_MAP)
		return yaml_error(y, node, err, "%s must be a map (key: value)", what);
	for (size_t i = 0; i < node->n; i++) {
		auto_cleanup(buf) known = {0};
		const char *key = node->keys[i].text;
		const char *near;
		size_t k;

		for (k = 0; k < n; k++)
			if (str_eq(keys[k], key))
				break;
		if (k < n)
			continue;
		near = str_nearest(key, keys, n);
		if (near)
			return yaml_error(y, &node->keys[i], err,
					  "unknown key '%.60s' in %s (did you mean '%s'?)", key,
					  what, near);
		for (k = 0; k < n; k++)
			buf_addf(&known, "%s%s", k ? ", " : "", keys[k]);
		return yaml_error(y, &node->keys[i], err, "unknown key '%.60s' in %s (known: %s)",
				  key, what, known.data);
	}
	return 0;
}

static const char *kind_name(const struct yaml_node *node)
{
	return node->kind == YAML_MAP	 ? "a map"
	       : node->kind == YAML_LIST ? "a list"
					 : "a single value";
}

int yaml_string(const struct yaml *y, const struct yaml_node *node, const char *what,
		const char **ret, struct err *err)
{
	if (node->kind != YAML_SCALAR)
		return yaml_error(y, node, err, "%s must be text, not %s", what, kind_name(node));
	if (!node->quoted &&
	    (!*node->text || str_eq(node->text, "~") || str_eq(node->text, "null")))
		return yaml_error(y, node, err, "%s has no value", what);
	*ret = node->text;
	return 0;
}

int yaml_bool(const struct yaml *y, const struct yaml_node *node, const char *what, bool *ret,
	      struct err *err)
{
	if (node->kind == YAML_SCALAR && !node->quoted &&
	    (str_eq(node->text, "true") || str_eq(node->text, "false"))) {
		*ret = str_eq(node->text, "true");
		return 0;
	}
	return yaml_error(y, node, err, "%s must be true or false", what);
}

int yaml_int(const struct yaml *y, const struct yaml_node *node, const char *what, int64_t min,
	     int64_t max, int64_t *ret, struct err *err)
{
	if (node->kind == YAML_SCALAR && !node->quoted) {
		char *end;
		long long v;

		errno = 0;
		v = strtoll(node->text, &end, 10);
		if (end != node->text && !*end && !errno && v >= min && v <= max) {
			*ret = v;
			return 0;
		}
	}
	if (min == max)
		return yaml_error(y, node, err, "%s must be %lld", what, (long long)min);
	return yaml_error(y, node, err, "%s must be a number from %lld to %lld", what,
			  (long long)min, (long long)max);
}

int yaml_ms(const struct yaml *y, const struct yaml_node *node, const char *what, int64_t *ret_ms,
	    struct err *err)
{
	if (node->kind == YAML_SCALAR && str_to_ms(node->text, ret_ms) == 0)
		return 0;
	return yaml_error(y, node, err, "%s must be a time like 500ms, 30s, 2m or 1h", what);
}

int yaml_strings(const struct yaml *y, const struct yaml_node *node, const char *what,
		 struct strv *ret, struct err *err)
{
	const char *s;

	if (node->kind == YAML_SCALAR) {
		if (yaml_string(y, node, what, &s, err) < 0)
			return -EINVAL;
		strv_add(ret, s);
		return 0;
	}
	if (node->kind == YAML_MAP)
		return yaml_error(y, node, err, "%s must be text or a list, not a map", what);
	for (size_t i = 0; i < node->n; i++) {
		if (yaml_string(y, &node->items[i], what, &s, err) < 0)
			return -EINVAL;
		strv_add(ret, s);
	}
	return 0;
}
