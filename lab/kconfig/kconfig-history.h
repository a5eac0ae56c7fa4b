/*
 * kconfig-history.h - options that kernels gained, lost or renamed: those that people's fragments
 * name, not all.
 *
 * Pure.
 */
#ifndef LAB_KCONFIG_HISTORY_H
#define LAB_KCONFIG_HISTORY_H

#include "jail/base/kver.h"
#include "jail/base/str.h"

/*
 * What is known of an option that a kernel does not have: "SLOB was removed in 6.4: ..." or "it is
 * there from 5.13 on" is appended to out. kver NULL: any. Returns false, with nothing appended,
 * when nothing is known.
 */
bool kconfig_history(const char *option, const struct kver *kver, struct buf *out);

#endif
