#include "lab/kernel/built-meta.h"

#include <string.h>

#include "jail/base/json.h"
#include "jail/base/yaml.h"
#include "lab/kernel/lock.h"

#define HEX_DIGITS "0123456789abcdef"

enum { KEY_DIGITS = 16, TEXT_MAX = 5000, SECONDS_MAX = 10000000 };

void built_deinit(struct built *b)
{
	free(b->name);
	free(b->version);
	free(b->release);
	free(b->inputs);
	strv_deinit(&b->fragments);
	free(b->source);
	free(b->source_what);
	free(b->compiler);
	strv_deinit(&b->notes);
	free(b->build_id);
	free(b->source_prefix);
	free(b->source_dir);
	*b = (struct built){0};
}

struct built built_copy(const struct built *b)
{
	struct built to = *b;

	to.name = xstrdup(b->name);
	to.version = xstrdup(b->version);
	to.release = xstrdup(b->release);
	to.inputs = xstrdup(b->inputs);
	to.fragments = to.notes = (struct strv){0};
	for (size_t i = 0; i < b->fragments.n; i++)
		strv_add(&to.fragments, b->fragments.items[i]);
	for (size_t i = 0; i < b->notes.n; i++)
		strv_add(&to.notes, b->notes.items[i]);
	to.source = xstrdup(b->source);
	to.source_what = xstrdup(b->source_what);
	to.compiler = xstrdup(b->compiler);
	to.build_id = xstrdup(b->build_id);
	to.source_prefix = xstrdup(b->source_prefix);
	to.source_dir = xstrdup(b->source_dir);
	return to;
}

void built_meta_deinit(struct built_meta *m)
{
	built_deinit(&m->built);
	free(m->image_sha256);
	free(m->sums_sha256);
	*m = (struct built_meta){0};
}

char *built_folder_name(const struct built *b)
{
	return str_printf("%s-%s-%.*s", b->name, arch_name(b->arch), KEY_DIGITS,
			  b->inputs ? b->inputs : "local");
}

char *built_file_name(const struct built *b)
{
	auto_free char *folder = built_folder_name(b);

	return str_printf("%s.tar.zst", folder);
}

bool built_is_folder_name(const char *name)
{
	for (int arch = 0; arch < ARCH_COUNT; arch++) {
		auto_free char *middle = str_printf("-%s-", arch_name(arch));
		const char *last = strrchr(name, '-'), *key = last ? last + 1 : "";
		size_t n = strlen(middle);

		if (last && (size_t)(key - name) > n && strncmp(key - n, middle, n) == 0 &&
		    !str_starts(name, "tmp-") &&
		    (str_eq(key, "local") ||
		     (strlen(key) == KEY_DIGITS && strspn(key, HEX_DIGITS) == KEY_DIGITS)))
			return true;
	}
	return false;
}

/* ---- what each text must be ---- */

bool built_name_ok(const char *name)
{
	return lock_name_ok(name) && !str_starts(name, "tmp-");
}

static bool is_digest(const char *s)
{
	return strlen(s) == 64 && strspn(s, HEX_DIGITS) == 64;
}

static bool is_build_id(const char *s)
{
	size_t n = strlen(s);

	return n && n <= 128 && n % 2 == 0 && strspn(s, HEX_DIGITS) == n;
}

static bool is_version(const char *s)
{
	return lock_name_ok(s) && kver_parse(s, &(struct kver){0}, NULL) == 0;
}

static bool is_text(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return false;
	return n && n <= TEXT_MAX;
}

static bool is_absolute(const char *s)
{
	return s[0] == '/' && is_text(s);
}

static const struct field {
	const char *key;
	bool (*ok)(const char *s);
	const char *form;
	size_t offset; /* in struct built_meta, of a char * */
	bool optional;
} fields[] = {
#define BUILT(member) offsetof(struct built_meta, built.member)
	{"name", built_name_ok, "a kernel's name", BUILT(name), false},
	{"version", is_version, "a version", BUILT(version), false},
	{"release", lock_name_ok, "a release", BUILT(release), false},
	{"inputs", is_digest, "64 hexadecimal digits", BUILT(inputs), true},
	{"source", is_text, "plain text", BUILT(source), false},
	{"source_what", is_text, "plain text", BUILT(source_what), false},
	{"compiler", is_text, "plain text", BUILT(compiler), true},
	{"build_id", is_build_id, "hexadecimal digits", BUILT(build_id), true},
	{"source_prefix", is_absolute, "an absolute path", BUILT(source_prefix), true},
	{"source_dir", is_absolute, "an absolute path", BUILT(source_dir), true},
	{"image_sha256", is_digest, "64 hexadecimal digits",
	 offsetof(struct built_meta, image_sha256), false},
	{"sums_sha256", is_digest, "64 hexadecimal digits",
	 offsetof(struct built_meta, sums_sha256), false},
};

static char **text_at(const struct built_meta *m, const struct field *f)
{
	return (char **)((char *)m + f->offset);
}

/* ---- reading ---- */

static int parse_texts(const struct yaml *y, struct built_meta *m, struct err *err)
{
	for (size_t i = 0; i < array_len(fields); i++) {
		const struct yaml_node *node = yaml_get(&y->root, fields[i].key);
		const char *text;

		if (!node && fields[i].optional)
			continue;
		if (!node)
			return yaml_error(y, &y->root, err, "%s is missing", fields[i].key);
		if (yaml_string(y, node, fields[i].key, &text, err) < 0)
			return -EINVAL;
		if (!fields[i].ok(text))
			return yaml_error(y, node, err, "%s must be %s", fields[i].key,
					  fields[i].form);
		*text_at(m, &fields[i]) = xstrdup(text);
	}
	return 0;
}

