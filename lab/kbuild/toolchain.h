/*
 * toolchain.h - the compiler for an architecture, and what an old kernel needs to be told about a
 * new one.
 *
 * Every workaround is a row of one table, with its reason and source; the source itself is never
 * changed. ccache is used when it is there, unless LAB_NO_CCACHE is set.
 */
#ifndef LAB_TOOLCHAIN_H
#define LAB_TOOLCHAIN_H

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/kver.h"
#include "jail/base/str.h"

struct toolchain {
	bool llvm;
	char *version;	   /* the compiler's first line: "aarch64-linux-gnu-gcc (Debian 12.2.0-14)
			      12.2.0" */
	struct strv make;  /* "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "LLVM=1",
			      "CC=ccache …" */
	struct strv notes; /* a line for each flag that works around a known breakage, with why */
};
/*
 * kver: the kernel to be built; NULL: not known yet. llvm: clang, lld and LLVM's tools instead of
 * gcc and binutils. -ENOENT: no compiler, or a tool the build needs is not there (the text names
 * what to install). -ENOTSUP: this compiler is known not to build that kernel (says why).
 */
int toolchain_find(enum arch arch, bool llvm, const struct kver *kver, struct toolchain *ret,
		   struct err *err);
/* The compiler's name, "aarch64-linux-gnu-gcc"; allocated. NULL: there are no LLVM tools. */
char *toolchain_cc(enum arch arch, bool llvm);
/* pahole, which only a configuration with BTF needs; -ENOENT names what to install. */
int toolchain_check_pahole(struct err *err);
void toolchain_deinit(struct toolchain *t);
DEFINE_CLEANUP(toolchain, toolchain_deinit)

#endif
