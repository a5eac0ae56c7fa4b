#include "jail/filter/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jail/base/cleanup.h"
#include "jail/base/str.h"

enum {
	NODES_MAX = 2 * BPF_MAXINSNS,
	BUCKETS = 1024,
	NOWHERE = -1,
	JUMP_MAX = 255, /* of a conditional jump */
};

/*
 * Instructions are laid out from the last to the first, so that every target is known; a place is
 * an index counted from the end.
 */
struct entry {
	int place; /* NOWHERE: not yet laid out */
	int near;  /* the place, or of a jump to it that was laid out later */
};

struct node {
	bool is_value, is_reached, is_loaded; /* is_loaded: by some way its word has to be loaded */
	struct program_test test;	      /* is_value: only .value */
	program_node yes, no;
	unsigned int next;	 /* 1 + the next node of the same bucket; 0: none */
	struct entry bare, load; /* with the word in the accumulator, and without */
};

struct program {
	struct node *nodes;
	unsigned int n, cap;
	bool is_full;
	unsigned int buckets[BUCKETS]; /* 1 + the first node of it; 0: none */
	struct sock_filter *insns;
	int n_insns;
};

struct program *program_create(void)
{
	return xcalloc(1, sizeof(struct program));
}

void program_destroy(struct program *program)
{
	if (!program)
		return;
	free(program->nodes);
	free(program->insns);
	free(program);
}

/* --- the graph -------------------------------------------------------------------------------- */

static bool same(const struct node *a, const struct node *b)
{
	return a->is_value == b->is_value && a->test.offset == b->test.offset &&
	       a->test.mask == b->test.mask && a->test.op == b->test.op &&
	       a->test.value == b->test.value && a->yes == b->yes && a->no == b->no;
}

static unsigned int hash_of(const struct node *node)
{
	const uint32_t parts[] = {node->is_value, node->test.offset, node->test.mask,
				  node->test.op,  node->test.value,  node->yes,
				  node->no};
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < array_len(parts); i++) {
		hash = (hash ^ parts[i]) * 0x9e3779b1U;
		hash ^= hash >> 15;
	}
	return hash % BUCKETS;
}

static program_node add(struct program *program, const struct node *node)
{
	unsigned int *bucket = &program->buckets[hash_of(node)];

	for (unsigned int i = *bucket; i; i = program->nodes[i - 1].next)
		if (same(&program->nodes[i - 1], node))
			return i - 1;
	if (program->n == NODES_MAX) {
		program->is_full = true;
		return 0;
	}
	if (program->n == program->cap) {
		program->cap = program->cap ? 2 * program->cap : 256;
		program->nodes =
			xreallocarray(program->nodes, program->cap, sizeof(*program->nodes));
	}
	program->nodes[program->n] = *node;
	program->nodes[program->n].next = *bucket;
	*bucket = ++program->n;
	return program->n - 1;
}

program_node program_return(struct program *program, uint32_t value)
{
	const struct node node = {.is_value = true, .test.value = value};

	return add(program, &node);
}

static bool holds(const struct program_test *test, uint32_t word)
{
	word &= test->mask;
	switch (test->op) {
	case BPF_JEQ:
		return word == test->value;
	case BPF_JGT:
		return word > test->value;
	case BPF_JGE:
		return word >= test->value;
	default:
		return word & test->value;
	}
}

program_node program_known(const struct program *program, program_node node, unsigned int offset,
			   uint32_t value)
{
	const struct node *at = &program->nodes[node];

	for (; !at->is_value && at->test.offset == offset; at = &program->nodes[node])
		node = holds(&at->test, value) ? at->yes : at->no;
	return node;
}

/* Where a program gets to from node when it is known that this very test fails. */
static program_node failed(const struct program *program, program_node node,
			   struct program_test test)
{
	const struct node *at = &program->nodes[node];

	for (; !at->is_value && at->test.offset == test.offset && at->test.mask == test.mask &&
	       at->test.op == test.op && at->test.value == test.value;
	     at = &program->nodes[node])
		node = at->no;
	return node;
}

program_node program_test(struct program *program, struct program_test test, program_node yes,
			  program_node no)
{
	struct node node = {.test = test};

	if ((test.op == BPF_JEQ && test.value & ~test.mask) ||
	    (test.op == BPF_JGT && test.value >= test.mask) ||
	    (test.op == BPF_JSET && !(test.value & test.mask)))
		return no;
	if ((test.op == BPF_JGE && !test.value) || (test.op == BPF_JEQ && !test.mask))
		return yes;
	if (test.op == BPF_JEQ && test.mask == UINT32_MAX)
		yes = program_known(program, yes, test.offset, test.value);
	no = failed(program, no, test);
	if (yes == no)
		return yes;
	node.yes = yes;
	node.no = no;
	return add(program, &node);
}

