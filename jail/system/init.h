/*
 * init.h - PID 1 of a sandbox's pid namespace.
 */
#ifndef JAIL_SYSTEM_INIT_H
#define JAIL_SYSTEM_INIT_H

#include <sys/types.h>

/*
 * Reap every orphan and hand signals from outside the namespace on to payload, until payload ends:
 * returns its wait status. All signals must be blocked. Allocates nothing.
 */
int init_run(pid_t payload);

#endif
