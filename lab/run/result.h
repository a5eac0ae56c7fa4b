/*
 * result.h - what is kept of a cell (result.json) and of a run (run.json), and back from it.
 *
 * The files are read back as untrusted input: what does not parse is reported, never trusted.
 */
#ifndef LAB_RESULT_H
#define LAB_RESULT_H

#include <jansson.h>

#include "jail/base/arch.h"
#include "lab/scenario/outcome.h"
#include "lab/scenario/verdict.h"

enum { RESULT_SCHEMA = 1 };

/* Where a run is kept when --out is not given; "latest" in it is a link to the newest. */
#define RESULTS_DIR "lab-results"

struct result {
	char *scenario, *path; /* name and file */
	char *kernel, *version, *release;
	enum arch arch;
	unsigned int repeat;
	char *dir; /* below the run's folder */
	char *accelerator;
	char *image; /* SHA-256 of the guest image's inputs; NULL: none was booted */
	enum verdict verdict;
	struct strv reasons, notes;
	struct crash crash; /* no title: none */
	char *ending;	    /* "exited", "panic", …; "skipped" */
	int exit_code, signal;
	struct stream out, err, trace, console;
	struct dump_done dump;
	int64_t boot_ms, run_ms, total_ms, end_ms; /* -1: never got there */
};
void result_deinit(struct result *r);
DEFINE_CLEANUP(result, result_deinit)

/* "exited", "timeout", "panic", "hung", "oops", "reboot", "gone", "no boot", "broken" */
const char *ending_name(enum ending e);

/* A new reference. */
json_t *result_json(const struct result *r);
/* name is for messages. Returns 0 or -EINVAL. */
int result_from_json(const char *name, const json_t *j, struct result *ret, struct err *err);

/* One file of JSON, at most 16 MiB, written in one step or read back. */
int json_write_file(int dirfd, const char *path, const json_t *j, struct err *err);
int json_read_file(int dirfd, const char *path, json_t **ret, struct err *err);

/* A run as its folder has it. */
struct run_record {
	char *dir;		/* as given or found */
	json_t *json;		/* run.json */
	struct result *results; /* in plan order */
	size_t n;
	size_t missing; /* cells of the plan without a result: lab was stopped before */
};
/*
 * Read a run: "latest", an id below lab-results/, or a folder. Returns 0, -ENOENT (with what to
 * do), -EINVAL (a file in it is damaged).
 */
int run_record_load(const char *run, struct run_record *ret, struct err *err);
void run_record_deinit(struct run_record *r);
DEFINE_CLEANUP(run_record, run_record_deinit)

#endif
