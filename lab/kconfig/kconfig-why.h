/*
 * kconfig-why.h - why an option of a kernel is not what was asked for, read from its Kconfig files.
 *
 * Source of the language: Documentation/kbuild/kconfig-language.rst. Files are a source tree's:
 * untrusted, bounded, symbolic links out of the tree are not followed.
 */
#ifndef LAB_KCONFIG_WHY_H
#define LAB_KCONFIG_WHY_H

#include "lab/kconfig/kconfig.h"

struct kconfig_tree; /* the options that a source tree knows, for one architecture */
int kconfig_tree_open(const char *srctree, enum arch arch, struct kconfig_tree **ret,
		      struct err *err);
void kconfig_tree_close(struct kconfig_tree *t);
/*
 * One line for a person: "no such option in 6.12 (SLOB was removed in 6.4)", "depends on
 * MISC_FILESYSTEMS, which is n", "a choice: KERNEL_GZIP was taken", "cannot be set by itself;
 * selected by …". value: what was wanted. Appended to out.
 */
void kconfig_why(const struct kconfig_tree *t, const struct kconfig *c, const char *option,
		 const char *value, struct buf *out);

#endif
