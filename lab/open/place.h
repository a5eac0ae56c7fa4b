/*
 * place.h - where a dump is that a person names, and which kernel it is of.
 */
#ifndef LAB_PLACE_H
#define LAB_PLACE_H

#include "jail/base/arch.h"
#include "jail/base/cleanup.h"
#include "jail/base/err.h"

/* The name of a dump in a cell's folder, and of what a person reads of it. */
#define DUMP_FILE "vmcore"
#define DUMP_SUMMARY "vmcore.txt"

struct dump_place {
	char *file;   /* the vmcore */
	char *dir;    /* its cell's folder; NULL: a file of the user's */
	char *cell;   /* "6.1-amd64/crash/panic"; NULL as dir */
	char *kernel; /* as kernel_resolve() takes it; NULL as dir */
	enum arch arch;
	char *title; /* of the crash; NULL: none, or as dir */
};
void dump_place_deinit(struct dump_place *p);
DEFINE_CLEANUP(dump_place, dump_place_deinit)

/*
 * name: a cell of the latest run, RUN/CELL with a run below RESULTS_DIR, a cell's folder, a file;
 * or a run, or NULL for the latest one, when one of its cells has a dump. -ENOENT: no such cell
 * (the text suggests the nearest); -ENODATA: it has no dump (the text says why not); -EEXIST:
 * several have (the text lists them); -EINVAL: what the run left there is damaged.
 */
int dump_find(const char *name, struct dump_place *ret, struct err *err);

#endif
