/*
 * lock.h - kernels.lock and packages.lock: exact packages, as text and as structs.
 *
 * Pure. The files are written by `lab kernel pin` and `lab image pin`, one fact per line, sorted,
 * so that a re-pin is a readable diff. They are read strictly: names and paths that could leave the
 * cache, digests that are not digests and unknown keys are errors with name:line:column.
 */
#ifndef LAB_LOCK_H
#define LAB_LOCK_H

#include "lab/debian/deb.h"

/* One kernel for one architecture. */
struct lock_kernel {
	char *name; /* of the pin */
	enum arch arch;
	char *version;	  /* "6.1.176" */
	char *release;	  /* "6.1.0-50-cloud-amd64" */
	struct deb *debs; /* image, modules, config: in the order they are unpacked */
	size_t n_debs;
	struct deb debug; /* vmlinux with DWARF; name NULL: none */
	/*
	 * What modules are built with: headers, those common to architectures, the tools of kbuild
	 * for hosts of arch, and the libraries of these. n_headers 0: the archive has none.
	 */
	struct deb *headers;
	size_t n_headers;
};
/* The package that holds the source of a pin, of Debian's. */
struct lock_source {
	char *name; /* of the pin */
	char *version;
	struct deb package;
};
struct kernels_lock {
	struct lock_kernel *items;
	size_t n;
	struct lock_source *sources;
	size_t n_sources;
};

/* name is for messages. Returns 0, -EINVAL, -E2BIG. *ret is the caller's, written on success only.
 */
int kernels_lock_parse(const char *name, const char *text, size_t len, struct kernels_lock *ret,
		       struct err *err);
/* Entries are put in order: by version, then architecture, the source last. */
void kernels_lock_print(struct kernels_lock *lock, struct buf *out);
const struct lock_kernel *kernels_lock_find(const struct kernels_lock *lock, const char *name,
					    enum arch arch);
/*
 * Add the entry, or replace the one of the same name and architecture. Takes over what entry owns.
 */
void kernels_lock_put(struct kernels_lock *lock, struct lock_kernel *entry);
/* The source of a pin, or NULL. */
const struct lock_source *kernels_lock_source(const struct kernels_lock *lock, const char *name);
/* As kernels_lock_put(), for a source. */
void kernels_lock_put_source(struct kernels_lock *lock, struct lock_source *entry);
void lock_source_deinit(struct lock_source *s);
DEFINE_CLEANUP(lock_source, lock_source_deinit)
void lock_kernel_deinit(struct lock_kernel *k);
DEFINE_CLEANUP(lock_kernel, lock_kernel_deinit)
void kernels_lock_deinit(struct kernels_lock *lock);
DEFINE_CLEANUP(kernels_lock, kernels_lock_deinit)

/* One package of the guest's root, with the names of those it needs. */
struct lock_package {
	struct deb deb;
	enum arch arch;
	struct strv depends;
};
struct packages_lock {
	struct lock_package *items;
	size_t n;
};
int packages_lock_parse(const char *name, const char *text, size_t len, struct packages_lock *ret,
			struct err *err);
/* All packages must be of one suite and snapshot. Entries are put in order. */
void packages_lock_print(struct packages_lock *lock, struct buf *out);
/* Indexes into lock->items of name and all it needs, added to *ret unless they are there. -ENOENT.
 */
int packages_lock_closure(const struct packages_lock *lock, const char *name, enum arch arch,
			  size_t **ret, size_t *n);
void packages_lock_deinit(struct packages_lock *lock);
DEFINE_CLEANUP(packages_lock, packages_lock_deinit)

/* A name fit for a pin and for a folder: letters, digits, ".", "_", "+", "-", not first a sign. */
bool lock_name_ok(const char *name);

#endif
