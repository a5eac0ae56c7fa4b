/*
 * report.h - a run, as a person reads it and as JSON. Made from the run's folder and nothing else.
 *
 * Pure: a record in, text out. Everything in the record is printable already (result.h).
 */
#ifndef LAB_REPORT_H
#define LAB_REPORT_H

#include "lab/run/result.h"

struct report_style {
	bool colour;
	unsigned int width; /* columns of the terminal; the table is cut into blocks that fit */
};

struct totals {
	unsigned int verdict[VERDICT_COUNT];
	unsigned int missing; /* never finished: lab was interrupted */
};
void report_count(const struct run_record *r, struct totals *ret);

/* What was run and under which accelerator, the table, what went wrong and what to type next. */
void report_text(struct buf *out, const struct run_record *r, const struct report_style *style);

/* Everything, a new reference. */
json_t *report_json(const struct run_record *r);

/* 0, 1 or 3 (style: exit codes): a failed expectation outranks a lost machine. */
int report_exit_code(const struct totals *t);

/* The verdict's word in its colour: "pass", "FAIL". */
void report_verdict(struct buf *out, enum verdict v, bool colour);

#endif
