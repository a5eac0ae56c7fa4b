/*
 * run-folder.h - the folder of one run on disk: made once, filled cell by cell.
 */
#ifndef LAB_RUN_FOLDER_H
#define LAB_RUN_FOLDER_H

#include "lab/run/plan.h"
#include "lab/run/result.h"

/*
 * Make the folder: out, or a new one named by the time below RESULTS_DIR, with "latest" pointing at
 * it. Returns 0 and the path (allocated), or -EEXIST when out holds a run already, or another
 * negative errno.
 */
int run_folder_create(const char *out, char **ret, struct err *err);

/* Write run.json. state: "running", "done", "interrupted", "stopped". wall_ms < 0: not known yet.
 */
struct run_facts {
	const char *state;
	char *const *command;
	const char *machines;		      /* virt_describe(); NULL: not known yet */
	const char *accelerators[ARCH_COUNT]; /* NULL: not used */
	int64_t wall_ms;
	const char *started; /* UTC, ISO 8601 */
};
int run_folder_write(const char *dir, const struct plan *plan, const struct run_facts *facts,
		     struct err *err);

/* The texts of a cell that the verdict needs. */
struct cell_texts {
	struct buf out, err, console; /* console: console.log, then dmesg.log */
	struct evidence_file *files;  /* one for each file of the expectation that is there */
	struct buf *contents;
	size_t n_files;
};
/* A file that is not there reads as empty. */
int run_folder_read_cell(const char *cell_dir, const struct expect *expect, struct cell_texts *ret,
			 struct err *err);
void cell_texts_deinit(struct cell_texts *t);
DEFINE_CLEANUP(cell_texts, cell_texts_deinit)

#endif
