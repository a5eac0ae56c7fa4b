/*
 * kernel.h - a kernel ready to boot: what --kernel names, resolved to files in the cache.
 *
 * Trust: files come from the cache, where they only get by way of a checked SHA-256 (pins), or from
 * the user's own path.
 */
#ifndef LAB_KERNEL_H
#define LAB_KERNEL_H

#include "jail/base/arch.h"
#include "jail/base/err.h"
#include "jail/base/kver.h"
#include "jail/base/str.h"

struct kernel {
	char *name;	  /* the pin's name ("6.1") or the file's; used in paths of evidence */
	char *path;	  /* as --kernel gave it; NULL for pins */
	char *version;	  /* "6.1.176" */
	struct kver kver; /* the same, parsed */
	char *release;	  /* uname -r ("6.1.0-50-cloud-amd64"); NULL when it cannot be known */
	enum arch arch;
	char *image;	   /* bzImage (amd64) or Image (arm64), a path */
	char *modules_dir; /* .../lib/modules/RELEASE: *.ko, *.ko.xz, .zst or .gz below kernel/,
			      modules.builtin; no modules.dep in pins (read the modules' own
			      .modinfo). Or a build tree, in which modules.order lists them:
			      modules.h reads both. NULL: none */
	char *config;	   /* path of its .config; NULL: not known */
	char *sha256;	   /* of image, hex */
	char *package;	   /* "linux-image-6.1.0-50-cloud-amd64 6.1.176-1", NULL for files */
	char *vmlinux;	   /* ELF with symbols; NULL: none here */
	char *build_id;	   /* of vmlinux, hex; NULL: not known */
	char *origin;	   /* of one built from source, for a person and for run.json:
			      "linux-6.5.tar.xz, guest+debug, gcc (Debian 12.2.0-14) 12.2.0"; of a
			      tree its state ("v6.5-3-gabc-dirty"); else NULL */
	bool local;	   /* made of a source that no pin names */
};

/*
 * Called while something takes its time: what, in words for a person ("fetching linux-image-…
 * amd64", "unpacking …", "waiting for another lab to …"), with the bytes so far and in all. total
 * 0: not known; done equal to total: it is over.
 */
typedef void (*kernel_progress_fn)(void *data, const char *what, uint64_t done, uint64_t total);

/* The name of the pin that is marked default, allocated. */
int kernel_default(char **name, struct err *err);
/*
 * What "all" means, in kernels.yml's order, added to names: the pins that need no build, which is
 * Debian's kernels, and those that are built in that flavour (NULL: their own) for each of these
 * architectures. -ENODATA: there is none.
 */
int kernel_all(const char *flavour, const enum arch *archs, size_t n, struct strv *names,
	       struct err *err);

/* How a kernel may be got. Zeroes are a good default, except for the callbacks' data. */
struct kernel_want {
	const char *flavour;	     /* NULL, "default", or as flavour.h says: "debug+kasan" */
	bool offline;		     /* nothing is fetched */
	bool no_build;		     /* nothing is built */
	bool llvm;		     /* built with clang */
	unsigned int jobs;	     /* of make; 0: one for each processor */
	const char *mirror;	     /* --mirror: where sources may be, too; or NULL */
	const char *cache_from;	     /* --cache-from: where built kernels may be; or NULL */
	kernel_progress_fn progress; /* may be NULL; bytes */
	kernel_progress_fn building; /* may be NULL; objects made, of how many */
	void *data;		     /* of both */
	const volatile int *cancel;  /* may be NULL; non-zero ends fetching and building: -EINTR */
};

/*
 * Resolve spec (a pin, a pin with a flavour ("6.1+kasan"), a version, the name of a kernel built
 * before, or a path to bzImage/Image/vmlinux, to a build tree, to a .deb) for arch. What is missing
 * from the cache is fetched, taken from want->cache_from, or built. Returns 0, -ENOENT (unknown
 * name: the text lists the pins; no such file or fragment), -ENOEXEC (a file that is no kernel),
 * -ENODATA (not in the cache, and want forbids to get it; gone from mirror and snapshot), -ENOPKG
 * (a tool that the build needs is not there), -ENOTSUP (the pin has no such architecture), -EINVAL
 * (no such flavour; a file whose configuration is known and lacks what a guest needs, or has it as
 * modules that are not there), -EINTR, or what fetching and building said. *ret is the caller's, to
 * be released with kernel_deinit().
 */
int kernel_resolve(const char *spec, enum arch arch, const struct kernel_want *want,
		   struct kernel *ret, struct err *err);

/*
 * As kernel_resolve(), for a plan that is only looked at: a pin that is not cached is described by
 * what kernels.yml and the lock say of it (name, version, release) with image NULL, and nothing is
 * fetched, unpacked or built.
 */
int kernel_describe(const char *spec, enum arch arch, const char *flavour, struct kernel *ret,
		    struct err *err);

/* 'y', 'm' or 'n' of an option ("OVERLAY_FS", with or without CONFIG_); '?': config not known. */
char kernel_config_option(const struct kernel *k, const char *option);

void kernel_deinit(struct kernel *k);
DEFINE_CLEANUP(kernel, kernel_deinit)

#endif
