/*
 * cmd-kernel.h - verbs of "lab kernel" that have options of their own, a file each: cmd-kernel-*.c,
 * entered in the table in cmd-kernel.c. Each is called as a command is (cmd.h): argv[0] is the
 * verb.
 */
#ifndef LAB_CMD_KERNEL_H
#define LAB_CMD_KERNEL_H

#include "lab/cmd.h"
#include "lab/kernel/built.h"
#include "lab/kernel/lock.h"
#include "lab/kernel/pins.h"

/* What there is, and what of it a verb works on. */
struct kernel_selection {
	struct pins pins;
	struct kernels_lock lock;
	struct built *built;
	size_t n_built;
	struct strv names;
	bool all;	    /* they are what "all" means */
	unsigned int archs; /* bit mask */
};
/* Print them. Returns the exit code. */
int kernel_list(const struct kernel_selection *of, bool json);
/*
 * Fetch the kernel; with debug its debug package, which gdb then indexes; with headers what modules
 * are built with. Prints what became of it, and returns the exit code. One of those that "all"
 * means may have none of these.
 */
int kernel_pull(const struct kernel_selection *of, const struct lock_kernel *k, bool debug,
		bool headers, const volatile int *cancel);

int cmd_kernel_build(int argc, char **argv);
int cmd_kernel_config(int argc, char **argv);
int cmd_kernel_export(int argc, char **argv);
int cmd_kernel_import(int argc, char **argv);
int cmd_kernel_module(int argc, char **argv);
int cmd_kernel_source(int argc, char **argv);

#endif
