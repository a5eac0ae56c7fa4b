/*
 * err.h - one error, as a plain value.
 *
 * A function that can fail takes `struct err *err` as its last parameter and returns 0 (or a useful
 * value >= 0) on success, a negative errno on failure. On success *err is left alone. The caller
 * owns the struct (`struct err err = {0};`); there is nothing to free, it is usable after clone()
 * and out of memory, and one write() to a pipe carries it from child to parent.
 * err may be NULL where the caller does not want the text. Control characters in a text, other than
 * newlines and tabs, become '?': it may be printed as it is.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <limits.h>
#include <stdarg.h>

struct err {
	int code; /* a positive errno, 0 when unset */
	char msg[496];
};

_Static_assert(sizeof(struct err) <= PIPE_BUF, "an error must fit one atomic pipe write");

/* Set *err to code (positive errno) and the formatted text. Returns -code. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set() with the current errno; the text gets ": " and strerror(errno). Returns -errno. */
int err_errno(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Put context before the text that is there: "context: text". Returns -err->code, so that
 * `return err_wrap(err, "load %s", path);` hands the failure on. err may be NULL: returns -EIO.
 */
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
