/*
 * cmd-kernel.h - verbs of "lab kernel" that have options of their own, a file each: cmd-kernel-*.c,
 * entered in the table in cmd-kernel.c. Each is called as a command is (cmd.h): argv[0] is the
 * verb.
 */
#ifndef LAB_CMD_KERNEL_H
#define LAB_CMD_KERNEL_H

#include "lab/cmd.h"

int cmd_kernel_build(int argc, char **argv);
int cmd_kernel_export(int argc, char **argv);
int cmd_kernel_import(int argc, char **argv);

#endif
