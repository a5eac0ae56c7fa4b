/*
 * kmod-kit.h - what a module for a kernel is built with: the folders for kbuild, and what this
 * host's compiler has to be told. For kmod.c.
 */
#ifndef LAB_KMOD_KIT_H
#define LAB_KMOD_KIT_H

#include "lab/kbuild/toolchain.h"
#include "lab/kernel/kernel.h"

struct kmod_kit {
	char *source, *obj; /* make -C, O= */
	char *id;	    /* changes when they do; one line */
	bool llvm;	    /* the kernel was built with clang */
	bool headers;	    /* of Debian's: the configuration was made for another compiler */
};
void kmod_kit_deinit(struct kmod_kit *k);
DEFINE_CLEANUP(kmod_kit, kmod_kit_deinit)

/* Returns 0, or what kmod_build() says of the kernel: -ENOTSUP, -ENODATA, -EINTR, … */
int kmod_kit_find(const struct kernel *kernel, const struct kernel_want *want, struct kmod_kit *ret,
		  struct err *err);
/* More words for make's command line. */
int kmod_kit_flags(const struct kmod_kit *kit, enum arch arch, struct strv *argv, struct err *err);

#endif