static int parse_number(const struct yaml *y, const char *key, int64_t min, int64_t max,
			int64_t *ret, struct err *err)
{
	const struct yaml_node *node = yaml_get(&y->root, key);

	if (!node)
		return yaml_error(y, &y->root, err, "%s is missing", key);
	return yaml_int(y, node, key, min, max, ret, err);
}

static int parse_numbers(const struct yaml *y, struct built_meta *m, struct err *err)
{
	int64_t schema, size, objects, seconds, jobs;

	if (parse_number(y, "schema", 1, 1, &schema, err) < 0 ||
	    parse_number(y, "image_size", 1, INT32_MAX, &size, err) < 0 ||
	    parse_number(y, "objects", 0, INT32_MAX, &objects, err) < 0 ||
	    parse_number(y, "seconds", 0, SECONDS_MAX, &seconds, err) < 0 ||
	    parse_number(y, "jobs", 0, INT32_MAX, &jobs, err) < 0 ||
	    parse_number(y, "built_at", 0, UINT32_MAX, &m->built.built_at, err) < 0)
		return -EINVAL;
	m->image_size = size;
	m->built.objects = objects;
	m->built.seconds = seconds;
	m->built.jobs = jobs;
	return 0;
}

static int parse_lists(const struct yaml *y, struct built_meta *m, struct err *err)
{
	const struct yaml_node *arch = yaml_get(&y->root, "arch"),
			       *fragments = yaml_get(&y->root, "fragments"),
			       *notes = yaml_get(&y->root, "notes");
	const char *text = "";
	int a;

	if (!arch || !fragments)
		return yaml_error(y, &y->root, err, "%s is missing", arch ? "fragments" : "arch");
	if (yaml_string(y, arch, "arch", &text, err) < 0 ||
	    yaml_strings(y, fragments, "fragments", &m->built.fragments, err) < 0 ||
	    (notes && yaml_strings(y, notes, "notes", &m->built.notes, err) < 0))
		return -EINVAL;
	a = arch_parse(text);
	if (a < 0 || !str_eq(text, arch_name(a)))
		return yaml_error(y, arch, err, "arch must be amd64 or arm64");
	m->built.arch = a;
	for (size_t i = 0; i < m->built.fragments.n; i++)
		if (i >= BUILT_MAX_FRAGMENTS || !is_text(m->built.fragments.items[i]))
			return yaml_error(y, fragments, err, "fragments must be a list of names");
	for (size_t i = 0; i < m->built.notes.n; i++)
		if (i >= BUILT_MAX_FRAGMENTS || !is_text(m->built.notes.items[i]))
			return yaml_error(y, notes, err, "notes must be a list of lines");
	return 0;
}

int built_meta_parse(const char *name, const char *text, size_t len, struct built_meta *ret,
		     struct err *err)
{
	static const char *const others[] = {"schema",	   "arch", "fragments", "local",
					     "objects",	   "jobs", "seconds",	"built_at",
					     "image_size", "notes"};
	const char *keys[array_len(fields) + array_len(others)];
	auto_cleanup(built_meta) m = {0};
	auto_cleanup(yaml) y = {0};
	const struct yaml_node *local;
	int r;

	if (len > BUILT_META_MAX_BYTES)
		return err_set(err, E2BIG, "%s: larger than %d bytes", name, BUILT_META_MAX_BYTES);
	r = yaml_parse(name, text, len, &y, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < array_len(keys); i++)
		keys[i] = i < array_len(fields) ? fields[i].key : others[i - array_len(fields)];
	if (yaml_check_keys(&y, &y.root, "a built kernel", keys, array_len(keys), err) < 0 ||
	    parse_texts(&y, &m, err) < 0 || parse_numbers(&y, &m, err) < 0 ||
	    parse_lists(&y, &m, err) < 0)
		return -EINVAL;
	local = yaml_get(&y.root, "local");
	if (!local)
		return yaml_error(&y, &y.root, err, "local is missing");
	if (yaml_bool(&y, local, "local", &m.built.local, err) < 0)
		return -EINVAL;
	if (m.built.local == !!m.built.inputs)
		return yaml_error(&y, local, err,
				  "a kernel has inputs unless it is made of a local source");
	*ret = m;
	m = (struct built_meta){0};
	return 0;
}

/* ---- writing ---- */

static void add_list(struct buf *out, const char *key, const struct strv *list)
{
	json_add_key(out, key);
	buf_adds(out, "[");
	for (size_t i = 0; i < list->n; i++) {
		buf_adds(out, i ? ", " : "");
		json_add_string(out, list->items[i], strlen(list->items[i]), TEXT_MAX);
	}
	buf_adds(out, "]");
}

void built_meta_print(const struct built_meta *m, bool to_share, struct buf *out)
{
	const struct built *b = &m->built;

	buf_adds(out, "{");
	json_add_u64(out, "schema", 1);
	json_add_text(out, "arch", arch_name(b->arch));
	for (size_t i = 0; i < array_len(fields); i++)
		if (!to_share || !str_eq(fields[i].key, "source_dir"))
			json_add_text(out, fields[i].key, *text_at(m, &fields[i]));
	add_list(out, "fragments", &b->fragments);
	if (b->notes.n)
		add_list(out, "notes", &b->notes);
	json_add_key(out, "local");
	buf_adds(out, b->local ? "true" : "false");
	json_add_u64(out, "objects", b->objects);
	json_add_u64(out, "seconds", b->seconds);
	json_add_u64(out, "jobs", b->jobs);
	json_add_u64(out, "built_at", b->built_at);
	json_add_u64(out, "image_size", m->image_size);
	buf_adds(out, "}\n");
}
