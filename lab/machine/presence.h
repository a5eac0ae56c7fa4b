/*
 * presence.h - what other labs see of a machine that runs here, and what they may ask of it.
 */
#ifndef LAB_PRESENCE_H
#define LAB_PRESENCE_H

#include "lab/machine/attach.h"
#include "lab/machine/control.h"

struct presence {
	struct control control; /* poll its fd */
	const char *run_dir, *name;
	struct virt_machine *machine;
	const struct attach *attach;
	bool asked_to_stop;
};

/*
 * The machine has started. dir: the cell's folder, run_dir: virt_run_dir(). A machine that cannot
 * be entered runs all the same: nobody finds it, that is all.
 */
void presence_open(struct presence *p, const struct job *job, const char *dir, const char *run_dir,
		   struct virt_machine *machine, const struct attach *attach);
/* Answer who asks, without waiting. Returns whether the machine is to stop. */
bool presence_serve(struct presence *p);
/* The machine is gone: who asked for that is told. {.control.fd = -1} is fine. */
void presence_close(struct presence *p);

#endif