/* --- the layout ------------------------------------------------------------------------------- */

/* After a test the accumulator still holds its word, unless a mask was laid over it. */
static bool leaves_word(const struct node *from, const struct node *to)
{
	return from->test.mask == UINT32_MAX && from->test.offset == to->test.offset;
}

/* Targets stand below the nodes that lead to them. */
static void mark(struct program *program, program_node root)
{
	program->nodes[root].is_reached = program->nodes[root].is_loaded = true;
	for (unsigned int i = root + 1; i-- > 0;) {
		struct node *from = &program->nodes[i];
		const program_node ways[] = {from->yes, from->no};

		from->bare = from->load = (struct entry){NOWHERE, NOWHERE};
		for (size_t w = 0; from->is_reached && !from->is_value && w < 2; w++) {
			struct node *to = &program->nodes[ways[w]];

			to->is_reached = true;
			to->is_loaded |= !leaves_word(from, to);
		}
	}
}

/* Returns its place; beyond the limit nothing is stored, and program_lay_out() fails. */
static int emit(struct program *program, unsigned int code, uint32_t k, int jt, int jf)
{
	if (program->n_insns < BPF_MAXINSNS)
		program->insns[program->n_insns] = (struct sock_filter){
			(unsigned short)code, (unsigned char)jt, (unsigned char)jf, k};
	return program->n_insns++;
}

static int distance(const struct program *program, int place)
{
	return program->n_insns - place - 1;
}

/* The entry of a node for one that comes from `from`. */
static struct entry *entry_of(struct program *program, const struct node *from, program_node to)
{
	struct node *node = &program->nodes[to];

	return !node->is_value && leaves_word(from, node) ? &node->bare : &node->load;
}

/* Make sure that the next instruction can jump there; true when that took an instruction. */
static bool bring_near(struct program *program, const struct node *from, program_node to)
{
	const struct node *node = &program->nodes[to];
	struct entry *entry = entry_of(program, from, to);

	if (entry->near != NOWHERE && distance(program, entry->near) <= JUMP_MAX)
		return false;
	if (node->is_value)
		entry->near = emit(program, BPF_RET | BPF_K, node->test.value, 0, 0);
	else
		entry->near = emit(program, BPF_JMP | BPF_JA,
				   (uint32_t)distance(program, entry->place), 0, 0);
	return true;
}

static void emit_test(struct program *program, struct node *node)
{
	const struct program_test *test = &node->test;
	struct entry *yes = entry_of(program, node, node->yes);
	struct entry *no = entry_of(program, node, node->no);
	int place;

	/* what brings one near may bring the other out of reach */
	while (bring_near(program, node, node->yes) || bring_near(program, node, node->no))
		;
	place = emit(program, BPF_JMP | BPF_K | test->op, test->value, distance(program, yes->near),
		     distance(program, no->near));
	if (test->mask != UINT32_MAX)
		place = emit(program, BPF_ALU | BPF_AND | BPF_K, test->mask, 0, 0);
	node->bare = (struct entry){place, place};
	if (node->is_loaded) {
		place = emit(program, BPF_LD | BPF_W | BPF_ABS, test->offset, 0, 0);
		node->load = (struct entry){place, place};
	}
}

/*
 * What a node leads to, then the node: code that runs together stands together. The depth is that
 * of the graph, at most NODES_MAX small frames.
 */
static void emit_node(struct program *program, program_node at)
{
	struct node *node = &program->nodes[at];

	if (node->is_value || node->bare.place != NOWHERE || program->n_insns > BPF_MAXINSNS)
		return;
	emit_node(program, node->no);
	emit_node(program, node->yes);
	emit_test(program, node);
}

int program_lay_out(struct program *program, program_node root, struct filter *ret, struct err *err)
{
	const struct node *node = &program->nodes[root];

	if (!program->is_full) {
		program->insns = xcalloc(BPF_MAXINSNS, sizeof(*program->insns));
		mark(program, root);
		if (node->is_value)
			emit(program, BPF_RET | BPF_K, node->test.value, 0, 0);
		else
			emit_node(program, root);
	}
	if (program->is_full || program->n_insns > BPF_MAXINSNS)
		return err_set(err, E2BIG, "more than %d instructions", BPF_MAXINSNS);
	ret->n = (size_t)program->n_insns;
	ret->insns = xcalloc(ret->n, sizeof(*ret->insns));
	for (size_t i = 0; i < ret->n; i++)
		ret->insns[i] = program->insns[ret->n - 1 - i];
	return 0;
}
