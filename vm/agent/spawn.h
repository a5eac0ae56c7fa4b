/*
 * spawn.h - the payload's first process, with strace in front of it when asked; and the end of all.
 */
#ifndef AGENT_SPAWN_H
#define AGENT_SPAWN_H

#include "vm/agent/job.h"

/* Start job->argv in job->cwd_fd: fills job->pid and the streams' descriptors. */
int spawn_payload(struct job *job, struct err *err);

/* SIGKILL to every process but this one; strace may stay (it ends with those it traces). */
void spawn_kill_all(bool but_strace);

#endif
