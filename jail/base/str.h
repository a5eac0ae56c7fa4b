/*
 * str.h - strings: a growing buffer, a list, checks on untrusted text.
 *
 * Memory: these functions abort the process when malloc fails (as the kernel overcommits, a failed
 * small allocation means the program is lost anyway); so they return no error. Never call them
 * between clone() and exec().
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jail/base/cleanup.h"

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
/* Grow an array of n*size bytes; overflow of the product aborts. */
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s); /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A growing byte buffer; data is always NUL-terminated once anything was added. {0} is empty. */
struct buf {
	char *data;
	size_t len, cap;
};
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap);
void buf_reserve(struct buf *b, size_t more); /* room for more bytes plus NUL beyond len */
void buf_reset(struct buf *b);		      /* len = 0, memory kept */
void buf_deinit(struct buf *b);
DEFINE_CLEANUP(buf, buf_deinit)

/* A list of owned strings; items[n] is always NULL once anything was added (so items is an argv).
 */
struct strv {
	char **items;
	size_t n, cap;
};
void strv_add(struct strv *v, const char *s);
void strv_addf(struct strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strv_take(struct strv *v, char *owned);
bool strv_has(const struct strv *v, const char *s);
bool strv_equal(const struct strv *a, const struct strv *b); /* the same in the same order */
void strv_sort(struct strv *v);				     /* byte order */
/* Add the non-empty parts of s between separators, blanks trimmed. */
void strv_split(struct strv *v, const char *s, char sep);
void strv_deinit(struct strv *v);
DEFINE_CLEANUP(strv, strv_deinit)

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
static inline bool str_eq(const char *a, const char *b)
{
	return __builtin_strcmp(a, b) == 0;
}

/* A decimal number in [min, max] and nothing else. Returns 0 or -EINVAL/-ERANGE. */
int str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* "500ms", "30s", "2m", "1h" or plain seconds, at most a week. Returns 0 or -EINVAL. */
int str_to_ms(const char *s, int64_t *ret_ms);
/* "45 s", "4 min 25 s", "1 h 2 min"; allocated. */
char *str_duration(unsigned int seconds);
/* "64K", "10M", "2G" (powers of 1024) or bytes. Returns 0 or -EINVAL. */
int str_to_bytes(const char *s, uint64_t *ret);

/* The candidate nearest to s by edit distance, or NULL when none is near enough to suggest. */
const char *str_nearest(const char *s, const char *const *candidates, size_t n);

/*
 * Make untrusted text safe for a terminal or a one-line message: control characters (other than \n
 * when keep_newlines), ESC, C1 controls and bytes that are not UTF-8 become '?' or '.'; at most max
 * bytes are kept, "…" marks a cut. Appends to out.
 */
void str_printable(struct buf *out, const char *s, size_t len, size_t max, bool keep_newlines);

/*
 * A path that stays inside the folder it is relative to: not empty, not absolute, no "." or ".."
 * component, no empty component, no control characters, at most 255 bytes per component and 4095 in
 * all.
 */
bool path_is_inside(const char *path);
size_t path_depth(const char *path);		    /* how many slashes it has */
char *path_join(const char *dir, const char *name); /* allocated */

#endif
