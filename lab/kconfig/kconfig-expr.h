/*
 * kconfig-expr.h - expressions of Kconfig files ("A && (B || !C = m)"): read, evaluated, printed.
 *
 * Pure. Source: Documentation/kbuild/kconfig-language.rst, "Menu dependencies". Untrusted: bounded.
 * Macros ("$(cc-option,-fx)") are not evaluated: they count as y, and are told by kexpr_unknown().
 */
#ifndef LAB_KCONFIG_EXPR_H
#define LAB_KCONFIG_EXPR_H

#include "lab/kconfig/kconfig.h"

enum tristate { TRI_N, TRI_M, TRI_Y };

struct kexpr {
	enum { KE_NAME, KE_TEXT, KE_MACRO, KE_NOT, KE_AND, KE_OR, KE_COMPARE } kind;
	struct kexpr *a, *b; /* b NULL but for the last three */
	char *text;	     /* of a name, a quoted text, a macro; the comparison's operator */
};
/*
 * Read one from *at on, to the end of the text or to what cannot go on it; *at is moved behind it.
 * Returns it (kexpr_free()), or NULL: nothing that can be read is there.
 */
struct kexpr *kexpr_parse(const char **at);
void kexpr_free(struct kexpr *e);

/* What an expression is evaluated with: the values, and the names that mean themselves. */
struct kexpr_values {
	const struct kconfig *config;
	bool (*known)(const void *data, const char *name); /* is it an option here? */
	const void *data;
};
/* NULL is y. */
enum tristate kexpr_eval(const struct kexpr *e, const struct kexpr_values *v);
/* As Kconfig has it. */
void kexpr_print(const struct kexpr *e, struct buf *out);
/* The first macro in it, or NULL. */
const char *kexpr_unknown(const struct kexpr *e);
/* Called for each option that is named in it. */
void kexpr_names(const struct kexpr *e, void (*fn)(void *data, const char *name), void *data);

#endif
