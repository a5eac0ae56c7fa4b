#include "lab/symbols/btf.h"

#include <string.h>

#include "lab/symbols/btf-read.h"

/*
 * struct btf_header of include/uapi/linux/btf.h: magic, version, flags, the header's length, offset
 * and length of the types and of the strings; from 7.1 on of the layout as well.
 */
enum { HEADER = 24, HEADER_MAX = 4096, HEADER_LAYOUT = 32, BTF_MAX_SIZE = 64 << 20 };
/* as the kernel's own reader: a larger number is a broken file */
enum { TYPES_MAX = 1 << 20 };
/* How deep types are nested: gdb goes down by recursion. */
enum { NESTED_MAX = 200 };

static const uint8_t magic[] = {0x9f, 0xeb, 1, 0};

struct parts {
	const uint8_t *types, *layout;
	const char *strings;
	uint32_t types_len, layout_len, strings_len;
	size_t all;
};

uint32_t btf_u32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The parts that a header at data names, when they fit. */
static bool read_header(const uint8_t *data, size_t len, struct parts *ret)
{
	uint32_t header, w[6] = {0};
	uint64_t end = 0;

	if (len < HEADER || memcmp(data, magic, sizeof(magic)) != 0)
		return false;
	header = btf_u32(data + 4);
	if (header < HEADER || header > HEADER_MAX || header > len)
		return false;
	for (size_t i = 0; i < array_len(w) && 8 + 4 * i + 4 <= header; i++)
		w[i] = btf_u32(data + 8 + 4 * i);
	for (size_t i = 0; i < array_len(w); i += 2)
		if ((uint64_t)w[i] + w[i + 1] > end)
			end = (uint64_t)w[i] + w[i + 1];
	if (end > len - header || end > BTF_MAX_SIZE || w[0] % 4 || !w[1] || !w[3])
		return false;
	data += header;
	*ret = (struct parts){.types = data + w[0],
			      .types_len = w[1],
			      .strings = (const char *)data + w[2],
			      .strings_len = w[3],
			      .layout = data + w[4],
			      .layout_len = w[5],
			      .all = header + end};
	return !ret->strings[0] && !ret->strings[w[3] - 1];
}

int btf_find(const uint8_t *image, size_t len, const uint8_t **ret, size_t *ret_len,
	     struct err *err)
{
	const uint8_t *at = image, *end = image + len, *best = NULL;
	size_t best_len = 0;
	struct parts p;

	while ((at = memmem(at, end - at, magic, sizeof(magic)))) {
		if (read_header(at, end - at, &p) && p.all > best_len) {
			best = at;
			best_len = p.all;
		}
		at++;
	}
	if (!best)
		return err_set(err, ENODATA, "this kernel has no type information (BTF)");
	*ret = best;
	*ret_len = best_len;
	return 0;
}

static int bad(struct err *err, uint32_t id, const char *what)
{
	return err_set(err, EBADMSG, "broken type information (BTF): type %u: %s", id, what);
}

struct btf_type btf_type(const struct btf *b, uint32_t id)
{
	const uint8_t *p = b->types + b->at[id];
	struct btf_type t = {0};

	if (!id)
		return t;
	t = (struct btf_type){.kind = p[7] & 0x7f,
			      .name = btf_u32(p),
			      .n = btf_u32(p + 4) & 0xffffff,
			      .flag = p[7] >> 7,
			      .size = btf_u32(p + 8),
			      .type = btf_u32(p + 8),
			      .more = p + 12};
	if (t.kind >= BTF_KINDS)
		t = (struct btf_type){0};
	return t;
}

/* Bytes of what follows a type and of each of its items. False: a kind that nobody knows. */
static bool kind_sizes(const struct parts *p, unsigned int kind, uint32_t *fixed, uint32_t *each)
{
	static const uint8_t sizes[BTF_KINDS][2] = {
		[BTF_INT] = {4, 0},	[BTF_ARRAY] = {12, 0},	 [BTF_STRUCT] = {0, 12},
		[BTF_UNION] = {0, 12},	[BTF_ENUM] = {0, 8},	 [BTF_FUNC_PROTO] = {0, 8},
		[BTF_VAR] = {4, 0},	[BTF_DATASEC] = {0, 12}, [BTF_DECL_TAG] = {4, 0},
		[BTF_ENUM64] = {0, 12},
	};

	if (kind && kind < BTF_KINDS) {
		*fixed = sizes[kind][0];
		*each = sizes[kind][1];
		return true;
	}
	/* struct btf_layout: two bytes of sizes, two of flags */
	if (!kind || (kind + 1) * 4 > p->layout_len)
		return false;
	*fixed = p->layout[kind * 4];
	*each = p->layout[kind * 4 + 1];
	return true;
}

