/*
 * opener.h - a dump opened in crash(8), drgn or gdb: which of them can, the dump in a form that it
 * reads, its command line.
 *
 * What is made for a tool (an ELF file of a compressed dump, a list of commands) has no name by the
 * time the tool starts, only a descriptor that it inherits: however it ends, nothing is left.
 */
#ifndef LAB_OPENER_H
#define LAB_OPENER_H

#include "lab/open/tools.h"
#include "lab/symbols/symbols.h"

enum open_tool { OPEN_AUTO, OPEN_CRASH, OPEN_DRGN, OPEN_GDB };
/* "crash", "drgn", "gdb"; -EINVAL: another name. */
int open_tool_parse(const char *name, enum open_tool *ret, struct err *err);
const char *open_tool_name(enum open_tool tool);

struct open_want {
	enum open_tool tool;
	char *const *scripts; /* NULL-terminated; NULL or none: a person sits there */
	enum symbols_want from;
	const char *vmlinux;  /* the user's own; or NULL */
	char *const *modules; /* folders in which modules of one's own may be; NULL-terminated */
	const char *gdb;      /* another gdb; or NULL */
	bool pwndbg;
	const struct kernel_want *get;
};

struct open_choice {
	enum open_tool tool;
	char *program; /* path */
	struct tool_fit fit;
	char version[16]; /* empty: gdb's does not matter */
	struct symbols symbols;
	struct strv
		notes; /* one line each: why it is not a better tool, or not with more symbols */
};
void open_choice_deinit(struct open_choice *c);
DEFINE_CLEANUP(open_choice, open_choice_deinit)

/*
 * Choose the tool: crash, drgn, gdb, the first that reads dumps of this kernel, is here, and has
 * the symbols it needs (types and lines; gdb goes with the image's own); or the one that is wanted.
 * -ENOENT: it is not installed (the text names the package), -ENOTSUP: it does not read this kernel
 * (the text names the version that does) or architecture, -ENODATA: no symbols that it needs;
 * errors as symbols_prepare(), gdb_find().
 */
int open_choose(const struct kernel *kernel, const struct open_want *want, struct open_choice *ret,
		struct err *err);

/*
 * The folders of modules that were built for the kernel (lab/kbuild/kmod.h), added to ret: those of
 * earlier sources, too, as a dump may be older. Build ids tell which of them was loaded.
 */
void open_modules(const struct kernel *kernel, struct strv *ret);

/*
 * Compare the dump with the kernel that the symbols are of. -EBADMSG: damaged, or another kernel's
 * (the text names both); errors as vmcore_open().
 */
int open_check(const char *vmcore, const struct kernel *kernel, struct err *err);

/*
 * Have the dump as the tool reads it. *file is the path to pass on: vmcore itself, or one of the
 * ELF file made of it, "/proc/self/fd/N" in this process and in those it becomes. -ENOSPC: no room
 * for that.
 */
int open_prepare(const char *vmcore, const struct open_choice *choice, char **file,
		 struct err *err);
/* Whether that needs no file to be made. */
bool open_reads(const char *vmcore, const struct open_choice *choice);

/* The command line. For show it is one for a person: nothing in it is only this process's. */
int open_command(const struct open_choice *choice, const struct kernel *kernel,
		 const struct open_want *want, const char *file, bool show, struct strv *argv,
		 struct err *err);

#endif
