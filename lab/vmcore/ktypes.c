/* ktypes.c - the types of a kernel by name: members, sizes, enumerators out of its BTF. */
#include <string.h>

#include "lab/symbols/btf-read.h"
#include "lab/symbols/btf.h"
#include "lab/vmcore/kstate.h"

enum { POINTER = 8 };

struct ktypes {
	struct btf btf;
	/* struct and union with a name and a body, by name */
	struct record {
		const char *name;
		uint32_t id;
	} * records;
	size_t n;
};

static int by_name(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : (x->id > y->id) - (x->id < y->id);
}

int ktypes_open(const uint8_t *image, size_t len, struct ktypes **ret, struct err *err)
{
	struct btf b = {0};
	struct ktypes *t;
	const uint8_t *data;
	size_t data_len;
	int r = btf_find(image, len, &data, &data_len, err);

	if (r == 0)
		r = btf_open(data, data_len, &b, err);
	if (r < 0)
		return r;
	t = xcalloc(1, sizeof(*t));
	t->btf = b;
	t->records = xcalloc(b.n, sizeof(*t->records));
	for (uint32_t id = 1; id < b.n; id++) {
		struct btf_type type = btf_type(&b, id);

		if ((type.kind == BTF_STRUCT || type.kind == BTF_UNION) && type.name)
			t->records[t->n++] = (struct record){b.strings + type.name, id};
	}
	qsort(t->records, t->n, sizeof(*t->records), by_name);
	*ret = t;
	return 0;
}

void ktypes_close(struct ktypes *t)
{
	if (!t)
		return;
	btf_deinit(&t->btf);
	free(t->records);
	free(t);
}

/* The first record of that name; others of the same name follow it. NULL: there is none. */
static const struct record *find(const struct ktypes *t, const char *name)
{
	size_t low = 0, high = t ? t->n : 0;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (strcmp(t->records[mid].name, name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return t && low < t->n && str_eq(t->records[low].name, name) ? &t->records[low] : NULL;
}

/* Bytes; 0 for what has none. btf_open() made sure that nothing contains itself. */
static uint64_t size_of(const struct btf *b, uint32_t id)
{
	struct btf_type t = btf_type(b, id = btf_skip_names(b, id));
	uint64_t each;

	switch (t.kind) {
	case BTF_INT:
	case BTF_STRUCT:
	case BTF_UNION:
	case BTF_ENUM:
	case BTF_ENUM64:
	case BTF_FLOAT:
		return t.size;
	case BTF_PTR:
		return POINTER;
	case BTF_ARRAY:
		each = size_of(b, btf_u32(t.more));
		return each > UINT32_MAX ? each : each * btf_u32(t.more + 8);
	default:
		return 0;
	}
}

struct place {
	uint32_t type;
	uint64_t bits; /* from the start */
	bool is_field; /* a bit field */
};

/* The member of that name (len bytes of it) of a record; through records without a name. */
static bool find_member(const struct btf *b, uint32_t id, const char *name, size_t len,
			struct place *at)
{
	struct btf_type t = btf_type(b, id);

	for (uint32_t i = 0; i < t.n; i++) {
		struct btf_item item = btf_item(b, &t, i);
		const char *is = b->strings + item.name;
		uint32_t inner = btf_skip_names(b, item.type);
		enum btf_kind kind = btf_type(b, inner).kind;

		if (item.name ? strncmp(is, name, len) == 0 && !is[len] : false) {
			at->type = inner;
			at->bits += item.value;
			at->is_field = item.bits;
			return true;
		}
		if (!item.name && (kind == BTF_STRUCT || kind == BTF_UNION)) {
			struct place in = {.bits = at->bits + item.value};

			if (find_member(b, inner, name, len, &in)) {
				*at = in;
				return true;
			}
		}
	}
	return false;
}

/* A path from one record on; of an array on the way it is the first element. */
static bool find_path(const struct btf *b, uint32_t id, const char *path, struct place *at)
{
	*at = (struct place){.type = id};
	for (;;) {
		size_t len = strcspn(path, ".");
		struct btf_type t = btf_type(b, at->type);

		while (t.kind == BTF_ARRAY) {
			at->type = btf_skip_names(b, btf_u32(t.more));
			t = btf_type(b, at->type);
		}
		if ((t.kind != BTF_STRUCT && t.kind != BTF_UNION) || at->is_field ||
		    !find_member(b, at->type, path, len, at))
			return false;
		if (!path[len])
			return true;
		path += len + 1;
	}
}

int ktypes_member(const struct ktypes *t, const char *type, const char *member, uint32_t *offset,
		  uint32_t *size)
{
	const struct record *r = find(t, type);
	struct place at;

	for (; r && r < t->records + t->n && str_eq(r->name, type); r++) {
		uint64_t bytes;

		if (!find_path(&t->btf, r->id, member, &at))
			continue;
		bytes = size_of(&t->btf, at.type);
		if (at.is_field || at.bits % 8 || at.bits / 8 > UINT32_MAX || bytes > UINT32_MAX)
			return -ENOTSUP;
		*offset = at.bits / 8;
		*size = bytes;
		return 0;
	}
	return -ENOENT;
}

int ktypes_size(const struct ktypes *t, const char *type, uint32_t *size)
{
	const struct record *r = find(t, type);

	if (!r)
		return -ENOENT;
	*size = btf_type(&t->btf, r->id).size;
	return 0;
}

int ktypes_enumerator(const struct ktypes *t, const char *name, int64_t *ret)
{
	for (uint32_t id = 1; t && id < t->btf.n; id++) {
		struct btf_type type = btf_type(&t->btf, id);

		if (type.kind != BTF_ENUM && type.kind != BTF_ENUM64)
			continue;
		for (uint32_t i = 0; i < type.n; i++) {
			struct btf_item item = btf_item(&t->btf, &type, i);

			if (str_eq(t->btf.strings + item.name, name)) {
				*ret = item.value;
				return 0;
			}
		}
	}
	return -ENOENT;
}
