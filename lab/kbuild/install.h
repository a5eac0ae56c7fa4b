/*
 * install.h - from a finished build folder to what built_install() takes.
 */
#ifndef LAB_INSTALL_H
#define LAB_INSTALL_H

#include "lab/kbuild/make.h"
#include "lab/kconfig/kconfig.h"

/*
 * Copy image, config, vmlinux and what gdb wants from run->obj to stage, and have the modules
 * installed: stripped of DWARF, which a guest has no memory for. With CONFIG_GDB_SCRIPTS the whole
 * ones are in gdb/modules. command: the start of make's command line. run->argv is not looked at.
 * -ENOSPC, -EINTR, or what make_run() says.
 */
int install_stage(const struct make_run *run, const struct strv *command, enum arch arch,
		  const struct kconfig *config, const char *stage, struct err *err);

#endif
