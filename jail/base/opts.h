/*
 * opts.h - one table of options: parsed by getopt_long(3), printed by --help, so they cannot drift.
 *
 * Each entry fills a member of the caller's struct:
 *
 *	struct args { bool json; struct strv kernels; };
 *	static const struct opt options[] = {
 *		{'k', "kernel", "K[,K…]", OPT_STRV, offsetof(struct args, kernels), "run on"},
 *		{0, "json", NULL, OPT_FLAG, offsetof(struct args, json), "as JSON"},
 *	};
 *
 * -h/--help is always known.
 */
#ifndef BASE_OPTS_H
#define BASE_OPTS_H

#include <stdbool.h>
#include <stdio.h>

#include "jail/base/err.h"
#include "jail/base/str.h"

enum opt_kind {
	OPT_FLAG,     /* bool: true when given */
	OPT_NEGATION, /* bool: false when given (--no-x) */
	OPT_STRING,   /* const char *: points into argv */
	OPT_STRV,     /* struct strv: repeatable, each value split at commas */
	OPT_APPEND,   /* struct strv: repeatable, values kept whole */
	OPT_U32,      /* unsigned int */
	OPT_INT64,    /* int64_t, may be negative */
	OPT_MS,	      /* int64_t milliseconds, str_to_ms() */
	OPT_BYTES,    /* uint64_t, str_to_bytes() */
};

struct opt {
	char letter;	  /* 0: none */
	const char *name; /* without the dashes */
	const char *arg;  /* name of the value in --help; NULL for flags */
	enum opt_kind kind;
	size_t offset;
	const char *help; /* one line; \n starts further ones */
};

enum opts_how {
	OPTS_ANYWHERE,	 /* options may follow operands (lab) */
	OPTS_BEFORE_CMD, /* the first operand ends the options (jail) */
};

/*
 * Parse argv[1..]. *operands is the index of the first operand (argv is permuted with
 * OPTS_ANYWHERE). Returns 0, 1 when --help was asked for, or -EINVAL (one line that says what is
 * wrong; the caller adds "Try '… --help'").
 */
int opts_parse(const struct opt *table, size_t n, enum opts_how how, int argc, char **argv,
	       void *args, int *operands, struct err *err);

/* The lines of --help for the table, aligned. */
void opts_print(FILE *to, const struct opt *table, size_t n);

#endif
