/*
 * session.h - one machine from boot to end: what machine.c (start, loop), machine-end.c (how it
 * ends) and machine-finish.c (what is collected before it is gone) share.
 */
#ifndef LAB_SESSION_H
#define LAB_SESSION_H

#include "lab/machine/attach.h"
#include "lab/machine/channel.h"
#include "lab/machine/console-file.h"
#include "lab/machine/evidence.h"
#include "lab/machine/machine.h"
#include "lab/machine/presence.h"
#include "lab/machine/terminal.h"

struct session {
	const struct job *job;
	const char *dir, *run_dir;
	struct outcome *o;
	struct virt_machine *m;
	struct evidence evidence;
	struct console_file console;
	struct channel channel; /* fd -1: not connected yet */
	struct presence presence;
	struct attach attach;
	char *socket, *tty;		       /* tty: the console's, under a daemon; or NULL */
	int64_t now, start, up, greeted, sent; /* -1: not yet */
	int64_t life, flow;		       /* last byte of any kind; last that is no tick */
	int64_t printed;		       /* last byte of the kernel's */
	int64_t report, asked;		       /* a report began; the agent was asked about it */
	int64_t hung_up, space;
	int64_t debugged_ms;   /* with a debugger attached: no limit counts */
	int64_t boot_ms;       /* it may take that long to its first word */
	int64_t qemu_ms;       /* QEMU's processor time at asked */
	uint64_t asked_frames; /* received by then; whoever sends further ones lives */
	uint64_t frames, taken, progress, logged;
	bool debugged, expects_dump; /* the job was told to */
	bool over, begun, silent;    /* begun: the terminal; silent: told so */
};

void session_phase(const struct session *s, const char *what);
/* Whoever will read the dump can make ready. */
void session_expect_dump(struct session *s);

/* machine-end.c: it ends so, unless it has ended already. detail is taken over. */
void session_end(struct session *s, enum ending ending, char *detail);
/* Whether the job, or the machine itself, came to its end. */
void session_check_job(struct session *s);
void session_check_gone(struct session *s);
/* Whether the kernel says that it is at its end, and is. */
void session_check_reports(struct session *s);
/* Whether a limit has passed. */
void session_check_time(struct session *s);

/*
 * machine-finish.c: what is wanted of the machine, dump and all, then its end. r: what became of
 * the session. Returns r, or what the host's files say.
 */
int session_finish(struct session *s, int r, struct err *err);

#endif
