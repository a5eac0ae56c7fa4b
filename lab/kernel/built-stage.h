/*
 * built-stage.h - from a folder with a kernel's files to one of the store; for built*.c
 * and kmod-kit.c.
 */
#ifndef LAB_BUILT_STAGE_H
#define LAB_BUILT_STAGE_H

#include "lab/kernel/built-meta.h"

enum { BUILT_SUMS_MAX_BYTES = 16 << 20 };

/* Where it is to be, allocated. NULL with err: no cache, or a name that is not fit for a folder. */
char *built_dir(const struct built *b, struct err *err);
/* meta.json of dir, which must be about that folder. */
int built_read_meta(const char *dir, struct built_meta *ret, struct err *err);
/* Is this very one in the cache? 0, or -ENOENT: not, or its image is another one now. */
int built_find_folder(const struct built *b, struct err *err);
/* The error that is set becomes -EBADMSG, with its text. */
int built_not_fit(struct err *err);

/*
 * Fill in what stage's files say (digests, build id, size), after a check that they are a kernel
 * for m->built.arch. sums: the text for SHA256SUMS. -EBADMSG.
 */
int built_stage_read(const char *stage, struct built_meta *m, struct buf *sums, struct err *err);
/* Those of the same name and architecture with other inputs go; not local ones. */
int built_discard_other_keys(const struct built *b, struct err *err);
/* Write meta.json, and rename stage to where it belongs. */
int built_stage_place(const char *stage, const struct built_meta *m, struct err *err);

#endif