/* Where each type starts. */
static int index_types(struct btf *b, const struct parts *p, struct err *err)
{
	uint32_t at = 0, cap = 0, fixed, each;

	while (at < p->types_len) {
		const uint8_t *t = p->types + at;
		uint64_t size = 12;

		if (b->n >= cap)
			b->at = xreallocarray(b->at, cap = cap ? cap * 2 : 1024, sizeof(*b->at));
		if (!b->n) /* void: no bytes */
			b->at[b->n++] = 0;
		if (p->types_len - at < 12 || b->n >= TYPES_MAX)
			return bad(err, b->n, "it is cut off, or one too many");
		if (!kind_sizes(p, t[7] & 0x7f, &fixed, &each))
			return bad(err, b->n, "a kind that is not known here");
		/* of these n is something else (a function's linkage) */
		size += fixed + (uint64_t)each * (btf_u32(t + 4) & 0xffffff);
		if (size > p->types_len - at)
			return bad(err, b->n, "it is cut off");
		b->at[b->n++] = at;
		at += size;
	}
	return 0;
}

struct btf_item btf_item(const struct btf *b, const struct btf_type *t, uint32_t i)
{
	bool wide = t->kind == BTF_ENUM || t->kind == BTF_FUNC_PROTO;
	const uint8_t *p = t->more + (wide ? 8 : 12) * (size_t)i;
	struct btf_item item = {.name = btf_u32(p)};
	uint32_t low = btf_u32(p + 4), high = wide ? 0 : btf_u32(p + 8);

	switch (t->kind) {
	case BTF_ENUM:
		item.value = btf_is_signed(b, t) ? (uint64_t)(int32_t)low : low;
		break;
	case BTF_ENUM64:
		item.value = (uint64_t)high << 32 | low;
		break;
	case BTF_DATASEC:
		item = (struct btf_item){.type = item.name, .value = low, .size = high};
		break;
	case BTF_FUNC_PROTO:
		item.type = low;
		break;
	default:
		item.type = low;
		item.value = t->flag ? high & 0xffffff : high;
		item.bits = t->flag ? high >> 24 : 0;
	}
	return item;
}

bool btf_is_signed(const struct btf *b, const struct btf_type *t)
{
	return t->flag || b->old;
}

static bool has_items(enum btf_kind kind)
{
	return kind == BTF_STRUCT || kind == BTF_UNION || kind == BTF_ENUM || kind == BTF_ENUM64 ||
	       kind == BTF_FUNC_PROTO || kind == BTF_DATASEC;
}

static bool has_type(enum btf_kind kind)
{
	return kind == BTF_PTR || (kind >= BTF_TYPEDEF && kind <= BTF_RESTRICT) ||
	       kind == BTF_FUNC || kind == BTF_FUNC_PROTO || kind == BTF_VAR ||
	       kind == BTF_DECL_TAG || kind == BTF_TYPE_TAG;
}

/* Whether what is of one kind may refer to id. */
static bool type_ok(const struct btf *b, enum btf_kind from, uint32_t id)
{
	enum btf_kind to;

	if (id >= b->n)
		return false;
	to = btf_type(b, id).kind;
	if (from == BTF_FUNC || from == BTF_DATASEC)
		return to == (from == BTF_FUNC ? BTF_FUNC_PROTO : BTF_VAR);
	if (from == BTF_DECL_TAG)
		return true;
	return to != BTF_FUNC && to != BTF_VAR && to != BTF_DATASEC && to != BTF_DECL_TAG;
}

static int check_type(const struct btf *b, uint32_t id, struct err *err)
{
	struct btf_type t = btf_type(b, id);

	if (t.name >= b->strings_len)
		return bad(err, id, "its name is outside the strings");
	if (has_type(t.kind) && !type_ok(b, t.kind, t.type))
		return bad(err, id, "it refers to what is no type");
	if (t.kind == BTF_ARRAY &&
	    (!type_ok(b, t.kind, btf_u32(t.more)) || !type_ok(b, t.kind, btf_u32(t.more + 4))))
		return bad(err, id, "an array of what is no type");
	for (uint32_t i = 0; has_items(t.kind) && i < t.n; i++) {
		struct btf_item item = btf_item(b, &t, i);

		if (item.name >= b->strings_len)
			return bad(err, id, "a name is outside the strings");
		if (!type_ok(b, t.kind, item.type))
			return bad(err, id, "a member or parameter of what is no type");
	}
	return 0;
}

