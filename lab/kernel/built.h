/*
 * built.h - kernels that were built here or imported, in cache_dir("kernels"):
 *
 *	NAME-ARCH-KEY/	KEY: 16 hex digits of the inputs, or "local"
 *		image config SHA256SUMS	 as kernel-store.h has them
 *		lib/modules/RELEASE/	 *.ko below kernel/, modules.builtin, modules.order
 *		vmlinux			 ELF with symbols, DWARF where it was built so
 *		Module.symvers		 for modules that are built later; not in older ones
 *		gdb/vmlinux-gdb.py, gdb/scripts/gdb/   where GDB_SCRIPTS was on
 *		meta.json		 struct built, as JSON; written last
 *
 * A folder appears whole or not at all; one that was built here replaces those of the same name and
 * architecture with other keys. What is made of a local source, and what was imported, stands
 * beside them (`lab cache prune` removes what nobody would build). meta.json of an import is
 * untrusted. Links are refused, but for build and source, which modules_install leaves: they go.
 */
#ifndef LAB_BUILT_H
#define LAB_BUILT_H

#include "lab/kernel/kernel.h"

struct built {
	char *name; /* "6.1+debug+kasan" */
	enum arch arch;
	char *version, *release;
	char *inputs; /* hex: SHA-256 of source id, fragments' texts, architecture, gcc or
			 clang, recipe; NULL for a local source */
	struct strv fragments;
	char *source;	   /* source.h: id */
	char *source_what; /* for a person: "linux-6.5.tar.xz", "linux-source-6.1 6.1.176-1",
			      "/home/me/linux v6.5-3-gabc-dirty" */
	bool local;
	char *compiler;	     /* its first line */
	struct strv notes;   /* flags that worked around a known breakage, with why */
	char *build_id;	     /* hex of vmlinux's NT_GNU_BUILD_ID; built_install() reads it itself */
	char *source_prefix; /* what the source folder is called in the debug information */
	char *source_dir;    /* where it was on this machine; NULL after an import */
	unsigned int objects, seconds, jobs;
	int64_t built_at; /* seconds since 1970 */
};
void built_deinit(struct built *b);
DEFINE_CLEANUP(built, built_deinit)

/*
 * The kernel of that name; inputs NULL: whichever is there (a keyed one before a local one).
 * inputs given: only that one, or with or_local a local one. *info (may be NULL) is the caller's.
 * Returns 0 or -ENOENT. No file is read but meta.json.
 */
int built_find(const char *name, enum arch arch, const char *inputs, bool or_local,
	       struct kernel *ret, struct built *info, struct err *err);
/* Called for each that is there, by name. */
typedef int (*built_fn)(void *data, const struct built *b, const char *dir, struct err *err);
int built_each(built_fn fn, void *data, struct err *err);
/*
 * Take over stage, a folder beside the others that holds image, config, lib/modules, vmlinux, …:
 * adds SHA256SUMS and meta.json, and renames. stage is gone afterwards, whatever is returned.
 * -EBADMSG: no bootable image for that architecture, or a link.
 */
int built_install(const struct built *b, const char *stage, struct kernel *ret, struct err *err);
/*
 * A new empty folder for built_install(), allocated; NULL with err. Whoever gives up removes it;
 * one that was left behind goes by `lab cache prune`.
 */
char *built_stage(const struct built *b, struct err *err);
/* Hash all files again. Returns 0, -ENOENT, or -EBADMSG (err names the file). */
int built_verify(const struct built *b, struct err *err);
/* All of that name, local ones too. Returns 1, 0 (none was there) or a negative errno. */
int built_remove(const char *name, enum arch arch, struct err *err);

/*
 * One file (tar, zstd) with all of it but source_dir; appears whole or not at all. Same kernel,
 * same bytes. -EEXIST: file is there already; -EBADMSG: what is in the cache is damaged.
 */
int built_export(const struct built *b, const char *file, struct err *err);
/*
 * Check and take in. -EBADMSG: truncated, a checksum that differs, a path that leaves it, no
 * kernel. -EEXIST: another kernel with that name and key is there (the same one is fine). cancel
 * (may be NULL): once it is not zero, -EINTR. The checksums show damage, not who made the file: a
 * kernel of somebody's is run in a guest, and given to gdb, with the trust one has in them.
 */
int built_import(const char *file, kernel_progress_fn progress, void *data,
		 const volatile int *cancel, struct built *ret, struct err *err);
/*
 * Look in place (a folder or an http, https or file URL) for NAME-ARCH-KEY.tar.zst and take it in;
 * name, architecture and inputs must be those asked for. Returns 0, -ENOENT (no such file, or
 * inputs NULL: a local source), -ENOTDIR (no such folder), or what built_import() and download()
 * say; err names the file.
 */
int built_fetch(const char *place, const char *name, enum arch arch, const char *inputs,
		kernel_progress_fn progress, void *data, const volatile int *cancel,
		struct kernel *ret, struct err *err);
/* "NAME-ARCH-KEY.tar.zst", allocated. */
char *built_file_name(const struct built *b);

#endif
