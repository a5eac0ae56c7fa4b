/*
 * kconfig.h - a kernel's configuration: .config as text, as a table, and compared.
 *
 * Pure. Source: Documentation/kbuild/kconfig.rst. An option that is not there is "n".
 */
#ifndef LAB_KCONFIG_H
#define LAB_KCONFIG_H

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/str.h"
#include "lab/kconfig/fragment.h"

enum { KCONFIG_MAX_BYTES = 4 << 20 };

struct kconfig {
	struct kconfig_option {
		char *name, *value; /* without CONFIG_; "y", "m", "64", "\"text\""; never "n" */
	} * items;		    /* sorted by name */
	size_t n;
	int arch;	/* of its first lines ("Linux/x86 6.1.176 Kernel Configuration"), or -1 */
	char *version;	/* of the same, or NULL */
	char *compiler; /* CONFIG_CC_VERSION_TEXT without quotes, or NULL */
};
/* name is for messages. -EINVAL (name:line), -E2BIG. */
int kconfig_parse(const char *name, const char *text, size_t len, struct kconfig *ret,
		  struct err *err);
int kconfig_load(const char *path, struct kconfig *ret, struct err *err);
void kconfig_deinit(struct kconfig *c);
DEFINE_CLEANUP(kconfig, kconfig_deinit)
/* Its value; "n" when it is not set. option with or without CONFIG_. */
const char *kconfig_get(const struct kconfig *c, const char *option);

/* Called for each option whose value differs, by name. */
typedef void (*kconfig_diff_fn)(void *data, const char *option, const char *a, const char *b);
void kconfig_diff(const struct kconfig *a, const struct kconfig *b, kconfig_diff_fn fn, void *data);

/* Called for each option of the set that has another value than wanted. Returns how many. */
typedef void (*kconfig_miss_fn)(void *data, const struct fragment_pick *wanted, const char *is);
size_t kconfig_check(const struct kconfig *c, const struct fragment_set *wanted, kconfig_miss_fn fn,
		     void *data);

#endif
