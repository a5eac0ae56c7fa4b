/*
 * fragment.h - kernel-config/NAME.config: options a kernel is to have, each with its reason.
 *
 * Pure. The lines are Kconfig's ("CONFIG_X=y", "# CONFIG_X is not set"). The comment lines right
 * above an option are its reason. Words in brackets at the reason's begin say where the option is
 * wanted: an architecture, comparisons of versions (kver.h): "# [arm64 >=5.13 <6.4] why".
 * Untrusted: bounded by FRAGMENT_MAX_*; an unknown word in brackets is an error with
 * name:line:column.
 */
#ifndef LAB_FRAGMENT_H
#define LAB_FRAGMENT_H

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/kver.h"
#include "jail/base/str.h"

enum { FRAGMENT_MAX_BYTES = 1 << 20, FRAGMENT_MAX_LINES = 20000 };

struct fragment_option {
	char *name;   /* "VIRTIO_PCI", without CONFIG_ */
	char *value;  /* "y", "m", "n", "64", "0x10", "\"landlock,yama\"" */
	char *reason; /* NULL: none given */
	int line;
	unsigned int archs; /* bit mask of enum arch */
	struct kver_range kernels;
};
struct fragment {
	char *name, *path; /* "guest"; path for messages */
	struct fragment_option *items;
	size_t n;
};

/* Returns 0, -EINVAL (path:line:column and what was expected), -E2BIG. */
int fragment_parse(const char *name, const char *path, const char *text, size_t len,
		   struct fragment *ret, struct err *err);
void fragment_deinit(struct fragment *f);
DEFINE_CLEANUP(fragment, fragment_deinit)

/* What holds for one version and architecture of several fragments. Points into them. */
struct fragment_set {
	struct fragment_pick {
		const struct fragment *fragment;
		const struct fragment_option *option;
	} * items;
	size_t n;
};
/*
 * An option that two fragments (or two lines of one) want with different values is -EINVAL: both
 * places and values are named. The same value twice is fine: the first is kept.
 */
int fragment_set_build(const struct fragment *fragments, size_t n, const struct kver *kver,
		       enum arch arch, struct fragment_set *ret, struct err *err);
void fragment_set_deinit(struct fragment_set *s);
DEFINE_CLEANUP(fragment_set, fragment_set_deinit)
/* The options of one fragment in the set, as merge_config.sh reads them. */
void fragment_set_text(const struct fragment_set *s, const struct fragment *of, struct buf *out);

#endif
