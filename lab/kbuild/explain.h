/*
 * explain.h - the configuration of a kernel by its name: what its fragments ask for, what it really
 * has, and where its Kconfig files are.
 */
#ifndef LAB_EXPLAIN_H
#define LAB_EXPLAIN_H

#include "lab/kbuild/configure.h"
#include "lab/kernel/kernel.h"

struct explain_request {
	const char *spec;    /* as kernel_resolve() takes it; or a tree that is configured, or a
				.config */
	const char *flavour; /* more fragments, as in struct kernel_want */
	const char *source;  /* --source; NULL */
	bool only_config;    /* the source is of no interest */
	enum arch arch;
	bool any_arch; /* arch is nobody's wish: a file's own is taken */
	const struct kernel_want *want;
};
struct explained {
	char *name; /* "6.1+kasan", or the path */
	enum arch arch;
	char *version;
	char *state; /* for a person: "Debian's kernel", "built from …", "not built …" */
	struct kconfig config; /* of n 0 without has_config */
	bool has_config;
	struct fragments fragments;
	struct fragment_set wanted; /* of them, for this version and architecture */
	char *srctree;		    /* NULL: its source is not here */
	struct source source;	    /* holds srctree */
};

/*
 * A binary kernel of Debian's is fetched when it is not in the cache, and held against the
 * fragments that one built of the same pin has. One that could be built and is not is configured in
 * a folder that goes again; its source is fetched for that. With want->offline, when the source is
 * not here, has_config is false.
 * Returns 0; -EINVAL (fragments that conflict, a file that is no configuration), or what
 * kernel_resolve(), source_open(), toolchain_find() and configure() say, except for options that
 * did not stick: that is what is asked for here. *ret is the caller's.
 */
int explain(const struct explain_request *r, struct explained *ret, struct err *err);
void explained_deinit(struct explained *e);
DEFINE_CLEANUP(explained, explained_deinit)

#endif
