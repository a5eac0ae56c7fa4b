/*
 * setup.h - from the kernel's first process to a small system, and back to power off.
 */
#ifndef AGENT_SETUP_H
#define AGENT_SETUP_H

#include <stdbool.h>
#include <stdint.h>

#include "jail/base/err.h"

/* devtmpfs, proc, sysfs; and a root that pivot_root(2) accepts. What the channel needs. */
int setup_root(struct err *err);
/*
 * The rest: devpts, tmpfs, cgroup2, host name, loopback, links and nodes in /dev; half as many
 * processes as the kernel would allow. What a kernel does not have is left out.
 */
void setup_system(void);

/*
 * Load modules listed in MODULES_LIST (paths, one per line) up to the empty line, or with rest
 * those after it. One that does not load is told to the kernel's log: the guest may do without.
 */
#define MODULES_LIST "/lib/lab/modules"
#define NODES_LIST "/lib/lab/nodes"
void setup_modules(bool rest);

/* Add entropy (hex digits, at most 64 bytes of it) and credit it. */
void setup_seed(const char *hex);
void setup_clock(int64_t realtime_ms);

/* As Alt-SysRq with that key would: what the kernel says goes to its log. */
void setup_sysrq(char key);

/* A line in the kernel's log, and so on the console. */
void klog(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void power_off(void) __attribute__((noreturn));

#endif