uint32_t btf_skip_tags(const struct btf *b, uint32_t id)
{
	struct btf_type t;

	while ((t = btf_type(b, id)).kind == BTF_TYPE_TAG)
		id = t.type;
	return t.kind ? id : 0;
}

uint32_t btf_skip_names(const struct btf *b, uint32_t id)
{
	struct btf_type t;

	while ((t = btf_type(b, id)).kind == BTF_TYPE_TAG ||
	       (t.kind >= BTF_TYPEDEF && t.kind <= BTF_RESTRICT))
		id = t.type;
	return t.kind ? id : 0;
}

/*
 * How deep a type is nested, without struct and union (whose pointers to themselves are the rule)
 * or by what they hold by value. In C nothing contains itself either way.
 */
struct nesting {
	const struct btf *b;
	bool by_value;
	uint8_t *depth; /* 0: not yet, VISITING, or depth + 1 */
};
enum { VISITING = 255 };
_Static_assert(NESTED_MAX + 1 < VISITING, "a depth fits its byte");

static int measure(struct nesting *n, uint32_t id, unsigned int level)
{
	struct btf_type t = btf_type(n->b, id);
	bool record = t.kind == BTF_STRUCT || t.kind == BTF_UNION;
	bool items = n->by_value ? record : t.kind == BTF_FUNC_PROTO;
	unsigned int depth = 0;
	int r = 0;

	if (n->depth[id] == VISITING || level > NESTED_MAX)
		return -EBADMSG;
	if (n->depth[id])
		return n->depth[id] - 1;
	n->depth[id] = VISITING;
	if (t.kind == BTF_ARRAY) {
		r = measure(n, btf_u32(t.more), level + 1);
		depth = r < 0 ? 0 : r;
		r = r < 0 ? r : measure(n, btf_u32(t.more + 4), level + 1);
	} else if (has_type(t.kind) && t.kind != BTF_DECL_TAG &&
		   !(n->by_value && (t.kind == BTF_PTR || t.kind == BTF_FUNC_PROTO))) {
		r = measure(n, t.type, level + 1);
	}
	for (uint32_t i = 0; r >= 0 && items && i < t.n; i++) {
		depth = (unsigned int)r > depth ? (unsigned int)r : depth;
		r = measure(n, btf_item(n->b, &t, i).type, level + 1);
	}
	if (r < 0)
		return r;
	depth = ((unsigned int)r > depth ? (unsigned int)r : depth) + 1;
	if (depth > NESTED_MAX)
		return -EBADMSG;
	n->depth[id] = depth + 1;
	return depth;
}

static int check_nesting(const struct btf *b, bool by_value, struct err *err)
{
	auto_free uint8_t *depth = xcalloc(b->n, 1);
	struct nesting n = {.b = b, .by_value = by_value, .depth = depth};

	for (uint32_t id = 1; id < b->n; id++)
		if (measure(&n, id, 0) < 0)
			return bad(err, id, "it contains itself, or is nested too deep");
	return 0;
}

/* Since 6.0 enumerations say whether they are signed; some are, in any kernel. */
static bool is_old(const struct btf *b)
{
	for (uint32_t id = 1; id < b->n; id++) {
		struct btf_type t = btf_type(b, id);

		if (t.kind == BTF_ENUM64 || (t.kind == BTF_ENUM && t.flag))
			return false;
	}
	return true;
}

int btf_open(const uint8_t *data, size_t len, struct btf *ret, struct err *err)
{
	auto_cleanup(btf) b = {0};
	struct parts p;
	int r;

	if (!read_header(data, len, &p))
		return err_set(err, EBADMSG, "broken type information (BTF): its header");
	b.types = p.types;
	b.strings = p.strings;
	b.strings_len = p.strings_len;
	/* gdb prints them as they are */
	for (uint32_t i = 0; i < p.strings_len; i++)
		if ((b.strings[i] > 0 && b.strings[i] < ' ') || b.strings[i] == 0x7f)
			return err_set(err, EBADMSG, "broken type information (BTF): a name");
	r = index_types(&b, &p, err);
	for (uint32_t id = 1; r == 0 && id < b.n; id++)
		r = check_type(&b, id, err);
	if (r == 0)
		b.old = is_old(&b);
	if (r == 0)
		r = check_nesting(&b, false, err);
	if (r == 0)
		r = check_nesting(&b, true, err);
	if (r < 0)
		return r;
	*ret = b;
	b.at = NULL;
	return 0;
}

void btf_deinit(struct btf *b)
{
	free(b->at);
	*b = (struct btf){0};
}
