/*
 * cmd-debugger.h - options that commands share which attach a gdb, and the symbols that it loads.
 */
#ifndef LAB_CMD_DEBUGGER_H
#define LAB_CMD_DEBUGGER_H

#include "lab/cmd.h"
#include "lab/debug/gdb.h"

struct debugger_args {
	struct strv breaks, scripts;
	const char *program, *listen, *symbols, *vmlinux;
	bool batch, pwndbg;
};
void debugger_args_deinit(struct debugger_args *a);

/*
 * Rows of an option table for type, whose member "gdb" is a struct debugger_args; where_text says
 * when break points count.
 */
/* clang-format off */
#define DEBUGGER_OPTIONS(type, where_text)                                                      \
	{'b', "break", "FUNC[:COND]", OPT_APPEND, offsetof(type, gdb.breaks),                   \
	 where_text ", if COND holds\n(a hardware break point; may be repeated)"},              \
	{'x', "script", "FILE", OPT_APPEND, offsetof(type, gdb.scripts),                        \
	 "gdb's commands in FILE, once it is attached (may be repeated)"},                      \
	{0, "batch", NULL, OPT_FLAG, offsetof(type, gdb.batch),                                 \
	 "end after the scripts; the first command that fails ends them: exit\ncode 1"},        \
	{0, "pwndbg", NULL, OPT_FLAG, offsetof(type, gdb.pwndbg),                               \
	 "with pwndbg, where that is installed"},                                               \
	{0, "gdb", "PROGRAM", OPT_STRING, offsetof(type, gdb.program),                          \
	 "another gdb (default: gdb, or gdb-multiarch for foreign guests)"},                    \
	{0, "symbols", "FROM", OPT_STRING, offsetof(type, gdb.symbols),                         \
	 "auto, package (types and lines: of the pin's debug package, or the\nvmlinux of the "  \
	 "build), or image (names, and types where the kernel has\nBTF)"},                      \
	{0, "vmlinux", "FILE", OPT_STRING, offsetof(type, gdb.vmlinux),                         \
	 "symbols from FILE, which has to be of the kernel's build"}
#define DEBUGGER_LISTEN_OPTION(type)                                                            \
	{0, "listen", "ADDRESS", OPT_STRING, offsetof(type, gdb.listen),                        \
	 "start no gdb; say how to attach one to ADDRESS: unix:PATH, or\n[HOST:]PORT (of "      \
	 "loopback unless HOST is said)"}
/* clang-format on */

/* What the options come to. how points into the arguments, which outlive it. */
struct debugger {
	struct gdb_how how;
	enum symbols_want from;
	const char *vmlinux;
	char *listen; /* as listen_on() takes it; NULL: gdb is started here */
};
void debugger_deinit(struct debugger *d);

/*
 * Before anything is looked for. -EINVAL: options that do not go together; or why a script cannot
 * be read.
 */
int debugger_parse(const struct debugger_args *a, struct debugger *ret, struct err *err);

/* What --symbols means; NULL: auto. */
int debugger_symbols_from(const char *option, enum symbols_want *ret, struct err *err);

/*
 * Make the symbols ready, and look for the break points in them. With quiet nobody hears why they
 * are not the package's. Errors as symbols_prepare(), -EINVAL for a break point at nothing.
 */
int debugger_symbols(const struct debugger *d, const struct kernel *kernel,
		     const struct kernel_want *want, bool quiet, struct symbols *ret,
		     struct err *err);

/* For who starts his own gdb: "NAME ARCH ABOUT. To attach:", and the command. */
void debugger_say_how(const struct kernel *kernel, const struct symbols *symbols, const char *about,
		      const char *address);

#endif
