/*
 * cache.h - where things are kept between runs.
 *
 * $LAB_CACHE, else $XDG_CACHE_HOME/jail-lab, else ~/.cache/jail-lab:
 *	apt/       indexes of suites (InRelease, Packages), by suite and architecture
 *	debs/      downloaded packages, named by SHA-256
 *	kernels/   NAME-VERSION-ARCH/ {image, config, lib/modules/, SHA256SUMS, meta.json} of pins;
 *		   NAME-ARCH-KEY/ of what was built, with vmlinux (lab/kernel/built.h);
 *		   NAME-VERSION-ARCH.debug/ {vmlinux, modules/} of debug packages;
 *		   NAME-VERSION-ARCH.headers/, what modules are built with;
 *		   tmp-*: on their way here
 *	gdb-index/ BUILDID.gdb-index: gdb's own index cache
 *	symbols/   ELF files made of kernel images, for gdb
 *	sources/   HEX16/: unpacked kernel sources (lab/kbuild/source.h)
 *	builds/    NAME-ARCH-KEY/: objects of builds that were ended, and of local trees; logs
 *	modules/   NAME-KERNEL-ARCH-KEY/: modules that are no part of a kernel (lab/kbuild/kmod.h)
 *	images/    guest images, named by the hash of their inputs
 *	virt/      libvirt's embedded root, with its capabilities cache
 *	accel.json what probe guests showed
 */
#ifndef LAB_CACHE_H
#define LAB_CACHE_H

#include "jail/base/err.h"
#include "jail/base/str.h"

/* The folder (created when needed), allocated. sub may be NULL or like "kernels". NULL on failure.
 */
char *cache_dir(const char *sub, struct err *err);
/*
 * A new empty folder beside path, allocated, with a name that nothing looks for ("tmp-..."): what
 * is left there goes by `lab cache prune`. NULL with err.
 */
char *cache_temporary(const char *path, struct err *err);
/*
 * Remove a file or folder of the cache in one step: no half of a folder is ever taken for all of
 * it. One that is not there is fine.
 */
int cache_discard(const char *path, struct err *err);

/*
 * Where the project's own files are: kernel-config, vm, scenarios, guest programs. $LAB_HOME, else
 * found beside the program (a checkout: build/bin/lab; installed: PREFIX/bin/lab with
 * PREFIX/share/jail-lab). Allocated, NULL on failure.
 */
char *home_dir(struct err *err);
/*
 * Append the project's file of that name ("vm/packages.lock") to out; *path (allocated, set also
 * when reading failed) is for messages.
 */
int home_read(const char *name, struct buf *out, char **path, struct err *err);
/* The static guest program "agent" or "jail" for an architecture name ("amd64"). Allocated. */
char *home_guest_program(const char *arch, const char *name, struct err *err);

#endif
