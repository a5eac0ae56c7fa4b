#include "lab/run/cell-dump.h"

#include <fcntl.h>
#include <string.h>

#include "jail/base/io.h"
#include "lab/symbols/symbols.h"
#include "lab/vmcore/summary.h"

static int describe(const struct kernel *kernel, const char *dir, const char *vmcore,
		    struct err *err)
{
	auto_free char *path = path_join(dir, "vmcore.txt"), *vmlinux = symbols_at_hand(kernel);
	auto_cleanup(buf) text = {0};
	int r = summary_write(vmcore, kernel, vmlinux, &text, err);

	/* it quotes the guest's memory, as the dump does */
	return r < 0 ? r : io_write_atomic(AT_FDCWD, path, text.data, text.len, 0600, err);
}

void cell_describe_dump(const struct kernel *kernel, const char *dir, struct outcome *o)
{
	auto_free char *vmcore = path_join(dir, "vmcore");
	auto_cleanup(buf) why = {0};
	struct err err = {0};

	if (!o->dump.there || describe(kernel, dir, vmcore, &err) == 0)
		return;
	str_printable(&why, err.msg, strlen(err.msg), 300, false);
	strv_addf(&o->notes, "vmcore.txt: %s", why.data ? why.data : "?");
}
