/*
 * kmod-kit.h - what a module for a kernel is built with: the folders for kbuild, and what this
 * host's compiler has to be told. For kmod.c.
 *
 * For one of Debian's its headers (kernel-headers.h); for one that was built here its source
 * (the pin's, or the tree that it was built of) and a folder of objects that `make modules_prepare`
 * fills, cache_dir("modules")/kit-NAME-ARCH-KEY/, with the Module.symvers that is kept with the
 * kernel; for one in a build tree the tree.
 */
#ifndef LAB_KMOD_KIT_H
#define LAB_KMOD_KIT_H

#include "lab/kbuild/source.h"
#include "lab/kbuild/toolchain.h"
#include "lab/kernel/built.h"
#include "lab/kernel/kernel-target.h"

struct kmod_kit {
	const struct kernel *kernel;
	char *id;  /* changes when it does; one line */
	bool llvm; /* the kernel was built with clang */
	struct kernel_target target;
	struct built built;   /* of one that was built here */
	char *tree;	      /* of one in a build tree */
	char *dir, *obj;      /* make -C, O=; NULL before kmod_kit_prepare() */
	struct source source; /* held meanwhile */
};
void kmod_kit_deinit(struct kmod_kit *k);
DEFINE_CLEANUP(kmod_kit, kmod_kit_deinit)

/*
 * Which kit it is. Nothing is fetched or made. -ENOTSUP: there is none, the text says why in a
 * line. kernel must outlive it.
 */
int kmod_kit_find(const struct kernel *kernel, struct kmod_kit *ret, struct err *err);
/*
 * Have its folders ready. Returns 0, or what kmod_build() says of the kernel: -ENOTSUP, -ENODATA,
 * -EINTR, … log: what make is run and says, or -1; log_path is for messages.
 */
int kmod_kit_prepare(struct kmod_kit *kit, const struct kernel_want *want,
		     const struct toolchain *tc, int log, const char *log_path, struct err *err);
/* Add " -ffile-prefix-map=…" for folders that are ours: as kernels built here have it. */
void kmod_kit_maps(const struct kmod_kit *kit, struct buf *out);
/* More words for make's command line. */
int kmod_kit_flags(const struct kmod_kit *kit, struct strv *argv, struct err *err);

#endif
