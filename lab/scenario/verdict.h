/*
 * verdict.h - an outcome and what it left behind, held against the expectation.
 *
 * Pure: texts are handed in.
 */
#ifndef LAB_VERDICT_H
#define LAB_VERDICT_H

#include "lab/crash/known.h"
#include "lab/scenario/outcome.h"
#include "lab/scenario/scenario.h"

enum verdict {
	VERDICT_PASS,
	VERDICT_FAIL,
	VERDICT_CRASH,
	VERDICT_HANG,
	VERDICT_LOST,
	VERDICT_SKIP,
	VERDICT_COUNT
};
const char *verdict_name(enum verdict v); /* "pass" … */
int verdict_parse(const char *name);	  /* or -EINVAL */

struct evidence_text {
	const char *data;
	size_t len;
};
struct evidence_file {
	const char *path; /* as in the expectation */
	struct evidence_text content;
};

struct judgement {
	enum verdict verdict;
	struct strv reasons; /* printable lines, the first says it all: `exit 0, expected 32` */
	struct strv notes;   /* printable lines: reports that are no crash, and why */
	struct crash crash;  /* from the console, whether expected or not; no title: none */
};

/* Which reports of the kernel count. */
struct judge_rules {
	bool warnings_note;	  /* warnings are noted and no crash */
	struct known_list *known; /* NULL: none */
	struct kver kernel;
	enum arch arch;
};

/*
 * expect may be NULL (no entry applied): then exit 0 without a crash is expected. rules NULL: every
 * report counts.
 * console is the serial console's text together with the kernel log that came over the channel.
 * A truncated stream that lacks a wanted text is a fail whose reason says that it was cut.
 */
void verdict_judge(const struct expect *expect, const struct judge_rules *rules,
		   const struct outcome *outcome, struct evidence_text out,
		   struct evidence_text errtext, struct evidence_text console,
		   const struct evidence_file *files, size_t n_files, struct judgement *ret);
void judgement_deinit(struct judgement *j);
DEFINE_CLEANUP(judgement, judgement_deinit)

#endif
