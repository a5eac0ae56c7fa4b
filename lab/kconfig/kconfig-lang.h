/*
 * kconfig-lang.h - Kconfig files as definitions of options: what each depends on, what selects it.
 *
 * Pure: files come from the caller's function. Source: Documentation/kbuild/kconfig-language.rst.
 * It reads what the kernel's own reader has accepted, and skips what it does not know: no mistakes
 * are told. Untrusted: bounded by KLANG_MAX_*.
 */
#ifndef LAB_KCONFIG_LANG_H
#define LAB_KCONFIG_LANG_H

#include "lab/kconfig/kconfig-expr.h"

enum { KLANG_MAX_FILES = 10000, KLANG_MAX_BYTES = 64 << 20, KLANG_MAX_DEPTH = 64 };

/* What lies around definitions: if, menu, choice. */
struct klang_block {
	const struct klang_block *up;
	enum { KLANG_IF, KLANG_MENU, KLANG_CHOICE } kind;
	struct kexpr *depends; /* NULL: nothing */
	struct kexpr *visible; /* of a menu: "visible if"; of a choice: its prompt's condition */
};
/* One "config" or "menuconfig"; an option may have several. */
struct klang_def {
	char *name;
	enum { KLANG_NONE, KLANG_BOOL, KLANG_TRISTATE, KLANG_NUMBER, KLANG_STRING } type;
	const char *file;
	int line;
	bool prompt;
	struct kexpr *prompt_if, *depends;
	struct kexpr *value; /* its first default */
	char *range;	     /* "2 512"; NULL: none */
	const struct klang_block *block;
};
/* "select" and "imply", in the definition of from. */
struct klang_select {
	char *target;
	size_t from; /* index of defs */
	struct kexpr *depends;
	bool weak; /* imply */
};
struct klang {
	struct strv files;
	struct klang_def *defs;
	size_t n;
	struct klang_select *selects;
	size_t n_selects;
	struct klang_block **blocks; /* all there are, for freeing */
	size_t n_blocks;
	size_t *order; /* indexes of defs, by name */
	size_t bytes;
};

/* Append the text of a file of the tree. A negative errno: it is left out. */
typedef int (*klang_read_fn)(void *data, const char *path, struct buf *text);
/*
 * Read file and what it sources. srcarch: "x86", "arm64". Returns 0, -ENOENT (the first file cannot
 * be read), -E2BIG.
 */
int klang_parse(const char *file, const char *srcarch, klang_read_fn read, void *data,
		struct klang *ret, struct err *err);
void klang_deinit(struct klang *k);
DEFINE_CLEANUP(klang, klang_deinit)

/* Definitions of an option: indexes into k->order, [*first, returned + *first). 0: none. */
size_t klang_find(const struct klang *k, const char *name, size_t *first);

#endif
