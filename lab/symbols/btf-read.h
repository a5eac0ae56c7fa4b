/*
 * btf-read.h - BTF as a list of types that are sound: every name, length and reference is checked
 * once, in btf_open(), and none contains itself.
 *
 * Pure. struct btf points into the bytes it was opened on.
 */
#ifndef LAB_BTF_READ_H
#define LAB_BTF_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

/* Its numbers are those of the format. */
enum btf_kind {
	BTF_VOID,
	BTF_INT,
	BTF_PTR,
	BTF_ARRAY,
	BTF_STRUCT,
	BTF_UNION,
	BTF_ENUM,
	BTF_FWD,
	BTF_TYPEDEF,
	BTF_VOLATILE,
	BTF_CONST,
	BTF_RESTRICT,
	BTF_FUNC,
	BTF_FUNC_PROTO,
	BTF_VAR,
	BTF_DATASEC,
	BTF_FLOAT,
	BTF_DECL_TAG,
	BTF_TYPE_TAG,
	BTF_ENUM64,
	BTF_KINDS,
};

struct btf {
	const uint8_t *types;
	const char *strings; /* each is terminated */
	uint32_t strings_len;
	uint32_t *at; /* of each type, in types; [0] stands for void */
	uint32_t n;   /* ids are below it */
	bool old;     /* before 6.0: an enumeration's values are signed, whatever it says */
};

struct btf_type {
	enum btf_kind kind;
	uint32_t name; /* in strings; 0: anonymous */
	uint32_t n;    /* members, values, parameters, variables */
	bool flag;
	uint32_t size; /* bytes */
	uint32_t type; /* the same word, for what refers to another */
	const uint8_t *more;
};

/* One of a type's n. */
struct btf_item {
	uint32_t name;
	uint32_t type; /* of a member or parameter; 0 with no name, the last one: "..." */
	uint64_t
		value; /* of an enumerator (sign-extended where signed); a member's place in bits */
	uint32_t bits; /* a bit field's width, or 0 */
	uint32_t size; /* of a section's variable */
};

/* -EBADMSG. The strings are printable. */
int btf_open(const uint8_t *data, size_t len, struct btf *ret, struct err *err);
void btf_deinit(struct btf *b);
DEFINE_CLEANUP(btf, btf_deinit)

/* id below b->n; a kind that is not known reads as void. */
struct btf_type btf_type(const struct btf *b, uint32_t id);
struct btf_item btf_item(const struct btf *b, const struct btf_type *t, uint32_t i);
/* Whether an enumeration has negative values by what it says of itself. */
bool btf_is_signed(const struct btf *b, const struct btf_type *t);
/* Without type tags (which DWARF has not); and without const, typedef and so on too. */
uint32_t btf_skip_tags(const struct btf *b, uint32_t id);
uint32_t btf_skip_names(const struct btf *b, uint32_t id);
uint32_t btf_u32(const uint8_t *p); /* little endian */

#endif
