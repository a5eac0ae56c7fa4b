#include "lab/run/cell-dump.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "jail/base/io.h"
#include "lab/symbols/symbols.h"
#include "lab/vmcore/summary.h"
#include "lab/vmcore/vmcore-elf.h"

static int describe(const struct kernel *kernel, const char *dir, const char *vmcore,
		    struct err *err)
{
	auto_free char *path = path_join(dir, "vmcore.txt"), *vmlinux = symbols_at_hand(kernel);
	auto_cleanup(buf) text = {0};
	int r = summary_write(vmcore, kernel, vmlinux, &text, err);

	/* it quotes the guest's memory, as the dump does */
	return r < 0 ? r : io_write_atomic(AT_FDCWD, path, text.data, text.len, 0600, err);
}

static void note(struct outcome *o, const char *what, const struct err *err)
{
	auto_cleanup(buf) why = {0};

	str_printable(&why, err->msg, strlen(err->msg), 300, false);
	strv_addf(&o->notes, "%s: %s", what, why.data ? why.data : "?");
}

void cell_describe_dump(const struct kernel *kernel, const char *dir, struct outcome *o)
{
	auto_free char *vmcore = path_join(dir, "vmcore");
	struct err err = {0};
	struct stat st;

	if (!o->dump.there)
		return;
	if (o->dump.form == DUMP_ELF && vmcore_map_elf(vmcore, &err) < 0)
		note(o, "vmcore", &err);
	if (stat(vmcore, &st) == 0)
		o->dump.bytes = st.st_size;
	if (describe(kernel, dir, vmcore, &err) < 0)
		note(o, "vmcore.txt", &err);
}
