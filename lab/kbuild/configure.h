/*
 * configure.h - from a source tree and fragments to a checked .config in a build folder.
 *
 * tinyconfig, then the kernel's own scripts/kconfig/merge_config.sh -m, then olddefconfig; after
 * that each wanted option is looked up in the result.
 */
#ifndef LAB_CONFIGURE_H
#define LAB_CONFIGURE_H

#include "lab/kbuild/source.h"
#include "lab/kbuild/toolchain.h"
#include "lab/kconfig/flavour.h"
#include "lab/kconfig/kconfig.h"

/* Fragments of a flavour, from the project's kernel-config/ and from paths. */
struct fragments {
	struct fragment *items;
	size_t n;
	struct strv digests; /* SHA-256 of each one's text */
};
/* -ENOENT: no such fragment (those that are there are listed). */
int fragments_load(const struct flavour *flavour, struct fragments *ret, struct err *err);
void fragments_deinit(struct fragments *f);
DEFINE_CLEANUP(fragments, fragments_deinit)

/*
 * obj: the build folder (made when it is not there). Does nothing when its .config was made of the
 * same lines by the same toolchain; of a tree of the user's it is brought up to date and checked
 * again even then. log, cancel: as in make.h.
 * An option that did not stick is -EINVAL: err names the first with its place in the fragment and
 * the reason (unknown since…, or which dependency is missing) and says how many there are; all of
 * them are appended to misses (a line each; may be NULL). Else what fragment_set_build() and
 * make_run() say.
 */
int configure(const struct source *source, enum arch arch, const struct toolchain *tc,
	      const struct fragments *fragments, const char *obj, int log,
	      const volatile int *cancel, struct strv *misses, struct err *err);

#endif
