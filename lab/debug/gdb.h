/*
 * gdb.h - the debugger on this host: which one knows an architecture, and how it is started.
 */
#ifndef LAB_GDB_H
#define LAB_GDB_H

#include "lab/symbols/symbols.h"

struct gdb_how {
	const char *program;  /* --gdb: a name or path; NULL: gdb, or gdb-multiarch as needed */
	bool pwndbg;	      /* with pwndbg */
	bool batch;	      /* ends after its scripts */
	char *const *scripts; /* -x: NULL-terminated, or NULL */
	char *const *breaks;  /* --break: "FUNC" or "FUNC:COND", NULL-terminated, or NULL */
	const char *address;  /* for "target remote"; waited for until it is there; or NULL */
	const char *kernel;   /* what to call it ("6.1 amd64"); or NULL */
	const char *core;     /* a vmcore instead of an address; or NULL */
	char *const *modules; /* more folders with modules' symbols; NULL-terminated, or NULL */
};

/*
 * A gdb for guests of arch: absolute path, allocated. NULL with err: -ENOENT (none is installed, or
 * none of them knows arch: the text names Debian's package), -ENOTSUP (program does not know arch,
 * or has no Python).
 */
char *gdb_find(enum arch arch, const struct gdb_how *how, struct err *err);

/*
 * Its command line, ready for proc_spawn(): our Python file is loaded, the index cache is in
 * cache_dir("gdb-index"), nothing of the symbols is loaded twice.
 */
int gdb_command(const char *gdb, enum arch arch, const struct symbols *symbols,
		const struct gdb_how *how, struct strv *argv, struct err *err);
/*
 * Have gdb index the symbols once, so that later sessions find types in a second; what is indexed
 * already costs nothing. progress is told. -ENOENT: no gdb; not an error for who only fetches.
 */
int gdb_index(enum arch arch, const struct symbols *symbols, kernel_progress_fn progress,
	      void *data, struct err *err);

#endif
