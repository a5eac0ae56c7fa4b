/*
 * built-meta.h - meta.json of a built kernel, as text and as a struct. Pure; for built*.c.
 *
 * Read strictly, since it may come with an import: unknown keys, names that do not fit for folders,
 * digests that are none and control characters are errors with name:line:column.
 */
#ifndef LAB_BUILT_META_H
#define LAB_BUILT_META_H

#include "lab/kernel/built.h"

enum { BUILT_META_MAX_BYTES = 64 << 10, BUILT_MAX_FRAGMENTS = 32 };

struct built_meta {
	struct built built;
	char *image_sha256, *sums_sha256; /* of image and SHA256SUMS, hex */
	uint64_t image_size;
};

/* Returns 0, -EINVAL, -E2BIG. *ret is the caller's, written on success only. */
int built_meta_parse(const char *name, const char *text, size_t len, struct built_meta *ret,
		     struct err *err);
/* to_share: without what only this machine knows. */
void built_meta_print(const struct built_meta *m, bool to_share, struct buf *out);
void built_meta_deinit(struct built_meta *m);
DEFINE_CLEANUP(built_meta, built_meta_deinit)

/* Fit for a folder that is not taken for a temporary one? */
bool built_name_ok(const char *name);
/* The name of its folder: "6.5-amd64-0123456789abcdef", "mine-arm64-local"; allocated. */
char *built_folder_name(const struct built *b);
/* Has name the form of such a folder? */
bool built_is_folder_name(const char *name);
struct built built_copy(const struct built *b);

#endif
