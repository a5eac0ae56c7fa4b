/*
 * program.h - a program for the kernel's filter, built as a graph of tests and laid out at the end.
 *
 * Pure. A node is a test of one 32-bit word of struct seccomp_data with two ways on, or a value
 * that is returned. Equal nodes are one node; a test whose result is known by the one before it is
 * left out; a test of which both ways lead to the same node is that node. Nodes can only lead to
 * nodes that were made before: there are no loops.
 */
#ifndef JAIL_FILTER_PROGRAM_H
#define JAIL_FILTER_PROGRAM_H

#include "jail/filter/compile.h"

struct program;
struct program *program_create(void);
void program_destroy(struct program *program);

typedef unsigned int program_node;

/* (word at offset & mask) op value; op is BPF_JEQ, BPF_JGT, BPF_JGE or BPF_JSET. */
struct program_test {
	unsigned int offset;
	uint32_t mask; /* ~0: all of the word */
	unsigned int op;
	uint32_t value;
};

/* Return value. These never fail: a program with too many nodes fails when it is laid out. */
program_node program_return(struct program *program, uint32_t value);
program_node program_test(struct program *program, struct program_test test, program_node yes,
			  program_node no);
/* Where a program gets to from node when the word at offset is known to be value. */
program_node program_known(const struct program *program, program_node node, unsigned int offset,
			   uint32_t value);

/* -E2BIG: more than BPF_MAXINSNS instructions. */
int program_lay_out(struct program *program, program_node root, struct filter *ret,
		    struct err *err);

#endif
