/*
 * unwind-walk.h - one step after the other up a stack; for unwind*.c.
 *
 * Pure: memory, code and tables are what the functions of struct walk_env say, and all of it is
 * untrusted. A walk ends: by what is on the stack, or by UNWIND_MAX frames and WALK_SWITCHES moves
 * to another stack.
 */
#ifndef LAB_UNWIND_WALK_H
#define LAB_UNWIND_WALK_H

#include "lab/symbols/frames.h"
#include "lab/vmcore/unwind.h"

struct walk_env {
	void *data;
	enum arch arch;
	bool (*read)(void *data, uint64_t address, void *ret, size_t len);
	/* Functions of the kernel or of a module are there. */
	bool (*is_code)(void *data, uint64_t address);
	/* Where the frame of the function is while it runs there; false: no code that is known. */
	bool (*row)(void *data, uint64_t address, struct frame_row *ret);
	uint64_t stack_size;  /* a power of 2, that stacks are aligned to */
	uint64_t kernel_bits; /* set in every kernel address (arm64: what a PAC hides) */
	bool by_fp;	      /* amd64 without ORC: built with frame pointers */
	bool frame_meta;      /* arm64 from 6.13 on: empty frame records say what they stand for */
};

/* Registers as DWARF numbers them. */
enum { AMD64_BP = 6, AMD64_SP = 7, ARM64_FP = 29, ARM64_LR = 30, ARM64_SP = 31, WALK_REGS = 32 };
enum { WALK_SWITCHES = 16 };

struct walk {
	const struct walk_env *env;
	uint64_t pc;
	uint64_t regs[WALK_REGS];
	uint32_t known; /* which of them, by bits */
	bool exact;	/* see struct kframe */
	bool interrupted;
	bool guessed; /* pc was only found lying on the stack, or by going on from such a one */
	unsigned int switches;
};

enum walk_step { WALK_ON, WALK_USER, WALK_END, WALK_LOST };

/* To the caller; WALK_USER: pc is now user space's. After WALK_LOST *w is of no use. */
enum walk_step walk_amd64(struct walk *w);
enum walk_step walk_arm64(struct walk *w);

void walk_set(struct walk *w, unsigned int reg, uint64_t value);
bool walk_reg(const struct walk *w, unsigned int reg, uint64_t *ret);
/* The instruction before address is a call. */
bool walk_is_return(const struct walk *w, uint64_t address);
unsigned int walk_sp(const struct walk *w); /* which register that is */

/* All of it, from where w is. Returns how many frames. */
size_t walk_stack(struct walk *w, struct kframe *ret, size_t max);

#endif
