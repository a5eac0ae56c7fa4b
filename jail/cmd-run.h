/*
 * cmd-run.h - jail [options] COMMAND.
 */
#ifndef JAIL_CMD_RUN_H
#define JAIL_CMD_RUN_H

/* argv[0] is the program's name. Returns the exit code. */
int cmd_run(int argc, char **argv);

#endif
