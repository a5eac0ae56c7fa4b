/*
 * crash-frame.h - the stacks in a report, and which function of them is guilty.
 *
 * Pure; the text is untrusted.
 */
#ifndef LAB_CRASH_FRAME_H
#define LAB_CRASH_FRAME_H

#include <stdbool.h>

enum { CRASH_FUNCTION_MAX = 128 };

/*
 * The function that a line of a report names as the place of the fault ("RIP: 0010:f+0x1/0x2",
 * "pc : f+…") or as a reliable frame of the stack (" f+0x1/0x2 [module]", not " ? f+…"), as it
 * stands there. *in_module: it is followed by " [". Returns false when there is none.
 */
bool crash_frame_parse(const char *line, char ret[CRASH_FUNCTION_MAX], bool *in_module);

/* Fed a report's lines in order, it finds the guilty one. flags: enum crash_flag of its header. */
struct crash_stack {
	unsigned int flags;
	char guilty[CRASH_FUNCTION_MAX];    /* normalised; "": none so far */
	bool settled;			    /* later frames change nothing */
	bool seen;			    /* something of a stack was there */
	char outermost[CRASH_FUNCTION_MAX]; /* private: of a stall's stack so far */
	unsigned int traces;		    /* private */
};
void crash_stack_line(struct crash_stack *s, const char *line);
/* A function that the header's own line names ("… in f+0x1/0x2", "… at f+0x1/0x2"). */
void crash_stack_header(struct crash_stack *s, const char *line);

#endif
