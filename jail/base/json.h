/*
 * json.h - write JSON: what cannot go wrong by hand needs no library; reading does (jansson in lab,
 * yaml.h for JSON that people write).
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "jail/base/str.h"

/*
 * Append text as a JSON string, at most max bytes of it, "…" marking a cut. Bytes that are not
 * UTF-8 and control characters become '?': the text may be anything.
 */
void json_add_string(struct buf *out, const char *text, size_t len, size_t max);

/* The next member of an object: ", " unless out ends with '{', then "key": . */
void json_add_key(struct buf *out, const char *key);
/* The member with a text; nothing when text is NULL. */
void json_add_text(struct buf *out, const char *key, const char *text);
void json_add_u64(struct buf *out, const char *key, uint64_t number);

#endif
