/*
 * tools.h - what the programs that open dumps can do, by version: lab/data/crash-tools.tab.
 *
 * Pure. The table is embedded in the program; one that does not parse is a mistake of ours.
 */
#ifndef LAB_TOOLS_H
#define LAB_TOOLS_H

#include <stdbool.h>

#include "jail/base/arch.h"
#include "jail/base/kver.h"

struct tool_fit {
	bool reads;	     /* this version reads dumps of this kernel */
	bool kdump;	     /* kdump-compressed ones as they are, else ELF only */
	bool one_arch;	     /* only those of the architecture it was built for */
	const char *options; /* what it has to be given then; NULL: nothing */
	/* When it does not read them. Empty where nothing is known. */
	char newest[16];   /* series up to which this version reads: "6.1" */
	char needs[16];	   /* the first version that reads this kernel: "8.0.6" */
	const char *where; /* Debian's suite that has it, or NULL */
};

/* tool: "crash" or "drgn". Another one reads nothing. */
void tools_fit(const char *tool, const struct kver *version, const struct kver *kernel,
	       enum arch arch, struct tool_fit *ret);

/*
 * The version in what the tool says of itself (--version): the word after its name, at the start of
 * a line. -ENOENT: there is none.
 */
int tools_version(const char *tool, const char *said, struct kver *ret);
void tools_version_print(const struct kver *version, char ret[16]);

#endif
